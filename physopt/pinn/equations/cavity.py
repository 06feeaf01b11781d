"""Flow in a square cavity under a moving lid."""

from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float

from ..conditions import Boundary, Integral
from ..domain import Box
from ..problem import Problem

RANGE = {"re": (1.0, 1000.0)}
EASY = {"re": 100.0}


def cavity(re: float = 100.0) -> Problem:
    r"""Build the steady equations of Navier and Stokes on the unit square, whose lid moves with the speed $16 x^2 (1 - x)^2$.

    $$u u_x + v u_y + p_x = \Delta u / \mathrm{Re}, \quad u v_x + v v_y + p_y = \Delta v / \mathrm{Re}, \quad u_x + v_y = 0$$

    The other walls are at rest; the pressure is zero in the mean. The lid's speed vanishes at its ends, so that the solution is smooth.

    **Arguments:**

    - `re`: the Reynolds number.

    ??? cite "Reference"
        Shen, *Hopf bifurcation of the unsteady regularized driven cavity flow*, J. Comput. Phys. 95, 228 (1991).
    """
    conditions = [Boundary(walls, where=on_walls), Boundary(lid, where=on_lid), Integral(pressure)]
    return Problem(Box(x=(0.0, 1.0), y=(0.0, 1.0)), equation, conditions, fields="u v p", easy=EASY, re=re)


def equation(u: Any, v: Any, p: Any, re: Array) -> tuple[Array, Array, Array]:
    """Return the residuals inside."""
    along = u * u.x + v * u.y + p.x - u.laplacian / re
    across = u * v.x + v * v.y + p.y - v.laplacian / re
    return along, across, u.x + v.y


def walls(u: Any, v: Any) -> tuple[Array, Array]:
    """Return the residuals on the walls at rest."""
    return u.value, v.value


def lid(u: Any, v: Any, x: Array) -> tuple[Array, Array]:
    """Return the residuals on the lid."""
    return u - 16.0 * x**2 * (1.0 - x) ** 2, v.value


def pressure(p: Any) -> Array:
    """Return what is zero in the mean."""
    return p.value


def on_lid(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Return which points are on the lid."""
    return y == 1.0


def on_walls(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Return which points are on the other walls."""
    return y < 1.0
