"""Convection on a circle."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..conditions import Start
from ..domain import Box
from ..problem import Problem
from ..references import Points

RANGE = {"beta": (1.0, 50.0)}
EASY = {"beta": 1.0}


def convection(beta: float = 30.0) -> Problem:
    r"""Build $u_t + \beta u_x = 0$ on $(0, 2 \pi)$, which repeats, $u(x, 0) = \sin x$, up to $t = 1$.

    The solution is $\sin(x - \beta t)$.

    **Arguments:**

    - `beta`: the speed.

    ??? cite "Reference"
        Krishnapriyan et al., *Characterizing possible failure modes in physics-informed neural networks*, NeurIPS (2021), $\beta = 30$.
    """
    return Problem(Box(x=(0.0, 2.0 * np.pi), periodic="x"), equation, [Start(start)], time=(0.0, 1.0), reference=reference, beta=beta)


def equation(u: Any, beta: Array) -> Array:
    """Return the residual inside."""
    return u.t + beta * u.x


def start(u: Any, x: Array) -> Array:
    """Return the residual at the start."""
    return u - jnp.sin(x)


def reference(x: Points, t: Points, beta: float) -> Float[np.ndarray, "..."]:
    """Return the solution."""
    return np.sin(x - beta * t)
