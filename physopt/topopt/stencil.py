"""Matrix-free linear operators on the nodes of a grid: each node gathers from its neighbors. Traceable, any dimension.

A field is an array `(comp, *node)`; elements carry one Young's modulus or one small matrix `(corner, comp, corner, comp)` each.
"""

import itertools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int
from numpy import ndarray

from .element import corners

WRITTEN = 9  # terms of a sum; more are added in a loop, because what is written out takes half a minute to compile in 3D
# The matrix between a node and its neighbor at each of the `offsets`, (offset, comp, comp, *node).
Stencil = Float[Array, "offset comp comp ..."]
Halved = tuple[bool, ...]  # along which axes the elements of the coarser grid are twice as long


def apply_elements(element: Float[ndarray, "corner comp corner comp"], young: Float[Array, "..."], field: Float[Array, "..."]) -> Array:
    r"""Return $\sum_e E_e A_e^T K_0 A_e u$.

    Each node gathers from the elements around it, without indices, without scatter, and without arrays larger than the field.
    """
    ends = np.array(corners(young.ndim))
    padded, wide = jnp.pad(young, 1), _padded(field)

    def add(result: Array, here: tuple[Any, Any]) -> Array:
        corner, rows = here
        gathered: Array | float = 0.0
        for there, b in enumerate(ends):
            near = _window(wide, b - corner, field.shape)
            for j in range(len(field)):
                gathered += rows[:, there, j].reshape(-1, *(1,) * young.ndim) * near[j]
        return result + _window(padded, -corner, field.shape[1:]) * gathered

    return _accumulate(add, jnp.zeros_like(field), (ends, element.astype(field.dtype)))


def element_diagonal(element: Float[ndarray, "corner comp corner comp"], young: Float[Array, "..."]) -> Array:
    """Return the diagonal of `apply_elements`, as a field."""
    nodes, padded = tuple(n + 1 for n in young.shape), jnp.pad(young, 1)
    around = [_window(padded, -np.array(a), nodes) for a in corners(young.ndim)]
    return jnp.stack([sum(float(element[a, i, a, i]) * e for a, e in enumerate(around)) for i in range(element.shape[1])])


def offsets(dim: int) -> Int[ndarray, "offset dim"]:
    """Return the offsets of the neighbors of a node, itself first."""
    ends = np.array(corners(dim))
    return np.array(list(dict.fromkeys(tuple(b - a) for a in ends for b in ends)))


def stencil_of(matrices: Float[Array, "corner comp corner comp ..."]) -> Stencil:
    """Return the stencil of the sum of all elements' matrices."""
    dim, comp, sides = matrices.ndim - 4, matrices.shape[1], matrices.shape[4:]
    ends, where = np.array(corners(dim)), offsets(dim)
    pairs = list(itertools.product(range(len(ends)), repeat=2))
    numbers = [int(np.flatnonzero((where == ends[b] - ends[a]).all(axis=1))[0]) for a, b in pairs]

    def add(result: Array, pair: tuple[Any, Any, Any, Any]) -> Array:
        a, b, number, corner = pair  # node n has the element n - a around it
        piece = lax.dynamic_slice(matrices, (a, 0, b, 0, *(0,) * dim), (1, comp, 1, comp, *sides)).reshape(1, comp, comp, *sides)
        start = (number, 0, 0, *corner)
        return lax.dynamic_update_slice(result, lax.dynamic_slice(result, start, piece.shape) + piece, start)

    nothing = jnp.zeros((len(where), comp, comp, *(n + 1 for n in sides)), matrices.dtype)
    return _accumulate(add, nothing, (*np.array(pairs).T, np.array(numbers), ends[np.array(pairs)[:, 0]]))


def apply_stencil(stencil: Stencil, field: Float[Array, "..."]) -> Array:
    """Apply a stencil: each node gathers from the nodes around it."""
    wide = _padded(field)

    def add(result: Array, entry: tuple[Any, Array]) -> Array:
        offset, block = entry
        near = _window(wide, offset, field.shape)
        for j in range(len(field)):
            result += block[:, j] * near[j]
        return result

    return _accumulate(add, jnp.zeros_like(field), (offsets(field.ndim - 1), stencil))


