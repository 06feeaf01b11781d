"""The direct solve on a coarse grid, one layer of nodes after the other. Traceable, any dimension."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from .stencil import Stencil, apply_stencil, offsets


class Factor(NamedTuple):
    r"""The result of block elimination: $S_l^{-1}$ of each layer, and the stencils between a layer and the ones before and after it.

    With $D_l$ for a layer itself and $C_l$ for the coupling to the one before, $S_l = D_l - C_l S_{l-1}^{-1} C_l^T$.
    """

    inverses: Float[Array, "layer unknown unknown"]
    before: Float[Array, "layer near comp comp ..."]
    after: Float[Array, "layer near comp comp ..."]


def width(sides: tuple[int, ...], comp: int) -> int:
    """Return the unknowns of one layer across the longest side of a grid."""
    return comp * int(np.prod([n + 1 for n in np.sort(sides)[:-1]]))


def eliminate(stencil: Stencil) -> Factor:
    """Factorize in double precision, each layer as a dense matrix; inverses are kept in the stencil's precision."""
    own, before, after = (_between(stencil, step) for step in (0, -1, 1))

    def advance(root: Array, layer: tuple[Stencil, Stencil]) -> tuple[Array, Array]:
        diagonal, coupling = (_dense(blocks) for blocks in layer)
        left = root @ coupling.T
        # Rounding on the way here must not turn the energy of a floating island negative.
        rest = 0.5 * (diagonal + diagonal.T) + 1e-7 * jnp.diag(jnp.diag(diagonal)) - left.T @ left
        root = lax.linalg.triangular_solve(jnp.linalg.cholesky(rest), jnp.eye(len(rest), dtype=rest.dtype), left_side=True, lower=True)
        return root, (root.T @ root).astype(stencil.dtype)

    size = own.shape[2] * int(np.prod(own.shape[4:]))
    return Factor(lax.scan(advance, jnp.zeros((size, size), jnp.float64), (own, before))[1], before, after)


def substitute(factor: Factor, load: Float[Array, "comp ..."]) -> Array:
    """Solve for one load."""
    axis = 1 + int(np.argmax(load.shape[1:]))
    layers = jnp.moveaxis(load, axis, 0)

    def forward(last: Array, layer: tuple[Array, Stencil, Array]) -> tuple[Array, Array]:
        inverse, before, load = layer
        rest = load - apply_stencil(before, last)
        return (field := (inverse @ rest.ravel()).reshape(rest.shape)), field

    def backward(last: Array, layer: tuple[Array, Stencil, Array]) -> tuple[Array, Array]:
        inverse, after, field = layer
        field -= (inverse @ apply_stencil(after, last).ravel()).reshape(field.shape)
        return field, field

    nothing = jnp.zeros_like(layers[0])
    fields = lax.scan(forward, nothing, (factor.inverses, factor.before, layers))[1]
    fields = lax.scan(backward, nothing, (factor.inverses, factor.after, fields), reverse=True)[1]
    return jnp.moveaxis(fields, 0, axis)


def _between(stencil: Stencil, step: int) -> Float[Array, "layer near comp comp ..."]:
    """Return, for each layer across the longest side, what couples it to the layer at this step from it."""
    sides = stencil.shape[3:]
    axis, where = int(np.argmax(sides)), offsets(len(sides))
    order = [int(np.flatnonzero((where == np.insert(o, axis, step)).all(axis=1))[0]) for o in offsets(len(sides) - 1)]
    return jnp.moveaxis(stencil[np.array(order)], 3 + axis, 0)


def _dense(stencil: Stencil) -> Float[Array, "unknown unknown"]:
    """Return the matrix between two layers from the stencil between them."""
    comp, sides = stencil.shape[1], stencil.shape[3:]
    dim, table = len(sides), jnp.zeros((comp, *sides, comp, *sides), jnp.float64)
    for block, offset in zip(stencil, offsets(dim), strict=True):
        part = jnp.moveaxis(block, 1, -1).reshape(comp, *sides, comp, *(1,) * dim).astype(table.dtype)
        for axis, k in enumerate(offset):
            sizes = np.ones(2 + 2 * dim, int)
            sizes[[1 + axis, 2 + dim + axis]] = sides[axis]
            part *= jnp.eye(sides[axis], k=int(k)).reshape(sizes)
        table += part
    size = comp * int(np.prod(sides))
    return table.reshape(size, size)
