"""What holds besides the equation: at the start, on the boundary, at given places, in the mean, and what was measured."""

import abc
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float

from .domain import AbstractDomain, Axes, Box, Edge, product

Residual = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Places:
    """Points in all coordinates, with the outer normals in space where there is a boundary.

    - `sums`: where it is given, the residual is not asked to vanish at the points but in these weighted sums, shape `(sums, points)`.
    - `targets`: what is subtracted from the residual, or from the sums; shape `(rows,)`.
    """

    points: Float[np.ndarray, "n d"]
    normals: Float[np.ndarray, "n s"] | None = None
    sums: Float[np.ndarray, "rows n"] | None = None
    targets: Float[np.ndarray, " rows"] | None = None


class AbstractCondition(abc.ABC):
    """A residual, and the places at which it has to vanish."""

    residual: Residual
    measured: ClassVar[bool] = False  # fitted as well as the noise allows, and not at the expense of the equation
    whole: ClassVar[bool] = False  # speaks of all times at once, so that time cannot be cut into slabs

    @abc.abstractmethod
    def places(self, domain: AbstractDomain, window: tuple[float, float] | None, axes: Axes) -> Places:
        """Return the places within a window of time, as dense as the values `axes` of all coordinates where it is free to choose."""

    def scattered(self, domain: AbstractDomain, window: tuple[float, float] | None, rng: np.random.Generator, num: int) -> Places:
        """Return about `num` random places within a window of time; given places are all returned."""
        size = len(domain.names)
        times = [] if window is None else [rng.uniform(*window, max(int(num ** (1.0 / (size + 1))), 3))]
        each = max(int((num / max(len(times), 1)) ** (1.0 / max(size, 1))), 4)
        axes = [np.linspace(low, high, each) for low, high in zip(domain.low, domain.high, strict=True)]
        return self.places(domain, window, [*axes, *times])


@dataclasses.dataclass(frozen=True)
class Start(AbstractCondition):
    """What holds in all of space at the first instant: `Start(lambda u, x: u - jnp.sin(x))`.

    Where the equation has `u.tt`, a second one gives `u.t`.
    """

    residual: Residual

    def places(self, domain: AbstractDomain, window: tuple[float, float] | None, axes: Axes) -> Places:
        """Return points of the whole domain at the beginning of the window."""
        assert window is not None  # a problem without time refuses it
        space = product(axes[:-1]) if domain.names else np.zeros((1, 0))
        space = space[domain.inside(space)]
        return Places(np.column_stack([space, np.full(len(space), window[0])]))

    def scattered(self, domain: AbstractDomain, window: tuple[float, float] | None, rng: np.random.Generator, num: int) -> Places:
        """Return random points of the domain at the beginning of the window."""
        assert window is not None
        return Places(np.column_stack([domain.scattered(rng, num), np.full(num, window[0])]))


@dataclasses.dataclass(frozen=True)
class Boundary(AbstractCondition):
    """What holds on the boundary: `Boundary(lambda u: u)`, on a part of it with `where=lambda x, y: x == 0`.

    **Arguments:**

    - `where`: takes coordinates in space as arrays, by name, and returns which of these points are meant. Compare with `==` only on
      a side of a box, whose points lie there exactly.
    """

    residual: Residual
    where: Callable[..., Any] | None = None

    def places(self, domain: AbstractDomain, window: tuple[float, float] | None, axes: Axes) -> Places:
        """Return points of the boundary, at times spread over the window."""
        edge = self._meant(domain, domain.edge(axes[: len(domain.names)]))
        if window is None:
            return Places(edge.points, edge.normals)
        times = axes[-1]
        points = np.column_stack([np.repeat(edge.points, len(times), axis=0), np.tile(times, len(edge.points))])
        return Places(points, np.repeat(edge.normals, len(times), axis=0))

    def scattered(self, domain: AbstractDomain, window: tuple[float, float] | None, rng: np.random.Generator, num: int) -> Places:
        """Return random points of the boundary, at random times."""
        many = num if self.where is None else 8 * num * max(len(domain.names), 1)
        edge = self._meant(domain, domain.scattered_edge(rng, many))
        chosen = rng.integers(len(edge.points), size=num) if self.where is not None else np.arange(num)
        points, normals = edge.points[chosen], edge.normals[chosen]
        return Places(points if window is None else np.column_stack([points, rng.uniform(*window, num)]), normals)

    def at(self, domain: AbstractDomain, points: Float[np.ndarray, "n s"]) -> Bool[np.ndarray, " n"]:
        """Return at which points of the boundary it holds."""
        return np.ones(len(points), bool) if self.where is None else _chosen(self.where, domain, points)

    def _meant(self, domain: AbstractDomain, edge: Edge) -> Edge:
        edge = edge.where(self.at(domain, edge.points))
        if not len(edge.points):
            raise ValueError(
                "A Boundary has no points: its `where` chooses none, or the domain is periodic. Compare with the domain's ends: x == 0."
            )
        return edge


