"""The same problem on a grid of half the resolution, and its design on the finer grid."""

from typing import Any

import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float
from numpy import ndarray

from .problem import SIMP
from .structure import Structure

NARROWEST = 1.2  # elements: a filter below this sees no neighbor worth the name


def coarser(problem: SIMP) -> SIMP | None:
    """Return the problem on a grid of half the resolution; `None` where a side is odd or the filter would see no neighbor.

    Forces and springs are restricted by the transpose of linear interpolation, so that totals stay; a node is held where any fine
    node around it is; an element is passive where all of its children are.
    """
    structure, filtering = problem.equilibrium.structure, problem.densities.filtering
    if any(n % 2 or n < 8 for n in structure.shape) or filtering.rmin / 2.0 < NARROWEST:
        return None
    dim = len(structure.shape)
    spring = None if structure.spring is None else _restricted(structure.spring, dim)
    passive = _children(problem.densities.passive)
    passive = np.where(np.isnan(passive).any(axis=0), np.nan, passive.mean(axis=0))
    coarse = Structure(tuple(n // 2 for n in structure.shape), _restricted(structure.force, dim), _any_near(structure.held, dim), spring)
    return problem.changed(structure=coarse, filtering=type(filtering)(filtering.rmin / 2.0), passive=passive)


def prolonged(design: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    """Return a field of elements on a grid of twice the resolution, linear between the centers."""
    return scipy.ndimage.zoom(design, 2, order=1, mode="nearest", grid_mode=True)


def refined(problem: SIMP, coarse: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    """Return a design of `problem` from one of its coarser version, with the right volume."""
    design = np.clip(prolonged(coarse), problem.lower, problem.upper)
    return problem.retract(design, np.zeros_like(design))


def _children(field: Float[ndarray, "..."]) -> Float[ndarray, "child ..."]:
    return np.stack([field[tuple(slice(k, None, 2) for k in offset)] for offset in np.ndindex(*(2,) * field.ndim)])


def _restricted(field: Float[ndarray, "..."], dim: int) -> Float[ndarray, "..."]:
    for axis in range(field.ndim - dim, field.ndim):
        wide = np.pad(field, [(1, 1) if k == axis else (0, 0) for k in range(field.ndim)])
        part = lambda start: _every_second(wide, axis, start, field.shape[axis] // 2 + 1)  # noqa: B023, E731
        field = 0.5 * part(0) + part(1) + 0.5 * part(2)
    return field


def _any_near(flags: Bool[ndarray, "..."], dim: int) -> Bool[ndarray, "..."]:
    for axis in range(flags.ndim - dim, flags.ndim):
        wide = np.pad(flags, [(1, 1) if k == axis else (0, 0) for k in range(flags.ndim)])
        count = flags.shape[axis] // 2 + 1
        left, here, right = (_every_second(wide, axis, start, count) for start in (0, 1, 2))
        flags = here | left | right
    return flags


def _every_second(field: ndarray, axis: int, start: int, count: int) -> ndarray:
    index: list[Any] = [slice(None)] * field.ndim
    index[axis] = slice(start, start + 2 * count - 1, 2)
    return field[tuple(index)]
