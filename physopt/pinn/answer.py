"""The solution of a problem: pieces in time, each with the correction that its error was estimated by."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float

from .domain import product
from .field import Order
from .problem import Jets, Problem
from .sampling import interior
from .space import Products


class AbstractPiece(Protocol):
    """The fields on one window of time, without and with the correction that their error was estimated by."""

    @property
    def window(self) -> tuple[float, float] | None:
        """The window; `None` for all times, or where there is no time."""
        ...

    def plain(self, points: Float[np.ndarray, "n d"], orders: Any) -> Jets:
        """Return the fields without the correction."""
        ...

    def corrected(self, points: Float[np.ndarray, "n d"], orders: Any) -> Jets:
        """Return the fields with the correction."""
        ...


class Piece(NamedTuple):
    """The fields on one window of time: `coefficients` in `space`, and the correction to them in a `finer` one."""

    window: tuple[float, float] | None
    space: Products
    coefficients: Float[np.ndarray, "size fields"]
    finer: Products
    correction: Float[np.ndarray, "finer fields"]

    def plain(self, points: Float[np.ndarray, "n d"], orders: Sequence[Order]) -> Jets:
        """Return the fields without the correction."""
        return self.space.jets(points, orders, self.coefficients)

    def corrected(self, points: Float[np.ndarray, "n d"], orders: Sequence[Order]) -> Jets:
        """Return the fields with the correction."""
        return self.plain(points, orders) + self.finer.jets(points, orders, self.correction)


class Answer(NamedTuple):
    """What `solve` found; `answer(x, t)` is the field at these places, or a dictionary of all fields where there are several.

    - `error`: the estimated relative $L_2$ error of the field that is worst, without a reference.
    - `converged`: whether `error` is at most what was asked for. `why`: one sentence on how it ended.
    - `unknowns`, `deviations`: the numbers that were to be found, and the standard deviations that the noise of the readings gives them.
    - `factors`: how many least squares systems were factorized, those of the error estimate included. `size`: the most columns.
    """

    problem: Problem
    pieces: tuple[AbstractPiece, ...]
    error: float
    converged: bool
    why: str
    unknowns: dict[str, float]
    deviations: dict[str, float]
    factors: int
    size: int

    def __call__(self, *places: Any, **named: Any) -> Any:
        """Return the fields at places: arrays of one shape, in the order of the coordinates or by name."""
        return self.derivative("", *places, **named)

    def derivative(self, letters: str, *places: Any, **named: Any) -> Any:
        """Return a derivative of the fields at places; `letters` names it as in equations: `"xx"`."""
        names = self.problem.coordinates
        given = dict(zip(names, places, strict=False)) | named
        if len(places) > len(names) or set(given) != set(names):
            raise ValueError(
                f"The answer takes {', '.join(names)}, and was given {', '.join(given) or 'nothing'}; write answer({', '.join(names)})."
            )
        arrays = np.broadcast_arrays(*(np.asarray(given[name], float) for name in names))
        points = np.stack([array.ravel() for array in arrays], axis=1)
        order = tuple(letters.count(name) for name in names)
        if sum(order) != len(letters):
            raise ValueError(f"{letters!r} is no derivative in {', '.join(names)}; write one letter for each, such as {names[0] * 2!r}.")
        values = self.at(points, order).reshape(*arrays[0].shape, len(self.problem.fields))
        fields = {name: values[..., i] for i, name in enumerate(self.problem.fields)}
        return fields if len(fields) > 1 else values[..., 0]

    def at(self, points: Float[np.ndarray, "n d"], order: Order | None = None) -> Float[np.ndarray, "n fields"]:
        """Return all fields at points, corrected."""
        return self.jets(points, [(0,) * points.shape[1] if order is None else order])[:, :, 0]

    def jets(self, points: Float[np.ndarray, "n d"], orders: Sequence[Order]) -> Jets:
        """Return derivatives of all fields at points, corrected."""
        return self.looked(points, lambda piece, there: piece.corrected(there, orders))

    def looked(self, points: Float[np.ndarray, "n d"], look: Callable[[AbstractPiece, Any], Any]) -> Float[np.ndarray, "n ..."]:
        """Return what `look` says at points, asked for each piece with the points in its window; where there is none, what is no number."""
        values, missing = np.zeros(0), np.ones(len(points), bool)
        for piece in self.pieces:
            chosen = missing
            if piece.window is not None:
                slack = 1e-12 * (piece.window[1] - piece.window[0])
                chosen = missing & (points[:, -1] <= piece.window[1] + slack) & (points[:, -1] >= piece.window[0] - slack)
            if chosen.any():
                found = look(piece, points[chosen])
                values = np.full((len(points), *found.shape[1:]), np.nan) if missing.all() else values
                values[chosen], missing = found, missing & ~chosen
        if missing.all():
            return np.full((len(points), *look(self.pieces[0], points[:0]).shape[1:]), np.nan)
        return values

    def true_error(self, num: int = 101) -> float:
        """Return the relative $L_2$ error of the worst field against the problem's reference.

        It is taken on a grid of `num` squared points in 2D, and at as many random ones beyond 3D.
        """
        domain, ends = self.problem.domain, self.problem.ends
        if len(ends) > 3:
            points = interior(self.problem, np.random.default_rng(2), num**2)
        else:
            each = max(int(num ** min(2.0 / len(ends), 1.0)), 9)
            points = product([np.linspace(low, high, each) for low, high in ends])
            points = points[domain.inside(points[:, : len(domain.names)])]
        exact = self.problem.exact(points)
        if exact is None:
            raise ValueError("This problem has no reference; write Problem(..., reference=lambda x, t: ...).")
        return float(np.max(np.linalg.norm(self.at(points) - exact, axis=0) / np.linalg.norm(exact, axis=0)))
