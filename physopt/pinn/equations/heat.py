"""The heat equation."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..conditions import Boundary, Start
from ..domain import Box
from ..problem import Problem
from ..references import Points

RANGE = {"alpha": (0.01, 1.0)}
EASY = {"alpha": 0.1}


def heat(alpha: float = 0.1) -> Problem:
    r"""Build $u_t = \alpha u_{xx}$ on $(0, 1)$, $u(x, 0) = \sin \pi x + \tfrac12 \sin 3 \pi x$, $u = 0$ at the ends, up to $t = 1$.

    The solution is $\sin(\pi x) \, e^{-\pi^2 \alpha t} + \tfrac12 \sin(3 \pi x) \, e^{-9 \pi^2 \alpha t}$.

    **Arguments:**

    - `alpha`: the diffusivity, positive.
    """
    return Problem(Box(x=(0.0, 1.0)), equation, [Start(start), Boundary(boundary)], time=(0.0, 1.0), reference=reference, alpha=alpha)


def equation(u: Any, alpha: Array) -> Array:
    """Return the residual inside."""
    return u.t - alpha * u.xx


def start(u: Any, x: Array) -> Array:
    """Return the residual at the start."""
    return u - jnp.sin(jnp.pi * x) - 0.5 * jnp.sin(3.0 * jnp.pi * x)


def boundary(u: Any) -> Array:
    """Return the residual on the boundary."""
    return u.value


def reference(x: Points, t: Points, alpha: float) -> Float[np.ndarray, "..."]:
    """Return the solution."""
    rate = np.pi**2 * alpha
    return np.sin(np.pi * x) * np.exp(-rate * t) + 0.5 * np.sin(3.0 * np.pi * x) * np.exp(-9.0 * rate * t)
