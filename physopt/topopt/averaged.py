"""Equilibrium on a coarser grid than the design's: a cheap approximation."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .equilibrium import Equilibrium, Iterative, Work
from .stencil import gather
from .structure import Structure

KEPT = 0.8  # fraction of a load that must still act on free nodes


class AveragedWork(NamedTuple):
    """The work of the loads on the coarser grid; `share` is the derivative of the parent's modulus with respect to each element's."""

    coarse: Work
    halvings: int
    share: Float[ndarray, "..."]

    @property
    def matrix(self) -> Float[ndarray, "case case"]:
        r"""$C_{ij} = F_i^T u_j$ on the coarser grid."""
        return self.coarse.matrix

    def slopes(self, coefficients: Float[ndarray, "k case case"]) -> Float[ndarray, "k ..."]:
        r"""Return the derivatives of $\sum_{ij} W^k_{ij} C_{ij}$ with respect to each modulus of the finer grid."""
        return self.share * _spread(self.coarse.slopes(coefficients), self.halvings, self.share.shape)


class Averaged(eqx.Module):
    r"""Equilibrium on a grid with $h = 2^k$ times longer elements; moduli are power means $E = h^{d-2} (h^{-d} \sum_e \sqrt{E_e})^2$.

    The design stays on the finer grid; only the displacements are on the coarser one. If a side is not a multiple of $h$, elements without
    stiffness are added. (A cube of twice the edge is twice as stiff, a square as stiff as before: hence $h^{d-2}$.) The arithmetic mean
    would make partly solid elements so stiff that designs would rely on members that the coarser grid cannot resolve.

    **Arguments:**

    - `structure`: the finer grid, its supports and loads. `halvings`: $k$, at least 1. `poisson`, `iterative`: as for `Equilibrium`.

    **Raises:** `ValueError` if the coarser grid cannot distinguish loads from supports.

    ??? cite "Reference"
        Nguyen, Paulino, Song, Le, Struct. Multidiscip. Optim. 41 (2010) 525.
    """

    structure: Structure
    halvings: int = eqx.field(static=True)
    coarse: Equilibrium

    def __init__(self, structure: Structure, halvings: int, poisson: float = 0.3, *, iterative: bool | None = None):
        self.structure, self.halvings = structure, halvings
        coarse = structure
        for _ in range(halvings):
            coarse = halved(coarse)
        before, after = (
            np.abs(np.where(each.held, 0.0, each.force)).reshape(len(each.force), -1).sum(axis=1) for each in (structure, coarse)
        )
        if (after < KEPT * before).any():
            raise ValueError("On the coarser grid a load acts on what is held; leave halvings at 0, or move it two elements away.")
        self.coarse = Equilibrium(coarse, poisson, iterative=iterative)

    @property
    def iterative(self) -> Iterative | None:
        """The iterative solver on the coarser grid, if it is not a direct factorization."""
        return self.coarse.iterative

    @property
    def unknowns(self) -> int:
        """The number of unknowns."""
        return self.coarse.unknowns

    def work(self, young: Float[ndarray, "..."]) -> AveragedWork:
        """Return the work of each load on the displacements of each other."""
        root = mean = np.sqrt(young)
        for _ in range(self.halvings):
            mean = children(_widened(mean, [n % 2 for n in mean.shape])).mean(axis=0)
        larger = 2.0 ** (self.halvings * (young.ndim - 2))
        share = larger * 2.0 ** (-self.halvings * young.ndim) * _spread(mean, self.halvings, young.shape) / root
        return AveragedWork(self.coarse.work(larger * mean**2), self.halvings, share)


def _spread(field: Float[ndarray, "..."], halvings: int, shape: tuple[int, ...]) -> Float[ndarray, "..."]:
    """Return the values of each element's parent, on the finer grid of a shape."""
    lead = field.ndim - len(shape)
    for axis in range(lead, field.ndim):
        field = np.repeat(field, 2**halvings, axis=axis)
    return field[(slice(None),) * lead + tuple(slice(0, n) for n in shape)]


def halved(structure: Structure) -> Structure:
    """Return the structure on a grid of half the resolution, one element longer along sides that are odd.

    Forces and springs are restricted by the transpose of linear interpolation, so that totals are preserved. A node is fixed if any fine
    node around it is.
    """

    def restricted(field: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        nodes = field.shape[-len(structure.shape) :]
        even = _widened(field.reshape(-1, *nodes), [(n + 1) % 2 for n in nodes])
        with jax.enable_x64(True):
            coarse = np.asarray(gather(jnp.asarray(even), (True,) * len(nodes)))
        return coarse.reshape(*field.shape[: -len(nodes)], *coarse.shape[1:])

    shape = tuple(-(-n // 2) for n in structure.shape)
    spring = None if structure.spring is None else restricted(structure.spring)
    return Structure(shape, restricted(structure.force), restricted(structure.held.astype(float)) > 0.0, spring)


def children(field: Float[ndarray, "..."]) -> Float[ndarray, "child ..."]:
    """Return the values of the elements that make up each coarser element; sides are even."""
    return np.stack([field[tuple(slice(k, None, 2) for k in offset)] for offset in np.ndindex(*(2,) * field.ndim)])


def _widened(field: Float[ndarray, "..."], layers: list[int]) -> Float[ndarray, "..."]:
    """Return a field with layers of zeros at the far ends of its last axes."""
    return np.pad(field, [(0, 0)] * (field.ndim - len(layers)) + [(0, n) for n in layers])
