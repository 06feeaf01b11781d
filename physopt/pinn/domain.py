"""Where an equation holds: boxes, balls, and what they make together."""

import abc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import qmc

Points = Float[np.ndarray, "n d"]
Axes = Sequence[Float[np.ndarray, " _"]]


class Edge(NamedTuple):
    """Points of a boundary and their outer unit normals."""

    points: Points
    normals: Points

    def where(self, chosen: Bool[np.ndarray, " n"]) -> "Edge":
        """Return those that are chosen."""
        return Edge(self.points[chosen], self.normals[chosen])


class Corner(NamedTuple):
    """A corner of right angles in the plane, a `pole` outside, and a length; `inward`: the domain fills three of the four angles, not one.

    Nothing of the domain is on the straight line from the corner to the pole. `root`: where it is inward, solutions are powers of the
    distance to this root. A place on a side at which the conditions change counts as inward, with a root of 2.
    """

    x: float
    y: float
    pole_x: float
    pole_y: float
    scale: float
    inward: bool
    root: int = 3


class AbstractDomain(abc.ABC):
    """A region of space. `a | b` is the union, `a & b` the intersection, `a - b` what is in `a` and not in `b`."""

    names: tuple[str, ...]
    low: Float[np.ndarray, " d"]
    high: Float[np.ndarray, " d"]
    periodic: tuple[bool, ...]

    @abc.abstractmethod
    def inside(self, points: Points) -> Bool[np.ndarray, " n"]:
        """Return which points are in the domain; its boundary counts as inside."""

    @abc.abstractmethod
    def edge(self, axes: Axes) -> Edge:
        """Return points of the boundary as dense as `axes`, the values that each coordinate is sampled at, and the outer normals there."""

    def ends(self) -> Axes:
        """Return the values of each coordinate at which straight sides along the others lie."""
        return [np.zeros(0) for _ in self.names]

    def corners(self) -> list[Corner]:
        """Return the corners in the plane at which the domain fills one or three of four right angles."""
        if len(self.names) != 2 or any(self.periodic):
            return []
        size, quadrants = float(np.max(self.high - self.low)), np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
        away, found = size * np.linspace(1e-4, 1.0, 2000)[:, None], []
        for corner in product([np.unique(each) for each in self.ends()]):
            inside = self.inside(corner + 1e-7 * size * quadrants)
            if inside.sum() in (1, 3):
                outwards = quadrants[np.argmin(inside)] if inside.sum() == 3 else -quadrants[np.argmax(inside)]
                across = self.inside(corner + away * outwards)  # the domain on the other side of a hole
                pole = corner + (0.5 * away[np.argmax(across)] if across.any() else size) * outwards
                (x, y), (pole_x, pole_y) = corner.tolist(), pole.tolist()
                found.append(Corner(x, y, pole_x, pole_y, size, bool(inside.sum() == 3)))
        return found

    def interior(self, num: int) -> Points:
        """Return about `num` points inside, evenly spread and the same each time."""
        size = len(self.names)
        if size == 0:
            return np.zeros((1, 0))
        unit = qmc.Halton(size, scramble=False).random(4 * num + 64)[1:]
        points = self.low + (self.high - self.low) * unit
        kept = points[self.inside(points)]
        if len(kept) < 4:
            raise ValueError(
                f"The domain in {', '.join(self.names)} is empty: none of {len(points)} points of its box is inside; check its parts."
            )
        return kept[:num]

    def scattered(self, rng: np.random.Generator, num: int) -> Points:
        """Return `num` random points inside, uniform."""
        found = np.zeros((0, len(self.names)))
        for _ in range(1000):
            drawn = rng.uniform(self.low, self.high, (2 * num, len(self.names)))
            found = np.concatenate([found, drawn[self.inside(drawn)]])
            if len(found) >= num:
                return found[:num]
        raise ValueError(f"The domain in {', '.join(self.names)} is empty, or fills too little of its box: random points miss it.")

    def scattered_edge(self, rng: np.random.Generator, num: int) -> Edge:
        """Return `num` random points of the boundary, or none where it has none."""
        each = max(int(np.ceil(num ** (1.5 / len(self.names)))), 16) if self.names else 0
        edge = self.edge([np.linspace(low, high, each) for low, high in zip(self.low, self.high, strict=True)])
        if not len(edge.points):
            return edge
        chosen = rng.integers(len(edge.points), size=num)
        return Edge(edge.points[chosen], edge.normals[chosen])

    def __or__(self, other: "AbstractDomain") -> "AbstractDomain":
        return _Joined(self, other, lambda a, b: a | b, lambda a, b: (np.minimum(a.low, b.low), np.maximum(a.high, b.high)))

    def __and__(self, other: "AbstractDomain") -> "AbstractDomain":
        return _Joined(self, other, lambda a, b: a & b, lambda a, b: (np.maximum(a.low, b.low), np.minimum(a.high, b.high)))

    def __sub__(self, other: "AbstractDomain") -> "AbstractDomain":
        return _Joined(self, other, lambda a, b: a & ~b, lambda a, b: (a.low, a.high), flip=-1.0)


