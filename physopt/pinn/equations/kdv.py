"""The equation of Korteweg and de Vries."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..conditions import Start
from ..domain import Box
from ..problem import Problem
from ..references import Marched, Points

RANGE = {"eps": (0.022, 0.1)}
EASY = {"eps": 0.1}


def kdv(eps: float = 0.022) -> Problem:
    r"""Build $u_t + u u_x + \varepsilon^2 u_{xxx} = 0$ on $(-1, 1)$, which repeats, $u(x, 0) = \cos \pi x$, up to $t = 1$.

    A wave steepens and falls apart into solitons.

    **Arguments:**

    - `eps`: the root of the dispersion, positive.

    ??? cite "Reference"
        Zabusky and Kruskal, *Interaction of "solitons" in a collisionless plasma*, Phys. Rev. Lett. 15, 240 (1965), $\varepsilon = 0.022$.
    """
    return Problem(Box(x=(-1.0, 1.0), periodic="x"), equation, [Start(start)], time=(0.0, 1.0), reference=reference, eps=eps)


def equation(u: Any, eps: Array) -> Array:
    """Return the residual inside."""
    return u.t + u * u.x + eps**2 * u.xxx


def start(u: Any, x: Array) -> Array:
    """Return the residual at the start."""
    return u - jnp.cos(jnp.pi * x)


def reference(x: Points, t: Points, eps: float) -> Float[np.ndarray, "..."]:
    """Return the solution, by exponential time steps."""
    return marched(eps)(x, t)[0]


@functools.lru_cache(maxsize=4)
def marched(eps: float, size: int = 384, steps: int = 8000) -> Marched:
    """Return the solution with a number of points and time steps."""
    return Marched(
        lambda x: np.cos(np.pi * x),
        lambda k: 1j * eps**2 * k**3,
        lambda u: u**2,
        lambda k: -0.5j * k,
        side=(-1.0, 1.0),
        time=(0.0, 1.0),
        size=size,
        steps=steps,
    )
