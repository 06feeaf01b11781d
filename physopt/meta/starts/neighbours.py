r"""Starts for a least squares problem $\min_x |r(x, \mu)|^2$ from its solutions for other $\mu$: tangents, their span, and a march."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray

DAMPINGS = (1e-9, 1e-6)  # of a tangent, in mean diagonal entries of J^T J; the one with the lower residual is taken
LOOK = 0.03  # linearizations that one residual costs, or one product of J with a vector, as measured; see docs/benchmarks.md
CLOSE = 3.0  # times what a neighbour leaves of its own residual: a start that leaves no more is good enough
WORTH = 0.05  # of what a cold start leaves: where a start leaves more, the way there is followed in small steps
ROUNDS = 5  # of Gauss and Newton's method in the span
MISS = 0.02  # of dr/ds: what may be left after a move of a march
TRIED = (2.0, 1.0, 0.5, 0.25)  # times the last move along the way
MOST, SOON = 60, 8  # linearizations of a march; after how many it ends if at its pace there would be more


class Linear(NamedTuple):
    r"""A residual at one $x$ and $\mu$, with its slopes, at places that the family chose.

    - `columns`: $J^T$, one row for each unknown. `slopes`: $\partial r / \partial \mu$, one column for each number of the task.
    - `norm`: $|r|$ at another point and task, at the same places.
    """

    residual: Float[ndarray, " rows"]
    columns: Float[ndarray, "unknowns rows"]
    slopes: Float[ndarray, "rows d"]
    norm: Callable[[Float[ndarray, " unknowns"], Float[ndarray, " d"]], float]


@runtime_checkable
class AbstractResiduals(Protocol):
    """Least squares problems that differ in a task vector."""

    def linearize(self, point: Float[ndarray, " unknowns"], task: Float[ndarray, " d"]) -> Linear:
        """Return the residual with its slopes, at fresh places if there are such."""
        ...

    def norm(self, point: Float[ndarray, " unknowns"], task: Float[ndarray, " d"]) -> float:
        """Return the norm of the residual at places that are the same in each call."""
        ...

    def along(
        self, point: Float[ndarray, " unknowns"], task: Float[ndarray, " d"], directions: Float[ndarray, "k unknowns"]
    ) -> tuple[Float[ndarray, " rows"], Float[ndarray, "rows k"]]:
        """Return the residual at the places of `norm`, and its derivatives along directions."""
        ...


class Way(NamedTuple):
    r"""From one task to another: $\mu_0^{1-s} \mu_1^s$ where both are positive, and a line elsewhere."""

    begin: Float[ndarray, " d"]
    end: Float[ndarray, " d"]

    def at(self, s: float) -> Float[ndarray, " d"]:
        """Return the task at `s`, between 0 and 1."""
        line = self.begin + s * (self.end - self.begin)
        return np.where(self._curved, self._safe(self.begin) ** (1.0 - s) * self._safe(self.end) ** s, line)

    def slope(self, s: float) -> Float[ndarray, " d"]:
        r"""Return $d\mu / ds$."""
        return np.where(self._curved, self.at(s) * np.log(self._safe(self.end) / self._safe(self.begin)), self.end - self.begin)

    @property
    def _curved(self) -> Float[ndarray, " d"]:
        return 1.0 * ((self.begin > 0.0) & (self.end > 0.0))

    def _safe(self, task: Float[ndarray, " d"]) -> Float[ndarray, " d"]:
        return np.where(self._curved, task, 1.0)


class Solved(NamedTuple):
    """The solution of another problem of the family."""

    task: Float[ndarray, " d"]
    point: Float[ndarray, " unknowns"]


class Begin(NamedTuple):
    """A start: `name` says of which kind, `norm` what it leaves of the residual, `steps` how many linearizations it cost."""

    name: str
    point: Float[ndarray, " unknowns"]
    norm: float
    steps: float


def begin(
    family: AbstractResiduals,
    task: Float[ndarray, " d"],
    solved: "Sequence[Solved]",
    cold: Float[ndarray, " unknowns"],
) -> Begin:
    """Return the start with the lowest residual among a cold one, the nearest solution, its tangent, the span of all, and a march.

    What costs more is tried only where the rest does not come close: the tangent as a whole, in two parts, the span, then the march. A
    start is `"cold"` where none leaves less of the residual. What does not solve its own problem, because it is one of another family, is
    left out. Every linearization is counted, and residuals as `LOOK` of one.
    """
    found = [Begin("cold", cold, _finite(family.norm(cold, task)), 0.0)]
    left = [_finite(family.norm(one.point, one.task)) for one in solved]
    near = [(one, own) for one, own in zip(solved, left, strict=True) if own <= WORTH * found[0].norm]
    spent = LOOK * (1 + len(solved) + len(near))
    if not near:
        return found[0]._replace(steps=spent)
    near.sort(key=lambda one: _finite(family.norm(one[0].point, task)))
    first, way, aim = near[0][0], Way(near[0][0].task, task), CLOSE * near[0][1]
    found.append(Begin("nearest", first.point, _finite(family.norm(first.point, task)), 0.0))

    def tried(name: str, make: "Callable[[], tuple[Float[ndarray, ' unknowns'], float]]") -> None:
        nonlocal spent
        try:
            point, steps = make()
        except np.linalg.LinAlgError:  # a linearization that has no factor says nothing about the other starts
            return
        spent += steps
        found.append(Begin(name, point, _finite(family.norm(point, task)), 0.0))

    def lowest() -> Begin:
        return min(found, key=lambda one: one.norm)

    if aim < found[1].norm < found[0].norm:
        start = family.linearize(first.point, first.task)
        spent += 1.0
        tried("tangent", lambda: tangent(family, way, first.point, start, 1))
        enough = WORTH * found[0].norm
        if lowest().norm > enough:
            tried("tangent", lambda: tangent(family, way, first.point, start, 2))
        if lowest().norm > enough and len(near) > 2:
            tried("span", lambda: span(family, task, [lowest().point, *(one.point for one, _ in near)]))
        if lowest().norm > enough:
            tried("march", lambda: march(family, way, first.point)[:2])
    return lowest()._replace(steps=spent)


def tangent(
    family: AbstractResiduals, way: Way, point: Float[ndarray, " unknowns"], linear: Linear, parts: int
) -> tuple[Float[ndarray, " unknowns"], float]:
    r"""Return the point moved along the way in equal parts, and what that cost beyond `linear`, which is taken where it begins.

    A part moves it by $-(J^T J + \lambda)^{-1} J^T \partial r / \partial \mu \, \Delta \mu$, with or without the step that corrects what
    the residual is. Of these, with two $\lambda$, the lowest residual at the end of the part decides.
    """
    for part in range(parts):
        linear = linear if part == 0 else family.linearize(point, way.at(part / parts))
        there = way.at((part + 1) / parts)
        sides = np.column_stack([linear.slopes @ way.slope(part / parts) / parts, linear.residual])
        moves = [move @ weights for move in damped(linear.columns, sides, DAMPINGS) for weights in ([1.0, 0.0], [1.0, 1.0])]
        moved = [point + move for move in moves]
        point = moved[int(np.argmin([_finite(linear.norm(one, there)) for one in moved]))]
    return point, parts - 1 + LOOK * parts * 2 * len(DAMPINGS)


def span(
    family: AbstractResiduals, task: Float[ndarray, " d"], points: "Sequence[Float[ndarray, ' unknowns']]"
) -> tuple[Float[ndarray, " unknowns"], float]:
    """Return the best affine combination of points, by Gauss and Newton's method from the first of them, and what that cost."""
    point, rounds = points[0], 0
    basis = np.linalg.svd(np.stack([one - point for one in points[1:]]), full_matrices=False)[2]
    while rounds < ROUNDS:
        rounds += 1
        residual, slopes = family.along(point, task, basis)
        left, sizes, right = np.linalg.svd(slopes, full_matrices=False)
        inner = left.T @ residual
        shares = [right.T @ (inner * sizes / (sizes**2 + damping * sizes[0] ** 2)) for damping in (1e-12, 1e-9, 1e-6, 1e-4, 1e-2)]
        norms = [_finite(family.norm(point - share @ basis, task)) for share in shares]
        best = int(np.argmin(norms))
        if not norms[best] < 0.99 * np.linalg.norm(residual):
            break
        point = point - shares[best] @ basis
    return point, LOOK * rounds * (len(basis) + len(shares))


