"""The same problem on a grid of half the resolution, and its design on the finer grid."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float
from numpy import ndarray

from .problem import SIMP
from .stencil import gather
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
    with jax.enable_x64(True):
        coarse = np.asarray(gather(jnp.asarray(field.reshape(-1, *field.shape[-dim:]))))
    return coarse.reshape(*field.shape[:-dim], *coarse.shape[1:])


def _any_near(flags: Bool[ndarray, "..."], dim: int) -> Bool[ndarray, "..."]:
    return _restricted(flags.astype(float), dim) > 0.0
