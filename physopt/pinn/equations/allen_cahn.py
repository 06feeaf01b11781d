"""The equation of Allen and Cahn."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..conditions import Start
from ..domain import Box
from ..problem import Problem
from ..references import Marched, Points

RANGE = {"eps": (1e-4, 1e-2)}
EASY = {"eps": 1e-2}


def allen_cahn(eps: float = 1e-4) -> Problem:
    r"""Build $u_t = \varepsilon u_{xx} + 5 (u - u^3)$ on $(-1, 1)$, which repeats, $u(x, 0) = x^2 \cos \pi x$, up to $t = 1$.

    The start has a kink where the interval repeats, and two fronts of width $\sqrt{\varepsilon}$ arise.

    **Arguments:**

    - `eps`: the diffusivity, positive.

    ??? cite "Reference"
        Raissi, Perdikaris and Karniadakis, *Physics-informed neural networks*, J. Comput. Phys. 378, 686 (2019), $\varepsilon = 10^{-4}$.
    """
    return Problem(Box(x=(-1.0, 1.0), periodic="x"), equation, [Start(start)], time=(0.0, 1.0), reference=reference, eps=eps)


def equation(u: Any, eps: Array) -> Array:
    """Return the residual inside."""
    return u.t - eps * u.xx - 5.0 * (u - u**3)


def start(u: Any, x: Array) -> Array:
    """Return the residual at the start."""
    return u - x**2 * jnp.cos(jnp.pi * x)


def reference(x: Points, t: Points, eps: float) -> Float[np.ndarray, "..."]:
    """Return the solution, by exponential time steps."""
    return marched(eps)(x, t)[0]


@functools.lru_cache(maxsize=4)
def marched(eps: float, size: int = 3072, steps: int = 500) -> Marched:
    """Return the solution with a number of points and time steps."""
    return Marched(
        lambda x: x**2 * np.cos(np.pi * x),
        lambda k: 5.0 - eps * k**2,
        lambda u: -5.0 * u**3,
        side=(-1.0, 1.0),
        time=(0.0, 1.0),
        size=size,
        steps=steps,
    )
