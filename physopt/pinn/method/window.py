"""Solve a problem on one window of time, and estimate the error of what was found."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from physopt.pinn.answer import Answer, Piece
from physopt.pinn.conditions import Start
from physopt.pinn.field import Order
from physopt.pinn.problem import Jets, Problem
from physopt.pinn.space import Products

from .near import combined
from .newton import Newton, newton
from .system import Guess, System, Weights

Window = tuple[float, float] | None
Points = Float[np.ndarray, "n d"]
FOLLOWED = 1.5  # so much farther from the readings, at most, may a stricter equation lead
LOST = 1e-3  # of a drawn function, at most, where the rows determine it


class Attempt(NamedTuple):
    """A window that was solved.

    - `own`: the relative error of the worst field that this window adds, estimated, or a tenth of that of an unknown number, if larger.
    - `squares`: mean squares of the fields and of their corrections, those of the windows before included, `(2, fields)`.
    - `guess`: with the unknowns, and their `deviations` from the noise of the readings. `settled`: whether Newton's method ended.
    - `unique`: whether the conditions determine the solution. `left`: how far the equation is from being met, `misfits`: each condition.
    - `noise`: the largest misfit of readings; `weights`: what they counted. `factors`: how many systems were factorized.
    - `worst`: where the residual is largest, among many more points than the equation was solved on.
    """

    piece: Piece
    guess: Guess
    deviations: Float[np.ndarray, " k"]
    own: float
    squares: Float[np.ndarray, "2 fields"]
    settled: bool
    unique: bool
    left: float
    misfits: list[float]
    noise: float
    weights: Weights
    factors: int
    worst: Points


def attempt(
    problem: Problem,
    space: Products,
    window: Window,
    before: Piece | None,
    accuracy: float,
    coarse: Attempt | None = None,
    near: Sequence[Answer] = (),
) -> Attempt:
    """Solve on a window, and estimate the error by solving the linearized problem in a finer space.

    `coarse` was found on this window; `near` are answers to neighbouring problems.
    """
    noise, begun, first = 0.0, 0, None
    if coarse is not None:
        order = [(0,) * len(problem.coordinates)]
        first = Guess(space.fitted(lambda points: coarse.piece.plain(points, order)[:, :, 0]), coarse.guess.unknowns)
        noise = coarse.noise
    elif before is not None or not near:
        first, noise, begun = begin(problem, space, window, before)
    also, factors = None if coarse is None else coarse.worst, begun
    for weights in (Weights.for_noise(noise), Weights.for_noise(0.0)):
        system = System(problem, space, window, None if before is None else before.plain, weights=weights, also=also)
        if near and coarse is None:
            first = combined(system, near, first)
        assert first is not None
        found = newton(system, first, accuracy)
        factors += found.factors
        if noise == 0.0 or _noise(problem, system.misfits(found.guess)) <= FOLLOWED * noise:
            break  # otherwise the space is too poor for the equation, which would bend the fields away from the readings
    finer, worst = space.finer(), system.worst(found.guess)
    made = correct(problem, space, found.guess, finer, window, before, worst, weights)
    left, *misfits = system.relative(found.guess)
    piece = Piece(window, space, found.guess.coefficients, finer, made.total.coefficients)
    squares = [_square(system, space, found.guess), _square(system, finer, made.own), _square(system, finer, made.total)]
    return Attempt(
        piece,
        found.guess,
        _deviations(system, found),
        max(ratio(squares[1], squares[0]), 0.1 * ratio(made.own.unknowns**2, found.guess.unknowns**2), found.rounding),
        np.stack([squares[0], squares[2]]),
        found.settled,
        made.unique,
        left,
        misfits,
        _noise(problem, misfits),
        weights,
        factors + 1,
        worst,
    )


class Correction(NamedTuple):
    """What a window alone is wrong by, and with the error that its start has; and whether the rows determine everything in the space."""

    own: Guess
    total: Guess
    unique: bool


def correct(
    problem: Problem,
    space: Products,
    guess: Guess,
    finer: Products,
    window: Window,
    before: Piece | None,
    also: Points,
    weights: Weights,
) -> Correction:
    """Return the solution, in a finer space and on further points `also`, of the problem linearized at the guess."""

    def base(points: Float[np.ndarray, "n d"], orders: Sequence[Order]) -> Jets:
        return space.jets(points, orders, guess.coefficients)

    system = System(problem, finer, window, None if before is None else before.plain, (base, guess.unknowns), weights, also)
    jacobian = system.jacobian(system.zero)
    factor = system.factor(jacobian)
    own = system.split(factor.solve(system.residual(system.zero)))
    if before is not None:
        return Correction(own, system.split(factor.solve(system.starting(before.corrected).residual(system.zero))), True)
    drawn = np.random.default_rng(0).standard_normal(jacobian.shape[1])
    if system.measured.any():
        return Correction(own, own, True)  # what readings determine, the deviations of the unknowns say
    lost = system.split(factor.solve(jacobian @ drawn) + drawn)  # nothing is lost where the rows determine all functions
    squares = [_square(system, finer, guess) for guess in (lost, system.split(drawn))]
    return Correction(own, own, ratio(*squares) < LOST)


def begin(problem: Problem, space: Products, window: Window, before: Piece | None) -> tuple[Guess, float, int]:
    """Return a first guess, how far readings are from it, and how many systems were factorized for it."""
    zero = Guess(np.zeros((space.size, len(problem.fields))), np.array(list(problem.unknowns.values())))
    if before is not None and window is not None:
        order = [(0,) * len(problem.coordinates)]

        def held(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n fields"]:
            return before.plain(np.column_stack([points[:, :-1], np.full(len(points), window[0])]), order)[:, :, 0]

        return Guess(space.fitted(held), zero.unknowns), 0.0, 0
    given = None if problem.guess is None else Guess(space.fitted(functools.partial(problem.sampled, problem.guess)), zero.unknowns)
    if problem.unknowns or problem.measured:
        system = System(problem, space, window, weights=Weights.for_noise(0.0))
        near = newton(system, given or _excited(problem, space, window, zero), 1e-3)
        return near.guess, _noise(problem, system.misfits(near.guess)), near.factors + 1
    if given is not None:
        return given, 0.0, 0
    starts = [condition for condition in problem.conditions if isinstance(condition, Start)]
    if not starts:
        return zero, 0.0, 0
    found = newton(System(problem.having(_still(problem.fields), starts), space, window), Guess(zero.coefficients, np.zeros(0)), 1e-3)
    return found.guess, 0.0, found.factors


@functools.lru_cache
def _still(names: tuple[str, ...]) -> Callable[..., Any]:
    """Return the equation that holds the start for all times; the same function for the same fields, which is compiled once."""

    def still(**fields: Any) -> Any:
        return tuple(field.t for field in fields.values())

    still.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    )
    return still


def _excited(problem: Problem, space: Products, window: Window, zero: Guess) -> Guess:
    """Return the fields with the unknowns where they begin: what the readings say, or, where nothing does, what a rough source excites."""
    weights = Weights(equation=1e-2, measured=1.0)
    system = System(problem.having(problem.equation, problem.conditions), space, window, weights=weights)
    nothing = Guess(zero.coefficients, np.zeros(0))
    factor, residual = system.factor(system.jacobian(nothing)), system.residual(nothing)
    found = system.split(factor.solve(residual))
    if _square(system, space, found).max() > 0.0:
        return Guess(found.coefficients, zero.unknowns)
    rough = np.random.default_rng(0).standard_normal(len(system.interior) * problem.block.size)
    residual[: len(rough)] = rough / len(rough) ** 0.5
    shape = system.split(factor.solve(residual))
    sizes = 10.0 ** np.linspace(-8.0, 8.0, 161) / max(float(_square(system, space, shape).max()), 1e-300) ** 0.5
    best = min(sizes, key=lambda size: float(np.linalg.norm(system.residual(nothing.plus(shape, size)))))
    return Guess(best * shape.coefficients, zero.unknowns)


def _deviations(system: System, found: Newton) -> Float[np.ndarray, " k"]:
    """Return the standard deviations of the unknowns, from what the readings miss the answer by."""
    missed = system.residual(found.guess)[system.measured]
    count = len(found.guess.unknowns)
    freedom = max(len(missed) - count, 1)
    return np.sqrt(np.diag(found.factor.inverse(count)) * (missed @ missed) / freedom)


def _noise(problem: Problem, misfits: list[float]) -> float:
    """Return the largest misfit of readings."""
    return max((misfit for misfit, one in zip(misfits, problem.conditions, strict=True) if one.measured), default=0.0)


def ratio(part: Float[np.ndarray, " fields"], whole: Float[np.ndarray, " fields"]) -> float:
    """Return the largest relative size of a field from mean squares; something beside nothing is infinitely large."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.sqrt(np.max(np.where(part == 0.0, 0.0, part / whole), initial=0.0)))


def _square(system: System, space: Products, guess: Guess) -> Float[np.ndarray, " fields"]:
    points = system.everywhere
    return np.mean(space.jets(points, [(0,) * points.shape[1]], guess.coefficients) ** 2, axis=(0, 2))
