"""The equation of Kuramoto and Sivashinsky."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..conditions import Start
from ..domain import Box
from ..problem import Problem
from ..references import Marched, Points

RANGE = {"gamma": (0.005, 0.05)}
EASY = {"gamma": 0.05}


def kuramoto_sivashinsky(gamma: float = 0.005) -> Problem:
    r"""Build $u_t + 5 u u_x + \tfrac12 u_{xx} + \gamma u_{xxxx} = 0$ on $(-1, 1)$, which repeats, $u(x, 0) = -\sin \pi x$, up to $t = 1$.

    Waves with $k^2 < 1 / 2 \gamma$ grow; shorter ones are damped. In this window the motion is not yet chaotic.

    **Arguments:**

    - `gamma`: the damping, positive.

    ??? cite "Reference"
        Wang, Sankaran and Perdikaris, *Respecting causality for training physics-informed neural networks*, Comput. Methods Appl. Mech.
        Eng. 421, 116813 (2024), with $\gamma = 0.005$.
    """
    return Problem(Box(x=(-1.0, 1.0), periodic="x"), equation, [Start(start)], time=(0.0, 1.0), reference=reference, gamma=gamma)


def equation(u: Any, gamma: Array) -> Array:
    """Return the residual inside."""
    return u.t + 5.0 * u * u.x + 0.5 * u.xx + gamma * u.xxxx


def start(u: Any, x: Array) -> Array:
    """Return the residual at the start."""
    return u + jnp.sin(jnp.pi * x)


def reference(x: Points, t: Points, gamma: float) -> Float[np.ndarray, "..."]:
    """Return the solution, by exponential time steps."""
    return marched(gamma)(x, t)[0]


@functools.lru_cache(maxsize=4)
def marched(gamma: float, size: int = 128, steps: int = 10000) -> Marched:
    """Return the solution with a number of points and time steps."""
    return Marched(
        lambda x: -np.sin(np.pi * x),
        lambda k: 0.5 * k**2 - gamma * k**4,
        lambda u: u**2,
        lambda k: -2.5j * k,
        side=(-1.0, 1.0),
        time=(0.0, 1.0),
        size=size,
        steps=steps,
    )
