"""Hessian and tangents at a solution, by differences of the gradient: what a solve leaves behind for the next ones."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .oracle import Answer, Function, Oracle

STEP = 1e-5  # of a number's own size: between the rounding of a gradient and its curvature
ROUGH = 0.05  # an asymmetry of the Hessian beyond which differences say nothing
Tasked = Callable[[Float[ndarray, " d"]], Function]


def hessian_of(oracle: Oracle, at: Answer, moved: Float[ndarray, " n"]) -> Float[ndarray, "n n"] | None:
    """Return the Hessian by one call for each unknown; `None` if it is not symmetric enough to be one.

    **Arguments:** `moved`: how far the solution is from the cold start, which says how large the unknowns are.
    """
    size = np.maximum(np.abs(at.point), np.linalg.norm(moved) / len(moved) ** 0.5)
    steps = STEP * np.where(size > 0.0, size, 1.0)
    columns = [(oracle.probe(at.point + step * axis) - at.grad) / step for step, axis in zip(steps, np.eye(len(steps)), strict=True)]
    return symmetric(np.stack(columns, 1))


def symmetric(matrix: Float[ndarray, "n n"]) -> Float[ndarray, "n n"] | None:
    """Return the symmetric part of a Hessian; `None` if the rest is not small, or anything is not finite."""
    if not np.isfinite(matrix).all() or not np.linalg.norm(matrix - matrix.T) <= ROUGH * np.linalg.norm(matrix):
        return None
    return 0.5 * (matrix + matrix.T)


def tangents_of(
    oracle: Oracle, at: Answer, hessian: Float[ndarray, "n n"], task: Float[ndarray, " d"], spread: Float[ndarray, " d"], tasked: Tasked
) -> Float[ndarray, "n d"] | None:
    r"""Return $dx/d\mu = -H^{-1} \, \partial g / \partial \mu$ by one call for each number of the task; `None` if it is not finite.

    Directions in which the value does not change (a rigid motion) do not move.

    **Arguments:** `spread`: of each number over the recorded tasks. `tasked`: returns the function for another task.
    """
    size = np.maximum(np.abs(task), spread)
    steps = STEP * np.where(size > 0.0, size, 1.0)
    columns = []
    for step, axis in zip(steps, np.eye(len(task)), strict=True):
        other = Oracle(tasked(task + step * axis))
        columns.append((other.probe(at.point) - at.grad) / step)
        oracle.calls += other.calls
    mixed = np.stack(columns, 1)
    if not np.isfinite(mixed).all():
        return None
    values, vectors = np.linalg.eigh(hessian)
    stiff = np.abs(values) > 1e-7 * np.abs(values).max()
    return -vectors[:, stiff] @ ((vectors[:, stiff].T @ mixed) / values[stiff, None])


def newton_point(at: Answer, hessian: Float[ndarray, "n n"]) -> Float[ndarray, " n"]:
    """Return the end of the Newton step, along directions of positive curvature."""
    values, vectors = np.linalg.eigh(hessian)
    stiff = values > 1e-7 * np.abs(values).max()
    return at.point - vectors[:, stiff] @ ((vectors[:, stiff].T @ at.grad) / values[stiff])
