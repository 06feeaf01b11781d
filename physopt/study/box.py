"""Bounds of the unknowns, as SciPy writes them, and the gradient that counts within them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
from jaxtyping import Bool, Float
from numpy import ndarray

Pairs = scipy.optimize.Bounds | Sequence[tuple[float | int | None, float | int | None]] | Float[ndarray, "n 2"]
Sides = scipy.optimize.Bounds | Sequence[Any]  # of two: the lowest and the highest values


class Box(NamedTuple):
    """The lowest and highest value of each unknown; infinite where there is none."""

    lower: Float[ndarray, " n"]
    upper: Float[ndarray, " n"]

    @property
    def bounded(self) -> bool:
        """Is there a bound at all?"""
        return bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())

    def clip(self, point: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Return the nearest point within the bounds."""
        return np.clip(point, self.lower, self.upper)

    def projected(self, point: Float[ndarray, " n"], grad: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Return the projected gradient $x - P(x - g)$: zero where, and only where, the conditions of Karush, Kuhn and Tucker hold."""
        return np.where(grad < 0.0, np.maximum(point - self.upper, grad), np.minimum(point - self.lower, grad))

    def free(self, point: Float[ndarray, " n"], grad: Float[ndarray, " n"]) -> Bool[ndarray, " n"]:
        """Say which unknowns may move: all but those at a bound that the gradient presses them against."""
        return ~(((point <= self.lower) & (grad >= 0.0)) | ((point >= self.upper) & (grad <= 0.0)))

    def inward(self, point: Float[ndarray, " n"], steps: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Return steps for differences, each of which stays within the bounds: turned round or shortened, and zero only without room."""
        above, below = self.upper - point, point - self.lower
        return np.where(steps <= above, steps, np.where(steps <= below, -steps, np.where(above >= below, above, -below)))


def free_box(unknowns: int) -> Box:
    """Return a box without bounds."""
    return Box(np.full(unknowns, -np.inf), np.full(unknowns, np.inf))


def box_of_pairs(bounds: Pairs | None, unknowns: int) -> Box:
    """Return the box of SciPy's `Bounds`, or of one pair (lowest, highest) for each unknown, with `None` for none, as `minimize` has it.

    **Raises:** `ValueError` for another number of bounds, and for a lower bound above the upper one.
    """
    if bounds is None:
        return free_box(unknowns)
    if isinstance(bounds, scipy.optimize.Bounds):
        return _checked(bounds.lb, bounds.ub, unknowns)
    pairs = list(bounds)
    if len(pairs) != unknowns or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"bounds holds {len(pairs)} entries for {unknowns} unknowns. Give one pair (lowest, highest) for each, or Bounds.")
    ends = [[other if end is None else end for end, other in zip(pair, (-np.inf, np.inf), strict=True)] for pair in pairs]
    return _checked([low for low, _ in ends], [high for _, high in ends], unknowns)


def box_of_sides(bounds: Sides, unknowns: int) -> Box:
    """Return the box of SciPy's `Bounds`, or of the two sides (lowest, highest), each a number or a vector, as `least_squares` has it.

    **Raises:** `ValueError` for another number of bounds, and for a lower bound above the upper one.
    """
    if isinstance(bounds, scipy.optimize.Bounds):
        return _checked(bounds.lb, bounds.ub, unknowns)
    if len(bounds) != 2:
        raise ValueError(f"bounds holds {len(bounds)} entries. Give (lowest, highest), each a number or a vector, or Bounds.")
    return _checked(bounds[0], bounds[1], unknowns)


def _checked(lower: object, upper: object, unknowns: int) -> Box:
    sides = [np.asarray(side, float) for side in (lower, upper)]
    if wrong := [side.shape for side in sides if side.shape not in ((), (1,), (unknowns,))]:
        raise ValueError(f"bounds have shape {wrong[0]} for {unknowns} unknowns. Give a number, or one for each unknown.")
    low, high = (np.broadcast_to(side, unknowns).copy() for side in sides)
    if not (low <= high).all() or (low == np.inf).any() or (high == -np.inf).any():
        k = int(np.argmin((low <= high) & (low < np.inf) & (high > -np.inf)))
        raise ValueError(f"bounds: the unknown {k} has the lowest value {low[k]:g} and the highest {high[k]:g}. Leave room between them.")
    return Box(low, high)
