"""The same problem on a grid of half the resolution, and its design on the finer grid."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.ndimage
from jaxtyping import Float
from numpy import ndarray

from .averaged import children, halved
from .problem import SIMP

NARROWEST = 1.2  # elements: a filter below this sees no neighbor worth the name


def coarser(problem: SIMP) -> SIMP | None:
    """Return the problem on a grid of half the resolution; `None` if a side is odd or the filter would reach no neighbor.

    An element is passive if all of its children are; for the rest see `halved`.
    """
    structure, filtering = problem.equilibrium.structure, problem.densities.filtering
    if any(n % 2 or n < 8 for n in structure.shape) or filtering.rmin / 2.0 < NARROWEST:
        return None
    passive = children(problem.densities.passive)
    passive = np.where(np.isnan(passive).any(axis=0), np.nan, passive.mean(axis=0))
    return problem.changed(
        structure=halved(structure), filtering=dataclasses.replace(filtering, rmin=filtering.rmin / 2.0), passive=passive
    )


def prolonged(design: Float[ndarray, "..."], factors: Sequence[float] | float = 2.0) -> Float[ndarray, "..."]:
    """Return a field of elements on a grid of twice the resolution, or by a factor for each axis, linear between the centers."""
    return scipy.ndimage.zoom(design, factors, order=1, mode="nearest", grid_mode=True)


def refined(problem: SIMP, coarse: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    """Return a design of `problem` from one of its coarser version, with the right volume."""
    design = np.clip(prolonged(coarse), problem.lower, problem.upper)
    return problem.retract(design, np.zeros_like(design))