def march(
    family: AbstractResiduals, way: Way, point: Float[ndarray, " unknowns"], most: int = MOST
) -> tuple[Float[ndarray, " unknowns"], float, float]:
    r"""Follow the solution along the way; return the last point, what that cost, and how far it came, between 0 and 1.

    One factorization serves the step that corrects the point and the tangent; the point moves by the first and as far along the second
    as the residual stays within a fiftieth of $|\partial r / \partial s|$, or 1.5 times what the correction alone leaves.

    ??? cite "Reference"
        Allgower, Georg, *Introduction to Numerical Continuation Methods* (2003), chapter 2.
    """
    s, move, damping, steps, looks = 0.0, 0.25, 1e-6, 0, 0
    while s < 1.0 and steps < most and not (steps >= SOON and steps > most * s):
        linear, steps, looks = family.linearize(point, way.at(s)), steps + 1, looks + 1
        slopes = linear.slopes @ way.slope(s)
        correction, tangent = damped(linear.columns, np.column_stack([linear.residual, slopes]), [damping])[0].T
        corrected, size = _finite(linear.norm(point + correction, way.at(s))), float(np.linalg.norm(slopes))
        allowed = max(MISS * size, min(1.5 * corrected, 10.0 * MISS * size))
        for times in TRIED:
            further, looks = min(times * move, 1.0 - s), looks + 1
            trial = point + correction + further * tangent
            if _finite(linear.norm(trial, way.at(s + further))) <= allowed:
                point, s, move, damping = trial, s + further, max(further, 1e-3), max(0.5 * damping, 1e-12)
                break
        else:
            point = point + correction if corrected < np.linalg.norm(linear.residual) else point
            move, damping = max(0.5 * move, 1e-3), min(4.0 * damping, 1.0)
    return point, steps + LOOK * looks, s


def damped(
    columns: Float[ndarray, "unknowns rows"], sides: Float[ndarray, "rows k"], dampings: Sequence[float]
) -> Float[ndarray, "dampings unknowns k"]:
    r"""Return $-(J^T J + \lambda)^{-1} J^T b$ for each column $b$ and each $\lambda$, in units of the mean diagonal entry of $J^T J$.

    **Raises:** `numpy.linalg.LinAlgError` where $J$ is not finite.
    """
    gram, right = scipy.linalg.blas.dsyrk(1.0, columns, lower=1), columns @ sides
    size = float(np.trace(gram))
    found = []
    for damping in dampings:
        shifted = gram.copy()
        shifted[np.diag_indices_from(shifted)] += size * max(damping / len(gram), 16.0 * np.finfo(float).eps)
        found.append(-scipy.linalg.cho_solve(scipy.linalg.cho_factor(shifted, lower=True, overwrite_a=True, check_finite=False), right))
    return np.stack(found)


def _finite(norm: float) -> float:
    return norm if np.isfinite(norm) else np.inf
