"""Equilibrium on a coarser grid than the design's: cheap, and nearly the same."""

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


class AveragedWork(NamedTuple):
    """What loads do in equilibrium on the coarser grid, with slopes by the moduli of the finer one, whose shape is `shape`."""

    coarse: Work
    halvings: int
    shape: tuple[int, ...]

    @property
    def matrix(self) -> Float[ndarray, "case case"]:
        r"""$C_{ij} = F_i^T u_j$ on the coarser grid."""
        return self.coarse.matrix

    def slopes(self, coefficients: Float[ndarray, "k case case"]) -> Float[ndarray, "k ..."]:
        r"""Return the derivatives of $\sum_{ij} W^k_{ij} C_{ij}$ by each modulus: those of an element's parent, shared."""
        slopes = 4.0**-self.halvings * self.coarse.slopes(coefficients)
        for axis in range(1, slopes.ndim):
            slopes = np.repeat(slopes, 2**self.halvings, axis=axis)
        return slopes[:, *(slice(0, n) for n in self.shape)]


class Averaged(eqx.Module):
    r"""Equilibrium on a grid with $h = 2^k$ times longer elements, each as stiff as its children together: $E = h^{-2} \sum_e E_e$.

    The design stays on the finer grid; only what is solved for is coarser. Where a side is no multiple of $h$, elements of no stiffness
    are added. (A cube of twice the edge is twice as stiff, a square as stiff as before: hence $h^{-2}$ in any dimension.)

    **Arguments:**

    - `structure`: the finer grid, its supports and loads. `halvings`: $k$, at least 1. `poisson`, `iterative`: as for `Equilibrium`.

    **Raises:** `ValueError` where the coarser grid tells loads and supports no longer apart.

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
        self.coarse = Equilibrium(coarse, poisson, iterative=iterative)

    @property
    def iterative(self) -> Iterative | None:
        """What solves on the coarser grid, if not a direct factorization."""
        return self.coarse.iterative

    @property
    def unknowns(self) -> int:
        """How many numbers are solved for."""
        return self.coarse.unknowns

    def work(self, young: Float[ndarray, "..."]) -> AveragedWork:
        """Return the work of each load on the displacements of each other."""
        averaged = young
        for _ in range(self.halvings):
            averaged = 0.25 * children(_widened(averaged, [n % 2 for n in averaged.shape])).sum(axis=0)
        return AveragedWork(self.coarse.work(averaged), self.halvings, young.shape)


def halved(structure: Structure) -> Structure:
    """Return the structure on a grid of half the resolution, one element longer along sides that are odd.

    Forces and springs are restricted by the transpose of linear interpolation, so that totals stay; a node is held where any fine
    node around it is.
    """

    def restricted(field: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        nodes = field.shape[-len(structure.shape) :]
        even = _widened(field.reshape(-1, *nodes), [(n + 1) % 2 for n in nodes])
        with jax.enable_x64(True):
            coarse = np.asarray(gather(jnp.asarray(even)))
        return coarse.reshape(*field.shape[: -len(nodes)], *coarse.shape[1:])

    shape = tuple(-(-n // 2) for n in structure.shape)
    spring = None if structure.spring is None else restricted(structure.spring)
    return Structure(shape, restricted(structure.force), restricted(structure.held.astype(float)) > 0.0, spring)


def children(field: Float[ndarray, "..."]) -> Float[ndarray, "child ..."]:
    """Return what the elements that make up each coarser one hold; sides are even."""
    return np.stack([field[tuple(slice(k, None, 2) for k in offset)] for offset in np.ndindex(*(2,) * field.ndim)])


def _widened(field: Float[ndarray, "..."], layers: list[int]) -> Float[ndarray, "..."]:
    """Return a field with layers of zeros at the far ends of its last axes."""
    return np.pad(field, [(0, 0)] * (field.ndim - len(layers)) + [(0, n) for n in layers])