class Box(AbstractDomain):
    """An interval, rectangle or box: `Box(x=(-1, 1), y=(0, 2))`.

    **Arguments:**

    - one pair of numbers for each coordinate, in order.
    - `periodic`: names of the coordinates in which everything repeats, as one string: `"x"` or `"x y"`.
    """

    def __init__(self, periodic: str = "", **sides: Sequence[float | int]) -> None:
        for name, side in sides.items():
            if len(side) != 2 or not np.all(np.isfinite(side)) or not side[0] < side[1]:
                raise ValueError(
                    f"The box is {side!r} in {name}, which holds no points; write two numbers, the smaller one first: {name}=(0, 1)."
                )
        repeated = periodic.split()
        if strange := [name for name in repeated if name not in sides]:
            raise ValueError(f"periodic={periodic!r} names {strange[0]!r}, which is no coordinate of the box; it has {', '.join(sides)}.")
        self.names = tuple(sides)
        self.low, self.high = (np.array([float(side[i]) for side in sides.values()]) for i in (0, 1))
        self.periodic = tuple(name in repeated for name in sides)

    def inside(self, points: Points) -> Bool[np.ndarray, " n"]:
        """Return which points are in the box."""
        slack = 1e-12 * (self.high - self.low)
        return np.all((points >= self.low - slack) & (points <= self.high + slack), axis=1)

    def ends(self) -> Axes:
        """Return both ends of each side."""
        return [np.array(pair) for pair in zip(self.low, self.high, strict=True)]

    def edge(self, axes: Axes) -> Edge:
        """Return points of the sides that are not periodic, both ends of an interval, and their normals."""
        size = len(self.names)
        within = [_between(values, low, high) for values, low, high in zip(axes, self.low, self.high, strict=True)]
        points, normals = [np.zeros((0, size))], [np.zeros((0, size))]
        for axis in (i for i, repeats in enumerate(self.periodic) if not repeats):
            for end, sign in ((self.low, -1.0), (self.high, 1.0)):
                side = product([values if i != axis else end[axis : axis + 1] for i, values in enumerate(within)])
                points.append(side)
                normals.append(np.where(np.arange(size) == axis, sign, 0.0) * np.ones((len(side), 1)))
        return Edge(np.concatenate(points), np.concatenate(normals))

    def scattered_edge(self, rng: np.random.Generator, num: int) -> Edge:
        """Return `num` random points of the sides that are not periodic."""
        axes = np.flatnonzero(~np.array(self.periodic))
        num = num if len(axes) else 0
        points = rng.uniform(self.low, self.high, (num, len(self.names)))
        side, upper, rows = rng.choice(axes, num) if len(axes) else np.zeros(0, int), rng.random(num) < 0.5, np.arange(num)
        points[rows, side] = np.where(upper, self.high[side], self.low[side])
        normals = np.zeros_like(points)
        normals[rows, side] = np.where(upper, 1.0, -1.0)
        return Edge(points, normals)


class Ball(AbstractDomain):
    """A disk or ball: `Ball(0.5, x=0, y=0)` has the radius 0.5 around the origin.

    **Arguments:**

    - `radius`: positive; then the centre, one number for each coordinate.
    """

    def __init__(self, radius: float | int, **centre: float | int) -> None:
        if not (np.isfinite(radius) and radius > 0.0) or len(centre) < 2:
            raise ValueError(
                f"A ball of radius {radius} in {len(centre)} coordinates holds no points; write Ball(1.0, x=0, y=0), or a Box in 1D."
            )
        self.radius, self.centre, self.names = float(radius), np.array([float(c) for c in centre.values()]), tuple(centre)
        self.low, self.high = self.centre - radius, self.centre + radius
        self.periodic = (False,) * len(centre)

    def inside(self, points: Points) -> Bool[np.ndarray, " n"]:
        """Return which points are at most one radius from the centre."""
        return np.sum((points - self.centre) ** 2, axis=1) <= (self.radius * (1.0 + 1e-12)) ** 2

    def edge(self, axes: Axes) -> Edge:
        """Return points of the circle or sphere."""
        num = (
            2 * sum(len(values) for values in axes) if len(self.names) == 2 else 2 * int(np.prod([len(values) for values in axes]) ** 0.67)
        )
        if len(self.names) == 2:
            angle = 2.0 * np.pi * (np.arange(num) + 0.25) / num
            normals = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        else:
            normals = qmc.MultivariateNormalQMC(np.zeros(len(self.names)), engine=qmc.Halton(len(self.names), seed=0)).random(num)
            normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        return Edge(self.centre + self.radius * normals, normals)