def half_elements(element: Float[ndarray, "corner comp corner comp"], young: Float[Array, "..."], halved: Halved) -> Array:
    r"""Return $\sum_c E_c P_c^T K_0 P_c$ of each element twice as large along the axes that are `halved`, over its children $c$."""
    result: Array | float = 0.0
    for child in children(halved):
        share = child_interpolation(child, halved)
        block = jnp.asarray(np.einsum("bB,bidj,dD->BiDj", share, element, share), young.dtype)
        result += block.reshape(block.shape + (1,) * young.ndim) * young[_every(child, halved)]
    return jnp.asarray(result)


def half_matrices(matrices: Float[Array, "corner comp corner comp ..."], halved: Halved) -> Array:
    r"""Return $\sum_c P_c^T K_c P_c$ of each element twice as large along the axes that are `halved`, over its children $c$."""
    shares = jnp.asarray(np.stack([child_interpolation(child, halved) for child in children(halved)]), matrices.dtype)
    parts = jnp.stack([matrices[(slice(None),) * 4 + _every(child, halved)] for child in children(halved)])
    return jnp.einsum("cbB,cbiDj...->BiDj...", shares, jnp.einsum("cbidj...,cdD->cbiDj...", parts, shares))


def children(halved: Halved) -> list[tuple[int, ...]]:
    """Return the positions of the children in an element: 0 or 1 along the axes that are halved, 0 along the others."""
    return list(itertools.product(*((0, 1) if half else (0,) for half in halved)))


def child_interpolation(child: tuple[int, ...], halved: Halved) -> Float[ndarray, "corner corner"]:
    """Return the values of an element's corner functions (columns) at the corners of one of its children (rows)."""
    ends = np.array(corners(len(child)))
    at = ((ends + child) / np.where(halved, 2.0, 1.0))[:, None, :]
    return np.where(ends == 1, at, 1.0 - at).prod(axis=2)


def interpolate(field: Float[Array, "..."], halved: Halved) -> Array:
    """Return a field on a grid twice as fine along the axes that are `halved`, linear in between."""
    for axis in _axes(halved):
        size = field.shape[axis]
        low, high = lax.slice_in_dim(field, 0, size - 1, axis=axis), lax.slice_in_dim(field, 1, size, axis=axis)
        pairs = jnp.stack([low, 0.5 * (low + high)], axis=axis + 1)
        pairs = pairs.reshape(*field.shape[:axis], 2 * size - 2, *field.shape[axis + 1 :])
        field = jnp.concatenate([pairs, lax.slice_in_dim(field, size - 1, size, axis=axis)], axis=axis)
    return field


def gather(field: Float[Array, "..."], halved: Halved) -> Array:
    """Return the transpose of `interpolate`, of a field with an odd number of nodes along each axis that is halved."""
    for axis in _axes(halved):
        size = field.shape[axis]
        even, odd = lax.slice_in_dim(field, 0, size, 2, axis=axis), lax.slice_in_dim(field, 1, size, 2, axis=axis)
        before, after = [(0, 0)] * field.ndim, [(0, 0)] * field.ndim
        before[axis], after[axis] = (1, 0), (0, 1)
        field = even + 0.5 * (jnp.pad(odd, before) + jnp.pad(odd, after))
    return field


def _axes(halved: Halved) -> list[int]:
    """Return the axes of a field that are halved; its first one is the component."""
    return [axis for axis, half in enumerate(halved, start=1) if half]


def _every(child: tuple[int, ...], halved: Halved) -> tuple[slice, ...]:
    return tuple(slice(k, None, 2 if half else 1) for k, half in zip(child, halved, strict=True))


def _accumulate(add: Callable[[Array, Any], Array], start: Array, terms: tuple[Any, ...]) -> Array:
    """Return what is left after adding all terms, along their first axes."""
    if len(terms[0]) <= WRITTEN:
        for term in zip(*terms, strict=True):
            start = add(start, term)
        return start
    return lax.scan(lambda result, term: (add(result, term), None), start, tuple(jnp.asarray(t) for t in terms))[0]


def _padded(field: Float[Array, "comp ..."]) -> Array:
    return jnp.pad(field, [(0, 0), *[(1, 1)] * (field.ndim - 1)])


def _window(padded: Array, offset: Int[ndarray, " dim"] | Array, shape: tuple[int, ...]) -> Array:
    """Return what lies at an offset of -1, 0 or 1 from each place, out of an array padded by one along its last axes."""
    return lax.dynamic_slice(padded, (0,) * (padded.ndim - len(offset)) + tuple(1 + k for k in offset), shape)
