"""Trial spaces: what the fields are combined from, linearly."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .bases import AbstractBasis, Chebyshev, Fourier, Profile
from .domain import Axes, product
from .field import Order
from .problem import Jets, Problem

KEPT = 6  # arrays of points


class Products:
    """Trial functions that are products of one function of each coordinate; each field is a combination of all `size` of them.

    **Arguments:**

    - `bases`: one for each coordinate.
    """

    def __init__(self, bases: Sequence[AbstractBasis]) -> None:
        self.bases = tuple(bases)
        self.sizes = tuple(basis.size for basis in bases)
        self.size = int(np.prod(self.sizes))
        self.low, self.high = (np.array([getattr(basis, end) for basis in bases]) for end in ("low", "high"))
        self._looked: dict[int, _Looked] = {}

    @classmethod
    def of(cls, problem: Problem, window: tuple[float, float] | None) -> "Products":
        """Return a small space for a problem: Fourier's functions where it repeats, polynomials elsewhere."""
        sides = zip(problem.domain.low, problem.domain.high, problem.domain.periodic, strict=True)
        few, some = (7, 9) if len(problem.coordinates) < 3 else (3, 4)
        bases: list[AbstractBasis] = [
            Fourier(float(low), float(high), few) if repeats else Chebyshev(float(low), float(high), 5 + some)
            for low, high, repeats in sides
        ]
        return cls([*bases, Chebyshev(*window, 9)] if window is not None else bases)

    def over(self, window: tuple[float, float]) -> "Products":
        """Return the same space over another window of time."""
        return Products([*self.bases[:-1], Chebyshev(*window, self.bases[-1].size)])

    def rows(self, points: Float[np.ndarray, "n d"], weights: dict[Order, Float[np.ndarray, " n"]]) -> Float[np.ndarray, "n size"]:
        r"""Return $\sum_\alpha w_\alpha(x_i) D^\alpha \phi_j(x_i)$."""
        tables = self._tables(points, list(weights))

        def summed(weights: dict[Order, Float[np.ndarray, " n"]], axis: int) -> Float[np.ndarray, "n _"]:
            """Sum the products over the first coordinates up to `axis`; orders that agree in it share one product."""
            total = None
            for times in sorted({order[axis] for order in weights}):
                members = {order: weight for order, weight in weights.items() if order[axis] == times}
                first = np.sum([*members.values()], axis=0)[:, None] if axis == 0 else summed(members, axis - 1)
                product = (first[:, :, None] * tables[axis][times][:, None, :]).reshape(len(points), -1)
                total = product if total is None else np.add(total, product, out=total)
            return np.zeros((len(points), self.size)) if total is None else total

        return summed(weights, len(self.bases) - 1)

    def jets(self, points: Float[np.ndarray, "n d"], orders: Sequence[Order], coefficients: Float[np.ndarray, "size fields"]) -> Jets:
        """Return the derivatives of the fields with these coefficients, summed over one coordinate after the other."""
        tables, fields = self._tables(points, orders), coefficients.shape[1]
        out = np.empty((len(points), fields, len(orders)))
        for k, order in enumerate(orders):
            tensor = coefficients.reshape(self.sizes[0], -1)
            part = tables[0][order[0]] @ tensor
            for axis, times in enumerate(order[1:], 1):
                part = np.einsum(
                    "nij,ni->nj", part.reshape(len(points), self.sizes[axis], part.shape[1] // self.sizes[axis]), tables[axis][times]
                )
            out[:, :, k] = part.reshape(len(points), fields)
        return out

    def points(self) -> Float[np.ndarray, "n d"]:
        """Return points of the box that pin the functions down: products of each coordinate's."""
        ratio = {1: 1.8, 2: 1.35}.get(len(self.bases), 1.25)
        return product([basis.points(ratio) for basis in self.bases])

    def axes(self) -> Axes:
        """Return values of each coordinate that pin the functions down on an edge: twice as dense, with the ends."""
        return [np.unique(np.r_[basis.low, basis.points(2.0), basis.high]) for basis in self.bases]

    def finer(self, axis: int | None = None) -> "Products":
        """Return a somewhat richer space, in one coordinate or in all."""
        return Products([basis.finer() if axis in (None, i) else basis for i, basis in enumerate(self.bases)])

    def grown(self, axis: int, profile: Profile, largest: float = np.inf) -> "Products":
        """Make one basis much richer or, where the space would have more than `largest` functions, only better placed; else return this."""
        richer = self._with(axis, self.bases[axis].grown(profile))
        if richer.size <= largest:
            return richer
        moved = self.bases[axis].moved(profile)
        return self if moved is self.bases[axis] else self._with(axis, moved)

    def _with(self, axis: int, basis: AbstractBasis) -> "Products":
        return Products([*self.bases[:axis], basis, *self.bases[axis + 1 :]])

    def fitted(self, look: Callable[[Float[np.ndarray, "n d"]], Float[np.ndarray, "n fields"]]) -> Float[np.ndarray, "size fields"]:
        """Return the coefficients of the fields nearest to `look`, fitted in one coordinate after the other."""
        axes = [basis.points(1.5) for basis in self.bases]
        tensor = look(product(axes)).reshape(*(len(axis) for axis in axes), -1)
        for i, (basis, x) in enumerate(zip(self.bases, axes, strict=True)):
            moved = np.moveaxis(tensor, i, 0)
            fitted = np.linalg.lstsq(basis.derivative(x, 0), moved.reshape(len(x), -1), rcond=1e-13)[0]
            tensor = np.moveaxis(fitted.reshape(basis.size, *moved.shape[1:]), 0, i)
        return tensor.reshape(self.size, -1)

    def _tables(self, points: Float[np.ndarray, "n d"], orders: Sequence[Order]) -> list[dict[int, Float[np.ndarray, "n size"]]]:
        """Return the derivatives of each basis that these orders need; those at the last few arrays of points are kept."""
        looked = self._looked.pop(id(points), None) or _Looked(points, [{} for _ in self.bases])
        self._looked[id(points)] = looked
        if len(self._looked) > KEPT:
            del self._looked[next(iter(self._looked))]
        for axis, (basis, tables) in enumerate(zip(self.bases, looked.tables, strict=True)):
            missing = {order[axis] for order in orders} - tables.keys()
            if missing:
                values, places = np.unique(points[:, axis], return_inverse=True)
                tables |= {times: basis.derivative(values, times)[places] for times in missing}
        return looked.tables


class _Looked(NamedTuple):
    """An array of points, held so that no other can have its identity, and the derivatives of each basis there."""

    points: Float[np.ndarray, "n d"]
    tables: list[dict[int, Float[np.ndarray, "n _"]]]