class Cloud(AbstractDomain):
    """A region that is known by its points only: where the equation is to hold, and where its boundary is.

    **Arguments:**

    - `names`: of the coordinates. `points`: inside, shape `(n, d)`. `boundary`: on the edge, shape `(m, d)`.
    - `normals`: the outer unit normals at `boundary`; needed for `u.normal` only.
    """

    def __init__(self, names: tuple[str, ...], points: Any, boundary: Any, normals: Any = None) -> None:
        self.names, self._points, self._boundary = tuple(names), np.asarray(points, float), np.asarray(boundary, float)
        for what, array in (("points", self._points), ("boundary", self._boundary)):
            if array.ndim != 2 or array.shape[1] != len(self.names) or not np.isfinite(array).all() or not len(array):
                raise ValueError(f"The cloud's {what} have shape {array.shape}; write finite numbers of shape (n, {len(self.names)}).")
        self._normals = np.full_like(self._boundary, np.nan) if normals is None else np.asarray(normals, float)
        everything = np.concatenate([self._points, self._boundary])
        self.low, self.high = everything.min(axis=0), everything.max(axis=0)
        self.periodic = (False,) * len(self.names)

    def inside(self, points: Points) -> Bool[np.ndarray, " n"]:
        """Return which points are no farther from the cloud than its own neighbours are from each other."""
        from scipy.spatial import cKDTree

        tree = cKDTree(np.concatenate([self._points, self._boundary]))
        spacing = np.quantile(tree.query(self._points, k=2)[0][:, 1], 0.95)
        return tree.query(points)[0] <= 1.5 * spacing

    def interior(self, num: int) -> Points:
        """Return the points of the cloud, at most `num` of them."""
        return self._points[:: max(len(self._points) // num, 1)]

    def scattered(self, rng: np.random.Generator, num: int) -> Points:
        """Return random points of the cloud."""
        return self._points[rng.integers(len(self._points), size=num)]

    def edge(self, axes: Axes) -> Edge:
        """Return the points of the boundary."""
        return Edge(self._boundary, self._normals)


class _Joined(AbstractDomain):
    """Two domains joined by `rule`, which says from "in the first" and "in the second" whether a point is in; `flip` turns the second."""

    def __init__(self, first: AbstractDomain, second: AbstractDomain, rule: Callable, box: Callable, flip: float = 1.0) -> None:
        if first.names != second.names:
            raise ValueError(
                f"The parts have the coordinates {', '.join(first.names)} and {', '.join(second.names)}; they must be the same."
            )
        self._parts, self._rule, self._flip = (first, second), rule, flip
        self.names, self.periodic = first.names, first.periodic
        self.low, self.high = box(first, second)
        if not (self.low < self.high).all():
            raise ValueError("The domain is empty: its two parts do not overlap.")

    def inside(self, points: Points) -> Bool[np.ndarray, " n"]:
        """Return which points are inside."""
        return self._rule(*(part.inside(points) for part in self._parts))

    def ends(self) -> Axes:
        """Return the straight sides of both."""
        return [np.concatenate(each) for each in zip(*(part.ends() for part in self._parts), strict=True)]

    def edge(self, axes: Axes) -> Edge:
        """Return the points of both edges with the domain on their inner side only."""
        first, second = (part.edge(axes) for part in self._parts)
        both = Edge(np.concatenate([first.points, second.points]), np.concatenate([first.normals, self._flip * second.normals]))
        step = 1e-9 * np.max(self.high - self.low) * both.normals
        return both.where(self.inside(both.points - step) & ~self.inside(both.points + step))


def product(axes: Axes) -> Points:
    """Return all combinations of one value of each axis."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def _between(values: Float[np.ndarray, " n"], low: float, high: float) -> Float[np.ndarray, " m"]:
    """Return the values between two ends; where these are few, as many of our own, denser near the ends."""
    inner = values[(values > low) & (values < high)]
    own = low + (high - low) * (0.5 - 0.5 * np.cos(np.pi * (np.arange(16) + 0.5) / 16))
    return inner if len(inner) >= 16 or len(inner) == len(values) else own
