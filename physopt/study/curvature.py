"""Hessian and tangents at a solution, by differences of the gradient: what a solve leaves behind for the next ones."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .box import Box
from .oracle import AbstractOracle, Answer

STEP = 1e-5  # of a number's own size: between the rounding of a gradient and its curvature
ROUGH = 0.05  # an asymmetry of the Hessian beyond which differences say nothing
Other = Callable[[Float[ndarray, " d"]], AbstractOracle]


def hessian_of(oracle: AbstractOracle, at: Answer, moved: Float[ndarray, " n"], box: Box) -> Float[ndarray, "n n"] | None:
    """Return the Hessian by one call for each unknown, within bounds; `None` if it is not symmetric enough to be one.

    Of an unknown without room between its bounds only what the others tell is known, and a diagonal of average size stands in.

    **Arguments:** `moved`: how far the solution is from the cold start, which says how large the unknowns are.
    """
    size = np.maximum(np.abs(at.point), np.linalg.norm(moved) / len(moved) ** 0.5)
    steps = box.inward(at.point, STEP * np.where(size > 0.0, size, 1.0))
    hessian, room = np.zeros((len(steps), len(steps))), steps != 0.0
    for k, axis in enumerate(np.eye(len(steps))):
        if room[k]:
            hessian[:, k] = (oracle.probe(at.point + steps[k] * axis) - at.grad) / steps[k]
    if not room.any():
        return None
    hessian[:, ~room] = hessian[~room].T
    hessian[np.ix_(~room, ~room)] = np.eye(int(np.count_nonzero(~room))) * np.abs(np.diag(hessian)[room]).mean()
    return symmetric(hessian)


def symmetric(matrix: Float[ndarray, "n n"]) -> Float[ndarray, "n n"] | None:
    """Return the symmetric part of a Hessian; `None` if the rest is not small, or anything is not finite."""
    if not np.isfinite(matrix).all() or not np.linalg.norm(matrix - matrix.T) <= ROUGH * np.linalg.norm(matrix):
        return None
    return 0.5 * (matrix + matrix.T)


def tangents_of(
    oracle: AbstractOracle,
    at: Answer,
    hessian: Float[ndarray, "n n"],
    task: Float[ndarray, " d"],
    spread: Float[ndarray, " d"],
    other: Other,
    box: Box,
) -> Float[ndarray, "n d"] | None:
    r"""Return $dx/d\mu = -H^{-1} \, \partial g / \partial \mu$ by one call for each number of the task; `None` if it is not finite.

    Directions in which the value does not change (a rigid motion), and unknowns at a bound, do not move.

    **Arguments:** `spread`: of each number over the recorded tasks. `other`: returns an oracle for another task.
    """
    size = np.maximum(np.abs(task), spread)
    steps = STEP * np.where(size > 0.0, size, 1.0)
    columns = []
    for step, axis in zip(steps, np.eye(len(task)), strict=True):
        moved = other(task + step * axis)
        columns.append((moved.probe(at.point) - at.grad) / step)
        oracle.take(moved)
    mixed = np.stack(columns, 1)
    if not np.isfinite(mixed).all():
        return None
    free = box.free(at.point, at.grad)
    values, vectors = np.linalg.eigh(hessian[np.ix_(free, free)])
    stiff = np.abs(values) > 1e-7 * np.abs(values).max(initial=0.0)
    tangents = np.zeros_like(mixed)
    tangents[free] = -vectors[:, stiff] @ ((vectors[:, stiff].T @ mixed[free]) / values[stiff, None])
    return tangents


def newton_point(at: Answer, hessian: Float[ndarray, "n n"], box: Box) -> Float[ndarray, " n"]:
    """Return the end of the Newton step, along directions of positive curvature and within bounds."""
    free = box.free(at.point, at.grad)
    values, vectors = np.linalg.eigh(hessian[np.ix_(free, free)])
    stiff = values > 1e-7 * np.abs(values).max(initial=0.0)
    point = at.point.copy()
    point[free] -= vectors[:, stiff] @ ((vectors[:, stiff].T @ at.grad[free]) / values[stiff])
    return box.clip(point)
