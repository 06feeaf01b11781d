"""Burgers' equation."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..conditions import Boundary, Start
from ..domain import Box
from ..problem import Problem
from ..references import Points, cole_hopf

RANGE = {"nu": (0.01 / np.pi, 0.1)}
EASY = {"nu": 0.1}


def burgers(nu: float = 0.01 / np.pi) -> Problem:
    r"""Build $u_t + u u_x = \nu u_{xx}$ on $(-1, 1)$, $u(x, 0) = -\sin \pi x$, $u(\pm 1, t) = 0$, up to $t = 1$.

    A wave steepens into a layer at the origin, whose width is about $\nu$.

    **Arguments:**

    - `nu`: the viscosity, positive.

    ??? cite "Reference"
        Raissi, Perdikaris and Karniadakis, *Physics-informed neural networks*, J. Comput. Phys. 378, 686 (2019), with $\nu = 0.01 / \pi$.
    """
    return Problem(Box(x=(-1.0, 1.0)), equation, [Start(start), Boundary(boundary)], time=(0.0, 1.0), reference=reference, nu=nu)


def equation(u: Any, nu: Array) -> Array:
    """Return the residual inside."""
    return u.t + u * u.x - nu * u.xx


def start(u: Any, x: Array) -> Array:
    """Return the residual at the start."""
    return u + jnp.sin(jnp.pi * x)


def boundary(u: Any) -> Array:
    """Return the residual on the boundary."""
    return u.value


def reference(x: Points, t: Points, nu: float) -> Float[np.ndarray, "..."]:
    """Return the solution, by the formula of Cole and Hopf."""
    return cole_hopf(x, t, nu)
