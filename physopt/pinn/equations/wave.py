"""The wave equation."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..conditions import Boundary, Start
from ..domain import Box
from ..problem import Problem
from ..references import Points

RANGE = {"c": (1.0, 4.0)}
EASY = {"c": 1.0}


def wave(c: float = 2.0) -> Problem:
    r"""Build $u_{tt} = c^2 u_{xx}$ on $(0, 1)$, $u(x, 0) = \sin \pi x + \tfrac12 \sin 4 \pi x$, $u_t(x, 0) = 0$, up to $t = 1$.

    The ends are held, $u = 0$. The solution is $\sin(\pi x) \cos(\pi c t) + \tfrac12 \sin(4 \pi x) \cos(4 \pi c t)$.

    **Arguments:**

    - `c`: the speed.

    ??? cite "Reference"
        Wang, Yu and Perdikaris, *When and why PINNs fail to train*, J. Comput. Phys. 449, 110768 (2022), with $c = 2$.
    """
    conditions = [Start(start), Start(start_speed), Boundary(boundary)]
    return Problem(Box(x=(0.0, 1.0)), equation, conditions, time=(0.0, 1.0), reference=reference, c=c)


def equation(u: Any, c: Array) -> Array:
    """Return the residual inside."""
    return u.tt - c**2 * u.xx


def start(u: Any, x: Array) -> Array:
    """Return the residual at the start."""
    return u - jnp.sin(jnp.pi * x) - 0.5 * jnp.sin(4.0 * jnp.pi * x)


def start_speed(u: Any) -> Array:
    """Return the residual of the speed at the start."""
    return u.t


def boundary(u: Any) -> Array:
    """Return the residual on the boundary."""
    return u.value


def reference(x: Points, t: Points, c: float) -> Float[np.ndarray, "..."]:
    """Return the solution."""
    s, phase = np.pi * x, np.pi * c * t
    return np.sin(s) * np.cos(phase) + 0.5 * np.sin(4.0 * s) * np.cos(4.0 * phase)
