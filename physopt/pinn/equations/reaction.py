"""Logistic growth at every place."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..conditions import Start
from ..domain import Box
from ..problem import Problem
from ..references import Points

WIDTH = np.pi / 4
RANGE = {"rho": (1.0, 10.0)}
EASY = {"rho": 1.0}


def reaction(rho: float = 5.0) -> Problem:
    r"""Build $u_t = \rho u (1 - u)$ on $(0, 2 \pi)$, $u(x, 0) = h(x) = e^{-(x - \pi)^2 / 2 (\pi / 4)^2}$, up to $t = 1$.

    The solution is $h e^{\rho t} / (h e^{\rho t} + 1 - h)$.

    **Arguments:**

    - `rho`: the rate of growth.

    ??? cite "Reference"
        Krishnapriyan et al., *Characterizing possible failure modes in physics-informed neural networks*, NeurIPS (2021), $\rho = 5$.
    """
    return Problem(Box(x=(0.0, 2.0 * np.pi)), equation, [Start(start)], time=(0.0, 1.0), reference=reference, rho=rho)


def equation(u: Any, rho: Array) -> Array:
    """Return the residual inside."""
    return u.t - rho * u * (1.0 - u)


def start(u: Any, x: Array) -> Array:
    """Return the residual at the start."""
    return u - jnp.exp(-((x - jnp.pi) ** 2) / (2.0 * WIDTH**2))


def reference(x: Points, t: Points, rho: float) -> Float[np.ndarray, "..."]:
    """Return the solution."""
    h = np.exp(-((x - np.pi) ** 2) / (2.0 * WIDTH**2))
    return h / (h + (1.0 - h) * np.exp(-rho * t))
