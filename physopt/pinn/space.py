"""Trial spaces: what the fields are combined from, linearly."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .bases import AbstractBasis, Chebyshev, Fourier, Profile
from .changes import changes
from .corner_functions import CornerFunctions
from .domain import AbstractDomain, Axes, Corner, product
from .field import Order
from .problem import Jets, Problem

KEPT = 6  # arrays of points
EMPTY = 0.05  # of its box a domain is taken to fill at least


class Products:
    """Trial functions that are products of one function of each coordinate; each field is a combination of all `size` of them.

    **Arguments:**

    - `bases`: one for each coordinate.
    - `corners`: further functions of the first two coordinates, each times all functions of the others.
    """

    def __init__(self, bases: Sequence[AbstractBasis], corners: CornerFunctions | None = None) -> None:
        self.bases, self.corners = tuple(bases), corners
        self.sizes = tuple(basis.size for basis in bases)
        self.smooth = int(np.prod(self.sizes))
        self.size = self.smooth + (corners.size * int(np.prod(self.sizes[2:])) if corners is not None else 0)
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
        inward = [corner for corner in problem.domain.corners() if corner.inward] + changes(problem)
        corners = CornerFunctions.around(inward) if inward else None
        return cls([*bases, Chebyshev(*window, 9)] if window is not None else bases, corners)

    @property
    def inward(self) -> bool:
        """Whether there are functions for corners that point inwards, or for changes of the conditions."""
        return any(corner.inward for corner in self.corners_held)

    @property
    def corners_held(self) -> tuple[Corner, ...]:
        """The corners that there are functions for."""
        return () if self.corners is None else self.corners.corners

    def over(self, window: tuple[float, float]) -> "Products":
        """Return the same space over another window of time."""
        return Products([*self.bases[:-1], Chebyshev(*window, self.bases[-1].size)], self.corners)

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
            return np.zeros((len(points), self.smooth)) if total is None else total

        smooth = summed(weights, len(self.bases) - 1)
        if self.corners is None:
            return smooth
        return np.hstack([smooth, np.sum([w[:, None] * self._at_corners(points, order) for order, w in weights.items()], axis=0)])

    def jets(self, points: Float[np.ndarray, "n d"], orders: Sequence[Order], coefficients: Float[np.ndarray, "size fields"]) -> Jets:
        """Return the derivatives of the fields with these coefficients, summed over one coordinate after the other."""
        tables, fields = self._tables(points, orders), coefficients.shape[1]
        out = np.empty((len(points), fields, len(orders)))
        for k, order in enumerate(orders):
            tensor = coefficients[: self.smooth].reshape(self.sizes[0], -1)
            part = tables[0][order[0]] @ tensor
            for axis, times in enumerate(order[1:], 1):
                part = np.einsum(
                    "nij,ni->nj", part.reshape(len(points), self.sizes[axis], part.shape[1] // self.sizes[axis]), tables[axis][times]
                )
            out[:, :, k] = part.reshape(len(points), fields)
            if self.corners is not None:
                out[:, :, k] += self._at_corners(points, order) @ coefficients[self.smooth :]
        return out

    def _at_corners(self, points: Float[np.ndarray, "n d"], order: Order) -> Float[np.ndarray, "n _"]:
        """Return a derivative of the corners' functions."""
        assert self.corners is not None
        known = self._seen(points).at_corners
        if order[:2] not in known:
            known[order[:2]] = self.corners.derivative(points[:, :2], *order[:2])
        found = known[order[:2]]
        for table, times in zip(self._tables(points, [order])[2:], order[2:], strict=True):
            found = (found[:, :, None] * table[times][:, None, :]).reshape(len(points), -1)
        return found

    def points(self, domain: AbstractDomain) -> Float[np.ndarray, "n d"]:
        """Return points inside a domain that pin the functions down: products of each coordinate's, denser where a corner points inwards.

        They are also denser by as much as the domain leaves empty of its box: as many functions need as many points in less room.
        """
        ratios = np.full(len(self.bases), {1: 1.8, 2: 1.35}.get(len(self.bases), 1.25) if self.corners is None else 1.5)
        size, wanted = len(domain.names), 0.0
        while True:
            axes = [basis.points(ratio) for basis, ratio in zip(self.bases, ratios, strict=True)]
            points = product(axes if self.corners is None else self._beside_corners(axes))
            inside = points[domain.inside(points[:, :size])]
            wanted = wanted or 0.95 * len(points)
            if len(inside) >= wanted or len(points) > wanted / EMPTY:
                return inside
            ratios[:size] *= 1.01 * (wanted / max(len(inside), EMPTY * wanted)) ** (1.0 / size)

    def axes(self) -> Axes:
        """Return values of each coordinate that pin the functions down on an edge: twice as dense, with the ends."""
        axes = [np.unique(np.r_[basis.low, basis.points(2.0), basis.high]) for basis in self.bases]
        return axes if self.corners is None else self._beside_corners(axes)

    def _beside_corners(self, axes: Axes) -> Axes:
        assert self.corners is not None
        return [*(self.corners.beside(axis, values) for axis, values in enumerate(axes[:2])), *axes[2:]]

    def finer(self, axis: int | None = None) -> "Products":
        """Return a somewhat richer space, in one coordinate or in all."""
        corners = self.corners.finer() if self.corners is not None and axis is None else self.corners
        return Products([basis.finer() if axis in (None, i) else basis for i, basis in enumerate(self.bases)], corners)

    def cornered(self, domain: AbstractDomain) -> "Products | None":
        """Return this space with functions for all corners of a domain in the plane, or `None` if it has them or there are none."""
        known = self.corners_held
        others = [corner for corner in domain.corners() if corner not in known] if len(self.bases) == 2 else []
        return Products(self.bases, CornerFunctions.around([*known, *others])) if others else None

    def grown(self, axis: int, profile: Profile, largest: float = np.inf) -> "Products":
        """Make one basis much richer or, where the space would have more than `largest` functions, only better placed; else return this."""
        basis = self.bases[axis]
        smooth = self.inward and isinstance(basis, Chebyshev)  # splines are lost where the domain does not fill its box
        richer = self._with(axis, basis.richer() if smooth else basis.grown(profile))
        if richer.size <= largest:
            return richer
        return self.moved(axis, profile)

    def moved(self, axis: int, profile: Profile) -> "Products":
        """Place as many functions of one coordinate better; return this where they are in place."""
        basis = self.bases[axis]
        moved = basis.moved(profile)
        return self if moved is basis else self._with(axis, moved)

    def _with(self, axis: int, basis: AbstractBasis) -> "Products":
        return Products([*self.bases[:axis], basis, *self.bases[axis + 1 :]], self.corners)

    def fitted(self, look: Callable[[Float[np.ndarray, "n d"]], Float[np.ndarray, "n fields"]]) -> Float[np.ndarray, "size fields"]:
        """Return the coefficients of the fields nearest to `look`, fitted in one coordinate after the other, by products alone."""
        axes = [basis.points(1.5) for basis in self.bases]
        tensor = look(product(axes)).reshape(*(len(axis) for axis in axes), -1)
        for i, (basis, x) in enumerate(zip(self.bases, axes, strict=True)):
            moved = np.moveaxis(tensor, i, 0)
            fitted = np.linalg.lstsq(basis.derivative(x, 0), moved.reshape(len(x), -1), rcond=1e-13)[0]
            tensor = np.moveaxis(fitted.reshape(basis.size, *moved.shape[1:]), 0, i)
        smooth = tensor.reshape(self.smooth, -1)
        return np.vstack([smooth, np.zeros((self.size - self.smooth, smooth.shape[1]))])

    def _tables(self, points: Float[np.ndarray, "n d"], orders: Sequence[Order]) -> list[dict[int, Float[np.ndarray, "n size"]]]:
        """Return the derivatives of each basis that these orders need; those at the last few arrays of points are kept."""
        looked = self._seen(points)
        for axis, (basis, tables) in enumerate(zip(self.bases, looked.tables, strict=True)):
            missing = {order[axis] for order in orders} - tables.keys()
            if missing:
                values, places = np.unique(points[:, axis], return_inverse=True)
                tables |= {times: basis.derivative(values, times)[places] for times in missing}
        return looked.tables

    def _seen(self, points: Float[np.ndarray, "n d"]) -> "_Looked":
        looked = self._looked.pop(id(points), None) or _Looked(points, [{} for _ in self.bases], {})
        self._looked[id(points)] = looked
        if len(self._looked) > KEPT:
            del self._looked[next(iter(self._looked))]
        return looked


class _Looked(NamedTuple):
    """An array of points, held so that no other can have its identity, and the derivatives of each basis and of corner functions there."""

    points: Float[np.ndarray, "n d"]
    tables: list[dict[int, Float[np.ndarray, "n _"]]]
    at_corners: dict[Order, Float[np.ndarray, "n _"]]
