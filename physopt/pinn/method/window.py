"""Solve a problem on one window of time, and estimate the error of what was found."""

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from physopt.pinn.answer import Piece
from physopt.pinn.conditions import Start
from physopt.pinn.field import Order
from physopt.pinn.least_squares import Factor
from physopt.pinn.problem import Jets, Problem
from physopt.pinn.space import AbstractSpace, Products

from .newton import newton
from .system import Guess, System

Window = tuple[float, float] | None


class Attempt(NamedTuple):
    """A window that was solved.

    - `own`: the relative error of the worst field that this window adds, estimated.
    - `squares`: mean squares of the fields and of their corrections, those of the windows before included, `(2, fields)`.
    - `guess`: with the unknowns. `settled`: whether Newton's method ended. `factors`: how many systems were factorized.
    """

    piece: Piece
    guess: Guess
    own: float
    squares: Float[np.ndarray, "2 fields"]
    settled: bool
    factors: int
    factor: Factor


def attempt(problem: Problem, space: Products, window: Window, before: Piece | None, first: Guess | None, accuracy: float) -> Attempt:
    """Solve on a window from a first guess, and estimate the error by solving the linearized problem once in a finer space."""
    system = System(problem, space, window, None if before is None else before.plain)
    begun = 0
    if first is None:
        first, begun = begin(problem, space, window, before, system.zero)
    found = newton(system, first, accuracy)
    finer = space.finer()
    own, total = correct(problem, space, found.guess, finer, window, before)
    piece = Piece(window, space, found.guess.coefficients, finer, total.coefficients)
    squares = [_square(system, space, found.guess), _square(system, finer, own), _square(system, finer, total)]
    return Attempt(piece, found.guess, ratio(squares[1], squares[0]), np.stack([squares[0], squares[2]]), found.settled, found.factors + begun + 1, found.factor)


def correct(problem: Problem, space: AbstractSpace, guess: Guess, finer: AbstractSpace, window: Window, before: Piece | None) -> tuple[Guess, Guess]:
    """Return the solution, in a finer space, of the problem linearized at the guess: alone, and with the error that the start of the window has."""

    def base(points: Float[np.ndarray, "n d"], orders: Sequence[Order]) -> Jets:
        return space.jets(points, orders, guess.coefficients)

    system = System(problem, finer, window, None if before is None else before.plain, (base, guess.unknowns))
    factor = Factor(system.jacobian(system.zero))
    own = system.split(factor.solve(system.residual(system.zero)))
    if before is None:
        return own, own
    return own, system.split(factor.solve(system.starting(before.corrected).residual(system.zero)))


def begin(problem: Problem, space: Products, window: Window, before: Piece | None, zero: Guess) -> tuple[Guess, int]:
    """Return a first guess, and how many systems were factorized for it: the start, held for all times."""
    if before is not None and window is not None:
        order = [(0,) * len(problem.coordinates)]
        return Guess(space.held(lambda points: before.plain(points, order)[:, :, 0], window[0]), zero.unknowns), 0
    starts = [condition for condition in problem.conditions if isinstance(condition, Start)]
    if not starts:
        return zero, 0

    def still(**fields: Any) -> Any:
        return tuple(field.t for field in fields.values())

    still.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in problem.fields]
    )
    known = {**problem.parameters, **problem.unknowns}
    rest = Problem(problem.domain, still, starts, fields=" ".join(problem.fields), time=problem.time, **known)
    found = newton(System(rest, space, window), Guess(zero.coefficients, np.zeros(0)), 1e-3)
    return Guess(found.guess.coefficients, zero.unknowns), found.factors


def ratio(part: Float[np.ndarray, " fields"], whole: Float[np.ndarray, " fields"]) -> float:
    """Return the largest relative size of a field from mean squares; something beside nothing is infinitely large."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.sqrt(np.max(np.where(part == 0.0, 0.0, part / whole))))


def _square(system: System, space: AbstractSpace, guess: Guess) -> Float[np.ndarray, " fields"]:
    points = system.interior
    return np.mean(space.jets(points, [(0,) * points.shape[1]], guess.coefficients) ** 2, axis=(0, 2))
