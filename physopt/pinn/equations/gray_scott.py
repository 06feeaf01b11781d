"""The model of Gray and Scott in 1D."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..conditions import Start
from ..domain import Box
from ..problem import Problem
from ..references import Marched, Points

END = 20.0
DIFFUSIVITIES = 2e-5, 1e-5
RANGE = {"feed": (0.01, 0.06), "kill": (0.04, 0.07)}
EASY = {"feed": 0.04, "kill": 0.06}


def gray_scott(feed: float = 0.04, kill: float = 0.06) -> Problem:
    r"""Build a substance $u$ that is fed and one, $v$, that grows from it and is removed, on $(0, 1)$, which repeats, up to $t = 20$.

    $$u_t = 2 \cdot 10^{-5} u_{xx} - u v^2 + F (1 - u), \quad v_t = 10^{-5} v_{xx} + u v^2 - (F + K) v,$$

    $u(x, 0) = 1 - \tfrac12 \sin^8 \pi x$, $v(x, 0) = \tfrac14 \sin^8 \pi x$.

    **Arguments:**

    - `feed`, `kill`: the rates $F$ and $K$.

    ??? cite "Reference"
        Pearson, *Complex patterns in a simple system*, Science 261, 189 (1993), in 2D.
    """
    box = Box(x=(0.0, 1.0), periodic="x")
    return Problem(box, equation, [Start(start)], fields="u v", time=(0.0, END), reference=reference, feed=feed, kill=kill)


def equation(u: Any, v: Any, feed: Array, kill: Array) -> tuple[Array, Array]:
    """Return the residuals inside."""
    made = u * v * v
    return u.t - DIFFUSIVITIES[0] * u.xx + made - feed * (1.0 - u), v.t - DIFFUSIVITIES[1] * v.xx - made + (feed + kill) * v


def start(u: Any, v: Any, x: Array) -> tuple[Array, Array]:
    """Return the residuals at the start."""
    bump = jnp.sin(jnp.pi * x) ** 8
    return u - 1.0 + 0.5 * bump, v - 0.25 * bump


def reference(x: Points, t: Points, feed: float, kill: float) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return the solution, by exponential time steps."""
    u, v = marched(feed, kill)(x, t)
    return u, v


@functools.lru_cache(maxsize=4)
def marched(feed: float, kill: float, size: int = 256, steps: int = 500) -> Marched:
    """Return the solution with a number of points and time steps."""

    def start(x: np.ndarray) -> np.ndarray:
        bump = np.sin(np.pi * x) ** 8
        return np.stack([1.0 - 0.5 * bump, 0.25 * bump])

    def nonlinear(fields: np.ndarray) -> np.ndarray:
        made = fields[0] * fields[1] ** 2
        return np.stack([feed - made, made])

    def linear(k: np.ndarray) -> np.ndarray:
        return -np.array(DIFFUSIVITIES)[:, None] * k**2 - np.array([feed, feed + kill])[:, None]

    return Marched(start, linear, nonlinear, side=(0.0, 1.0), time=(0.0, END), size=size, steps=steps)
