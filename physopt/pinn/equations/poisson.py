"""Poisson's equation in any dimension."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..conditions import Boundary
from ..domain import Box
from ..problem import Problem

RANGE: dict[str, tuple[float, float]] = {}
EASY: dict[str, float] = {}


def poisson(dim: int = 2) -> Problem:
    r"""Build $-\Delta u = \pi^2 \sum_i \cos \pi x_i$ on the unit cube, with $u = \sum_i \cos \pi x_i$ on its boundary and then everywhere.

    A product of sines would be simpler in 2D, but in many dimensions it is almost zero almost everywhere.

    **Arguments:**

    - `dim`: of the cube, at least 1. The coordinates are `x`, `y`, `z` up to 3D, and `x1`, `x2`, ... beyond.

    ??? cite "Reference"
        Müller and Zeinhofer, *Achieving high accuracy with PINNs via energy natural gradient descent*, ICML (2023), in 5D.
    """
    if dim < 1:
        raise ValueError(f"The cube has {dim} dimensions; write at least 1.")
    names = ("x", "y", "z")[:dim] if dim <= 3 else tuple(f"x{i + 1}" for i in range(dim))
    equation, boundary = _residuals(names)
    return Problem(Box("", **dict.fromkeys(names, (0.0, 1.0))), equation, [Boundary(boundary)], reference=reference)


def reference(**coordinates: Any) -> Any:
    """Return the solution."""
    return sum((np.cos(np.pi * x) for x in coordinates.values()), 0.0)


@functools.lru_cache(maxsize=16)
def _residuals(names: tuple[str, ...]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the residuals inside and on the boundary, the same functions each time, because each is compiled."""

    def equation(u: Any, **coordinates: Any) -> Any:
        return u.laplacian + jnp.pi**2 * _cosines(coordinates)

    def boundary(u: Any, **coordinates: Any) -> Any:
        return u - _cosines(coordinates)

    for function in (equation, boundary):  # they are asked which names they take
        kind = inspect.Parameter.KEYWORD_ONLY
        vars(function)["__signature__"] = inspect.Signature([inspect.Parameter(name, kind) for name in ("u", *names)])
    return equation, boundary


def _cosines(coordinates: dict[str, Any]) -> Any:
    return sum((jnp.cos(jnp.pi * x) for x in coordinates.values()), 0.0)
