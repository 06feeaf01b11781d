"""The nonlinear equation of Schrödinger."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..conditions import Start
from ..domain import Box
from ..problem import Problem
from ..references import Marched, Points

RANGE: dict[str, tuple[float, float]] = {}
EASY: dict[str, float] = {}


def schroedinger() -> Problem:
    r"""Build $i h_t + \tfrac12 h_{xx} + |h|^2 h = 0$ on $(-5, 5)$, which repeats, $h(x, 0) = 2 \operatorname{sech} x$, up to $t = \pi / 2$.

    The fields are $h = u + i v$. A breather of two solitons. Where the interval repeats, the slope of the start jumps by 0.05. The waves of
    this kink never die out, so that Fourier's functions converge slowly: the reference has an error of $10^{-6}$.

    ??? cite "Reference"
        Raissi, Perdikaris and Karniadakis, *Physics-informed neural networks*, J. Comput. Phys. 378, 686 (2019).
    """
    return Problem(
        Box(x=(-5.0, 5.0), periodic="x"),
        equation,
        [Start(start)],
        fields="u v",
        time=(0.0, np.pi / 2),
        reference=reference,
    )


def equation(u: Any, v: Any) -> tuple[Array, Array]:
    """Return the residuals inside, imaginary part first."""
    density = u * u + v * v
    return u.t + 0.5 * v.xx + density * v, v.t - 0.5 * u.xx - density * u


def start(u: Any, v: Any, x: Array) -> tuple[Array, Array]:
    """Return the residuals at the start."""
    return u - 2.0 / jnp.cosh(x), v.value


def reference(x: Points, t: Points) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return the solution, by exponential time steps."""
    h = marched()(x, t)[0]
    return h.real, h.imag


@functools.lru_cache(maxsize=2)
def marched(size: int = 3072, steps: int = 2000, half: float = 5.0) -> Marched:
    """Return the solution with a number of points and time steps, on an interval of which `half` is one half."""
    return Marched(
        lambda x: 2.0 / np.cosh(x) + 0.0j,
        lambda k: -0.5j * k**2,
        lambda h: 1j * np.abs(h) ** 2 * h,
        side=(-half, half),
        time=(0.0, np.pi / 2),
        size=size,
        steps=steps,
    )
