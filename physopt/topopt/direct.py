"""Direct finite-element solves: exact, and quick enough for small grids."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from threadpoolctl import ThreadpoolController

from .element import at_corners

NARROW = 30_000_000  # numbers in a band: up to here its factorization is quicker than that of a sparse matrix
LEAF = 4  # nodes along the longest side of what is not dissected further


class Pattern(NamedTuple):
    """The sparsity pattern: entries of the element matrices that are `kept` are added at `place` in an array of `size` numbers.

    `order` are the unknowns, as indices into a flat field; `diagonal` is the place of each unknown's diagonal entry.
    """

    order: Int[ndarray, " unknown"]
    kept: Bool[ndarray, "element row column"]
    place: Int[ndarray, " kept"]
    diagonal: Int[ndarray, " unknown"]
    size: int


class Columns(NamedTuple):
    """The pattern of a matrix in compressed columns: the row of each number, and where columns begin."""

    pattern: Pattern
    rows: Int[ndarray, " number"]
    starts: Int[ndarray, " unknown_and_one"]


class Direct:
    r"""Solve $K(E) u = f$, $K(E) = \sum_e E_e A_e^T K_0 A_e$: by LAPACK's banded Cholesky factorization, or SuperLU if the band is wide.

    Unknowns are ordered layer by layer along the longest side for the band, by nested dissection for SuperLU.

    **Arguments:**

    - `element`: $K_0$. `held`: the degrees of freedom fixed at zero, `(comp, *node)`.
    - `spring`: stiffness added to each degree of freedom, of the same shape.

    ??? cite "Reference"
        George, SIAM J. Numer. Anal. 10 (1973) 345.
    """

    def __init__(
        self,
        element: Float[ndarray, "corner comp corner comp"],
        held: Bool[ndarray, "comp ..."],
        spring: Float[ndarray, "comp ..."] | None = None,
    ):
        self.element, self.held, self.spring = element, held, spring
        self.width = band_width(held)

    @property
    def narrow(self) -> bool:
        """Is the banded factorization the quicker one?"""
        return self.width * self.held.size <= NARROW

    def matrix(self, young: Float[ndarray, "..."]) -> scipy.sparse.csc_array:
        """Return the stiffness matrix of the unknowns, in the order of `self.sparse.pattern`."""
        pattern, rows, starts = self.sparse
        return scipy.sparse.csc_array((self._numbers(pattern, young), rows, starts), shape=(len(pattern.order),) * 2)

    def solve(self, young: Float[ndarray, "..."], loads: Float[ndarray, "case comp ..."]) -> Float[ndarray, "case comp ..."]:
        """Return the displacements for the loads; `young` is positive everywhere."""
        if self.narrow:
            # With moduli that differ by 1e15 rounding can make the matrix indefinite; SuperLU does not mind.
            with contextlib.suppress(np.linalg.LinAlgError):
                return self._by_band(young, loads)
        return self._by_superlu(young, loads)

    def _by_band(self, young: ndarray, loads: ndarray) -> ndarray:
        lower = self._numbers(self.band, young).reshape(len(self.band.order), -1).T
        with _blas().limit(limits=1):
            factor = scipy.linalg.cholesky_banded(lower, overwrite_ab=True, lower=True, check_finite=False)
        return self._answers(loads, self.band.order, lambda right: scipy.linalg.cho_solve_banded((factor, True), right, check_finite=False))

    def _by_superlu(self, young: ndarray, loads: ndarray) -> ndarray:
        # No pivoting: the matrix is positive definite.
        options = {"SymmetricMode": True}
        factor = scipy.sparse.linalg.splu(self.matrix(young), permc_spec="NATURAL", diag_pivot_thresh=0.0, options=options)
        return self._answers(loads, self.sparse.pattern.order, factor.solve)

    def _answers(self, loads: ndarray, order: Int[ndarray, " unknown"], solve: Callable[[ndarray], ndarray]) -> ndarray:
        fields = np.zeros((len(loads), self.held.size))
        fields[:, order] = solve(loads.reshape(len(loads), -1)[:, order].T).T
        return fields.reshape(loads.shape)

    def _numbers(self, pattern: Pattern, young: ndarray) -> Float[ndarray, " number"]:
        width = self.element.shape[0] * self.element.shape[1]
        entries = (young.reshape(-1, 1, 1) * self.element.reshape(width, width))[pattern.kept]
        numbers = np.bincount(pattern.place, entries, pattern.size)
        if self.spring is not None:
            numbers[pattern.diagonal] += self.spring.ravel()[pattern.order]
        return numbers

    @functools.cached_property
    def band(self) -> Pattern:
        """The lower triangle: for each column the entries on and below the diagonal."""
        order, kept, rows, columns = self._entries(layered(self.held.shape[1:]))
        low = rows >= columns
        kept[kept] = low
        rows, columns = rows[low], columns[low]
        height = int((rows - columns).max()) + 1
        return Pattern(order, kept, columns * height + rows - columns, height * np.arange(len(order)), height * len(order))

    @functools.cached_property
    def sparse(self) -> Columns:
        """All entries, in compressed columns."""
        order, kept, rows, columns = self._entries(dissected(self.held.shape[1:]))
        count = len(order)
        places, place = np.unique(columns * count + rows, return_inverse=True)
        starts = np.searchsorted(places, count * np.arange(count + 1))
        diagonal = np.searchsorted(places, (count + 1) * np.arange(count))
        return Columns(Pattern(order, kept, place, diagonal, len(places)), places % count, starts)

    def _entries(self, nodes: Int[ndarray, " node"]) -> tuple[ndarray, ndarray, ndarray, ndarray]:
        """Return the order of unknowns for one of nodes, which entries are between unknowns, and their rows and columns."""
        order = (nodes[:, None] + nodes.size * np.arange(len(self.held))).ravel()
        order = order[~self.held.ravel()[order]]
        number = np.full(self.held.size, -1)
        number[order] = np.arange(len(order))
        local = at_corners(number.reshape(self.held.shape), self.held.ndim - 1)
        local = local.reshape(len(self.element) * len(self.held), -1).T
        rows, columns = np.broadcast_arrays(local[:, :, None], local[:, None, :])
        kept = (rows >= 0) & (columns >= 0)
        return order, kept, rows[kept], columns[kept]


@functools.cache
def _blas() -> ThreadpoolController:
    """Return a handle on BLAS, whose threads make a narrow band take twice as long."""
    return ThreadpoolController().select(user_api="blas")


def band_width(held: Bool[ndarray, "comp ..."]) -> int:
    """Return the largest width of the band."""
    sides = sorted(held.shape[1:])
    return len(held) * (int(np.prod(sides[:-1])) + int(np.prod(sides[:-2])) + 2)


def layered(shape: Sequence[int]) -> Int[ndarray, " node"]:
    """Return the nodes of a grid layer by layer along the longest side, and so on in each layer."""
    return np.arange(np.prod(shape)).reshape(shape).transpose(np.argsort(shape)[::-1]).ravel()


def dissected(shape: Sequence[int]) -> Int[ndarray, " node"]:
    """Return the nodes of a grid in the order of nested dissection: one half, the other half, then the layer between them."""

    def parts(nodes: ndarray) -> list[ndarray]:
        axis = int(np.argmax(nodes.shape))
        if nodes.shape[axis] <= LEAF:
            return [nodes.ravel()]
        before, layer, after = np.split(nodes, [nodes.shape[axis] // 2, nodes.shape[axis] // 2 + 1], axis)
        return [*parts(before), *parts(after), layer.ravel()]

    return np.concatenate(parts(np.arange(np.prod(shape)).reshape(shape)))
