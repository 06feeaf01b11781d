"""Helmholtz' equation on a square."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..conditions import Boundary
from ..domain import Box
from ..problem import Problem
from ..references import Points

RANGE = {"k": (1.0, 10.0)}
EASY = {"k": 1.0}


def helmholtz(k: float = 4.0) -> Problem:
    r"""Build $\Delta u + u = f$ on $(-1, 1)^2$, where $f$ and the values on the boundary make $\sin(\pi x) \sin(k \pi y)$ the solution.

    **Arguments:**

    - `k`: half waves from the middle to a side in $y$. Where it is a whole number, $u = 0$ on the boundary.

    ??? cite "Reference"
        Wang, Teng and Perdikaris, *Understanding and mitigating gradient flow pathologies in physics-informed neural networks*,
        SIAM J. Sci. Comput. 43, A3055 (2021), with $k = 4$.
    """
    return Problem(Box(x=(-1.0, 1.0), y=(-1.0, 1.0)), equation, [Boundary(boundary)], reference=reference, k=k)


def equation(u: Any, x: Array, y: Array, k: Array) -> Array:
    """Return the residual inside."""
    return u.laplacian + u + ((1.0 + k**2) * jnp.pi**2 - 1.0) * jnp.sin(jnp.pi * x) * jnp.sin(k * jnp.pi * y)


def boundary(u: Any, x: Array, y: Array, k: Array) -> Array:
    """Return the residual on the boundary."""
    return u - jnp.sin(jnp.pi * x) * jnp.sin(k * jnp.pi * y)


def reference(x: Points, y: Points, k: float) -> Float[np.ndarray, "..."]:
    """Return the solution."""
    return np.sin(np.pi * x) * np.sin(k * np.pi * y)