def _chosen(where: Callable[..., Any], domain: AbstractDomain, points: Float[np.ndarray, "n s"]) -> Bool[np.ndarray, " n"]:
    """Return which points a user's function chooses; it takes the coordinates that it names."""
    given = inspect.signature(where).parameters
    asked = {name: one for name, one in given.items() if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
    takes_all = any(one.kind is one.VAR_KEYWORD for one in given.values())
    if strange := [name for name, one in asked.items() if name not in domain.names and one.default is one.empty]:
        raise ValueError(f"`where` asks for {strange[0]!r}; it takes the coordinates in space, by name: {', '.join(domain.names)}.")
    try:
        chosen = where(**{name: points[:, i] for i, name in enumerate(domain.names) if takes_all or name in asked})
    except ValueError as error:
        if "ambiguous" not in str(error):
            raise
        raise ValueError("`where` takes arrays: write (x == 0) & (y > 0.5), with brackets, for `and`; | for `or`; ~ for `not`.") from error
    return np.broadcast_to(np.asarray(chosen, bool), len(points))


class At(AbstractCondition):
    """What holds at given places: `At(lambda u: u.x - 1, x=0.0)`; a number stands for all places, no `t` for all times."""

    def __init__(self, residual: Residual, **coordinates: Any) -> None:
        self.residual, self.coordinates = residual, {name: np.atleast_1d(np.asarray(at, float)) for name, at in coordinates.items()}
        self._count = max((len(at) for at in self.coordinates.values()), default=1)
        if strange := [
            n for n, at in self.coordinates.items() if at.ndim > 1 or len(at) not in (1, self._count) or not np.isfinite(at).all()
        ]:
            raise ValueError(
                f"The places in {strange[0]} are no {self._count} finite numbers; write one number or one array for each coordinate."
            )

    @property
    def whole(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether it speaks of given times."""
        return "t" in self.coordinates

    def places(self, domain: AbstractDomain, window: tuple[float, float] | None, axes: Axes) -> Places:
        """Return the given places; times that were left out are spread over the window."""
        names = domain.names + (("t",) if window is not None else ())
        if strange := [name for name in self.coordinates if name not in names]:
            raise ValueError(f"{strange[0]!r} is no coordinate of this problem; it has {', '.join(names)}.")
        if missing := [name for name in domain.names if name not in self.coordinates]:
            raise ValueError(f"A condition at given places has no {missing[0]}; write At(..., {missing[0]}=...).")
        given = [np.broadcast_to(self.coordinates[name], self._count) for name in domain.names]
        self._within(domain, window, np.column_stack([*given, np.zeros(self._count)])[:, :-1])
        if window is None or "t" in self.coordinates:
            given += [np.broadcast_to(self.coordinates["t"], self._count)] if window is not None else []
            return Places(np.column_stack(given))
        times = axes[-1]
        return Places(np.column_stack([np.repeat(column, len(times)) for column in given] + [np.tile(times, self._count)]))

    def _within(self, domain: AbstractDomain, window: tuple[float, float] | None, space: Float[np.ndarray, "n s"]) -> None:
        """Refuse places outside of the domain."""
        outside = ~domain.inside(space)
        if window is not None and "t" in self.coordinates:
            slack = 1e-12 * (window[1] - window[0])
            outside |= (self.coordinates["t"] < window[0] - slack) | (self.coordinates["t"] > window[1] + slack)
        if outside.any():
            i = int(np.argmax(outside))
            place = ", ".join(f"{name} = {np.broadcast_to(at, self._count)[i]:.6g}" for name, at in self.coordinates.items())
            ends = ", ".join(
                f"{name} from {low:.6g} to {high:.6g}" for name, low, high in zip(domain.names, domain.low, domain.high, strict=True)
            )
            times = f", t from {window[0]:.6g} to {window[1]:.6g}" if window is not None else ""
            raise ValueError(f"{type(self).__name__}: {place} is outside of the domain, which has {(ends + times).lstrip(', ')}.")


class Data(At):
    """Readings: `Data(lambda u: u, values, x=..., t=...)` says that the expression was measured to be `values` at these places.

    **Arguments:**

    - `values`: one reading for each place; several expressions have one column each.
    """

    measured = True

    def __init__(self, residual: Residual, values: Any, **coordinates: Any) -> None:
        self.values = np.asarray(values, float)
        super().__init__(residual, **coordinates)
        if len(self.values) != self._count or not np.isfinite(self.values).all():
            raise ValueError(
                f"There are {len(self.values)} readings at {self._count} places, or one is not finite; write one finite number each."
            )

    def places(self, domain: AbstractDomain, window: tuple[float, float] | None, axes: Axes) -> Places:
        """Return the places and the readings."""
        return dataclasses.replace(super().places(domain, window, axes), targets=self.values.T.ravel())


@dataclasses.dataclass(frozen=True)
class Integral(AbstractCondition):
    r"""$\int f\,dx = c$ over all of space, at every time: `Integral(lambda u: u**2, 1.0)`."""

    residual: Residual
    equals: float | int = 0.0

    def places(self, domain: AbstractDomain, window: tuple[float, float] | None, axes: Axes) -> Places:
        """Return a rule of integration in space, at several times."""
        nodes, weights = _quadrature(domain, axes[: len(domain.names)])
        times = np.zeros(1) if window is None else axes[-1]
        points = np.tile(nodes, (len(times), 1))
        if window is not None:
            points = np.column_stack([points, np.repeat(times, len(nodes))])
        return Places(points, None, np.kron(np.eye(len(times)), weights), np.full(len(times), float(self.equals)))


def _quadrature(domain: AbstractDomain, axes: Axes) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    if not isinstance(domain, Box):
        points = domain.interior(4096)
        cube = domain.low + (domain.high - domain.low) * np.random.default_rng(0).random((1 << 16, len(domain.names)))
        share: Bool[np.ndarray, " n"] = domain.inside(cube)
        return points, np.full(len(points), np.prod(domain.high - domain.low) * share.mean() / len(points))
    rules = [np.polynomial.legendre.leggauss(len(values)) for values in axes]
    sides = list(zip(domain.low, domain.high, strict=True))
    nodes = product([low + (high - low) * (roots + 1.0) / 2.0 for (roots, _), (low, high) in zip(rules, sides, strict=True)])
    return nodes, np.prod(product([(high - low) / 2.0 * weights for (_, weights), (low, high) in zip(rules, sides, strict=True)]), axis=1)
