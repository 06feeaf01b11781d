"""Linear operators on the nodes of a grid without a matrix: what each node gathers from its neighbors. Traceable, any dimension.

A field is an array `(comp, *node)`; elements carry one Young's modulus or one small matrix `(corner, comp, corner, comp)` each.
"""

import itertools
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float
from numpy import ndarray

from .element import corners

# The matrix between a node and the neighbor at an offset, (comp, comp, *node), for each offset.
Stencil = Mapping[tuple[int, ...], Float[Array, "..."]]


def apply_elements(element: Float[ndarray, "corner comp corner comp"], young: Float[Array, "..."], field: Float[Array, "..."]) -> Array:
    r"""Return $\sum_e E_e A_e^T K_0 A_e u$.

    Each node gathers from the elements around it, with the numbers of $K_0$ written into the program: no indices, nothing scattered,
    no array larger than the field.
    """
    dim, comp, nodes = young.ndim, field.shape[0], field.shape[1:]
    padded, wide = jnp.pad(young, 1), [jnp.pad(u, 1) for u in field]
    near: dict[tuple[int, ...], list[Array]] = {o: [_window(w, o, nodes) for w in wide] for o in itertools.product((-1, 0, 1), repeat=dim)}
    result = [jnp.zeros(nodes, field.dtype)] * comp
    for here, a in enumerate(corners(dim)):
        modulus = _window(padded, tuple(-k for k in a), nodes)
        for i in range(comp):
            gathered: Array | float = 0.0
            for there, b in enumerate(corners(dim)):
                for j, u in enumerate(near[tuple(q - p for p, q in zip(a, b, strict=True))]):
                    factor = float(element[here, i, there, j])
                    if abs(factor) > 1e-14:
                        gathered += factor * u
            result[i] += modulus * gathered
    return jnp.stack(result)


def element_diagonal(element: Float[ndarray, "corner comp corner comp"], young: Float[Array, "..."]) -> Array:
    """Return the diagonal of `apply_elements`, as a field."""
    nodes, padded = tuple(n + 1 for n in young.shape), jnp.pad(young, 1)
    around = [_window(padded, tuple(-k for k in a), nodes) for a in corners(young.ndim)]
    return jnp.stack([sum(float(element[a, i, a, i]) * e for a, e in enumerate(around)) for i in range(element.shape[1])])


def stencil_of(matrices: Float[Array, "corner comp corner comp ..."]) -> Stencil:
    """Return the stencil of the sum of all elements' matrices."""
    dim, result = matrices.ndim - 4, {}
    for here, a in enumerate(corners(dim)):
        for there, b in enumerate(corners(dim)):
            offset = tuple(q - p for p, q in zip(a, b, strict=True))
            # Node n has the element n - a around it.
            piece = jnp.pad(matrices[here, :, there, :], [(0, 0), (0, 0), *((k, 1 - k) for k in a)])
            result[offset] = result[offset] + piece if offset in result else piece
    return result


def apply_stencil(stencil: Stencil, field: Float[Array, "..."]) -> Array:
    """Return what each node gathers from the nodes around it."""
    nodes, wide = field.shape[1:], [jnp.pad(u, 1) for u in field]
    result = [jnp.zeros(nodes, field.dtype)] * field.shape[0]
    for offset, block in stencil.items():
        for j, w in enumerate(wide):
            u = _window(w, offset, nodes)
            for i in range(field.shape[0]):
                result[i] += block[i, j] * u
    return jnp.stack(result)


def half_elements(element: Float[ndarray, "corner comp corner comp"], young: Float[Array, "..."]) -> Array:
    r"""Return $\sum_c E_c P_c^T K_0 P_c$ of each element twice as large, over its children $c$."""
    result: Array | float = 0.0
    for child in corners(young.ndim):
        share = child_interpolation(child)
        block = jnp.asarray(np.einsum("bB,bidj,dD->BiDj", share, element, share), young.dtype)
        result += block.reshape(block.shape + (1,) * young.ndim) * young[_children(child)]
    return jnp.asarray(result)


def half_matrices(matrices: Float[Array, "corner comp corner comp ..."]) -> Array:
    r"""Return $\sum_c P_c^T K_c P_c$ of each element twice as large, over its children $c$."""
    result: Array | float = 0.0
    for child in corners(matrices.ndim - 4):
        share = jnp.asarray(child_interpolation(child), matrices.dtype)
        part = matrices[(slice(None),) * 4 + _children(child)]
        result += jnp.einsum("bB,bidj...,dD->BiDj...", share, part, share, optimize="optimal")
    return jnp.asarray(result)


def child_interpolation(child: tuple[int, ...]) -> Float[ndarray, "corner corner"]:
    """Return the values of an element's corner functions (columns) at the corners of one of its children (rows)."""
    ends = np.array(corners(len(child)))
    at = (ends + child)[:, None, :] / 2.0
    return np.where(ends == 1, at, 1.0 - at).prod(axis=2)


def interpolate(field: Float[Array, "..."]) -> Array:
    """Return a field on a grid twice as fine, linear in between."""
    for axis in range(1, field.ndim):
        size = field.shape[axis]
        low, high = lax.slice_in_dim(field, 0, size - 1, axis=axis), lax.slice_in_dim(field, 1, size, axis=axis)
        pairs = jnp.stack([low, 0.5 * (low + high)], axis=axis + 1)
        pairs = pairs.reshape(*field.shape[:axis], 2 * size - 2, *field.shape[axis + 1 :])
        field = jnp.concatenate([pairs, lax.slice_in_dim(field, size - 1, size, axis=axis)], axis=axis)
    return field


def gather(field: Float[Array, "..."]) -> Array:
    """Return the transpose of `interpolate`, of a field with an odd number of nodes along each axis."""
    for axis in range(1, field.ndim):
        size = field.shape[axis]
        even, odd = lax.slice_in_dim(field, 0, size, 2, axis=axis), lax.slice_in_dim(field, 1, size, 2, axis=axis)
        before, after = [(0, 0)] * field.ndim, [(0, 0)] * field.ndim
        before[axis], after[axis] = (1, 0), (0, 1)
        field = even + 0.5 * (jnp.pad(odd, before) + jnp.pad(odd, after))
    return field


def _children(child: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(k, None, 2) for k in child)


def _window(padded: Array, offset: tuple[int, ...], nodes: tuple[int, ...]) -> Array:
    """Return what lies at an offset of -1, 0 or 1 from each node, out of an array padded by one."""
    start = tuple(1 + k for k in offset)
    return lax.slice(padded, start, tuple(s + n for s, n in zip(start, nodes, strict=True)))
