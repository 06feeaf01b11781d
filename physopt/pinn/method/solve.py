"""Solve a differential equation: the trial space and the windows of time are chosen by the estimated error."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from physopt.pinn.answer import Answer, Piece
from physopt.pinn.problem import Problem
from physopt.pinn.space import Products

from .window import Attempt, Window, attempt, correct, ratio

LARGEST = 2600  # columns of one least squares system
SHORTEST = 1 / 1024  # of all time: the shortest window
MISSED = 0.1  # of its terms: from here on a condition is not met
NOISE = 0.01  # of what the readings miss the answer by: a smaller error means nothing beside it
MARGIN = 0.3  # of the tolerance is aimed at, because errors of windows may add up and grow


class Tried(NamedTuple):
    """What a callback is told: the window, the columns, the error that it adds, whether it was taken, and the error so far."""

    window: Window
    size: int
    own: float
    taken: bool
    error: float


Callback = Callable[[Tried], None]


def solve(problem: Problem, tol: float = 1e-6, *, largest: int = LARGEST, callback: Callback | None = None) -> Answer:
    r"""Solve a differential equation to an estimated relative $L_2$ error of `tol`.

    Every field is a combination of fixed functions: Fourier's where the domain repeats, Chebyshev polynomials where the solution is smooth, splines with
    knots where it bends. The coefficients solve the equation and its conditions in least squares, by QR and, where it is nonlinear, Newton's method. Time
    is cut into windows. The error is estimated by solving the equation, linearized at the answer, once more in a finer space. This estimate decides
    whether a window is taken, which coordinate gets more functions, and when the answer is good enough; the answer is corrected by it.

    **Arguments:**

    - `problem`: see `Problem`. `tol`: between 1e-12 and 1. With readings it is at least a hundredth of what they miss the answer by.
    - `largest`: the most columns of one least squares system. Memory grows with its square, time with its cube.
    - `callback`: called with a `Tried` after each attempt.

    **Raises:** `ValueError` for a tolerance out of range; `FloatingPointError` where the equation is not finite at the first guess.
    """
    if not 1e-12 <= tol < 1.0:
        raise ValueError(f"tol is {tol}; it is a relative error, between 1e-12 and 1: write 1e-6.")
    told = callback or (lambda tried: None)
    if not problem.marches:
        return _whole(problem, tol, largest, told)
    aim, space = MARGIN * tol, Products.of(problem, problem.time)
    while True:
        answer, space, short = _march(problem, space, tol, aim, largest, told)
        if answer.converged or not short or aim < 1e-12:
            return answer
        aim *= 0.2 * tol / answer.error  # the windows' errors grow on their way: each has to be smaller


def _march(problem: Problem, space: Products, tol: float, aim: float, largest: int, told: Callback) -> tuple[Answer, Products, bool]:
    """Solve window after window; return also the last space, and whether every window was as accurate as it should be."""
    assert problem.time is not None
    start, end = problem.time
    length = whole = end - start
    now = start
    pieces: list[Piece] = []
    last = made = None
    squares, weak, factors, size = np.zeros((2, len(problem.fields))), 0, 0, space.size
    length /= 2.0
    while end - now > 1e-12 * whole:
        window = (now, end if end - now < 1.2 * length else now + length)
        share = (window[1] - window[0]) / whole
        before = pieces[-1] if pieces else None
        coarse = made if made is not None and made.piece.window == window else None
        made = _attempted(problem, space.over(window), window, before, 0.1 * aim, coarse)
        own, goal = made.own if made is not None else np.inf, aim * max(share**0.5, 0.05)
        factors += made.factors if made is not None else 1
        size = max(size, made.piece.space.size if made is not None else 0)
        stuck = length <= 1.01 * whole * SHORTEST
        taken = made is not None and (own <= goal or stuck)
        if taken:
            assert made is not None
            pieces.append(made.piece)
            last = last or made  # what the start determines
            squares += share * made.squares
            weak += own > goal
            now = window[1]
            length = min(window[1] - window[0] if own > goal else length, whole / 2.0) * float(np.clip((0.3 * goal / max(own, 1e-16)) ** (1 / 8), 1.0, 2.0))
        told(Tried(window, space.size * len(problem.fields), own, taken, ratio(squares[1], squares[0])))
        if taken:
            continue
        if stuck:
            raise FloatingPointError(f"Newton's method finds no solution beyond t = {now:.6g}; the solution may end there, or a parameter be too hard.")
        space, shorter, more = _refined(problem, space, made, before, goal, largest)
        length = (window[1] - window[0]) * shorter
        factors += more
    assert last is not None
    answer = _answer(problem, tuple(pieces), last, ratio(squares[1], squares[0]), tol, factors, size * len(problem.fields))
    if weak:
        answer = answer._replace(why=f"{answer.why}; {weak} of {len(pieces)} windows of time are as short as may be, and not accurate enough")
    return answer, space, not weak


def _whole(problem: Problem, tol: float, largest: int, told: Callback) -> Answer:
    """Solve at all times together: steady problems, and those with unknown numbers or readings."""
    space, factors, failures, made = Products.of(problem, problem.time), 0, 0, None
    while True:
        made = _attempted(problem, space, problem.time, None, 0.01 * tol, made)
        factors += made.factors if made is not None else 1
        own = made.own if made is not None else np.inf
        tol = max(tol, NOISE * made.noise) if made is not None else tol
        failures += made is None
        grown, _, more = _refined(problem, space, made, None, tol, largest) if own > tol and failures < 8 else (space, 1.0, 0)
        taken = own <= tol or grown.size == space.size
        told(Tried(problem.time, space.size * len(problem.fields), own, taken, own))
        if taken:
            break
        space, factors = grown, factors + more
    if made is None:
        raise FloatingPointError("Newton's method finds no solution from here; give the unknowns another beginning, or a parameter an easier value.")
    answer = _answer(problem, (made.piece,), made, own, tol, factors, space.size * len(problem.fields))
    if own > tol:
        answer = answer._replace(why=f"{answer.why}; more than {largest} columns would be needed")
    return answer


def _answer(problem: Problem, pieces: tuple[Piece, ...], made: Attempt, error: float, tol: float, factors: int, size: int) -> Answer:
    """Return the answer with its verdict."""
    missed = [(misfit, i) for i, misfit in enumerate(made.misfits) if misfit > MISSED and not problem.conditions[i].measured]
    why = f"estimated error {error:.1e}"
    if not made.unique:
        why = "more than one solution: the conditions do not determine it; add what is missing, on the boundary or at the start"
    elif missed:
        misfit, i = max(missed)
        why = f"condition {i + 1}, a {type(problem.conditions[i]).__name__}, is missed by {misfit:.0%}: it contradicts the others, or the fields are trivial"
    unknowns = dict(zip(problem.unknowns, made.guess.unknowns.tolist(), strict=True))
    readings = any(condition.measured for condition in problem.conditions)
    deviations = dict(zip(problem.unknowns, made.deviations.tolist(), strict=True)) if readings else {}
    return Answer(problem, pieces, error, bool(error <= tol and made.unique and not missed), why, unknowns, deviations, factors, size)


def _attempted(problem: Problem, space: Products, window: Window, before: Piece | None, accuracy: float, coarse: Attempt | None) -> Attempt | None:
    """Return an attempt, or `None` where Newton's method fails."""
    try:
        made = attempt(problem, space, window, before, accuracy, coarse)
    except FloatingPointError:
        return None
    return made if made.settled and np.isfinite(made.own) else None


def _refined(problem: Problem, space: Products, made: Attempt | None, before: Piece | None, goal: float, largest: int) -> tuple[Products, float, int]:
    """Return a space that is richer where it has to be, by which factor the window is to be shorter, and the systems factorized to find out."""
    marches, fields = problem.marches, len(problem.fields)
    if made is None and marches:
        return space, 0.5, 0
    if made is None:
        for axis in range(len(space.bases)):
            richer = space.grown(axis, lambda x, times: np.ones_like(x))
            space = richer if richer.size * fields <= largest else space
        return space, 1.0, 0
    piece = made.piece
    errors = np.array([_error_along(problem, made, before, axis) for axis in range(len(space.bases))])
    large = errors >= 0.3 * errors.max()
    grown, shorter = space, 1.0
    for axis in np.flatnonzero(large):
        if marches and axis == len(space.bases) - 1:
            shorter = float(np.clip((0.3 * goal / errors[axis]) ** (1 / 8), 0.2, 0.7))
            continue
        richer = grown.grown(int(axis), _profile(piece, int(axis), space))
        if richer.size * fields <= largest:
            grown = richer
    if grown.size == space.size and marches:
        shorter = min(shorter, 0.5)
    return grown, shorter, len(space.bases)


def _error_along(problem: Problem, made: Attempt, before: Piece | None, axis: int) -> float:
    """Return the estimated error when only one coordinate gets more functions."""
    piece, finer = made.piece, made.piece.space.finer(axis)
    own = correct(problem, piece.space, made.guess, finer, piece.window, before).own
    points = finer.points()
    value = [(0,) * points.shape[1]]
    added, there = finer.jets(points, value, own.coefficients), piece.plain(points, value)
    return ratio(np.mean(added**2, axis=(0, 2)), np.mean(there**2, axis=(0, 2)))


def _profile(piece: Piece, axis: int, space: Products) -> Callable[[Float[np.ndarray, " n"], int], Float[np.ndarray, " n"]]:
    """Return how large a derivative along one coordinate gets, at a few places in the others."""
    places = [np.linspace(basis.low, basis.high, 5) for i, basis in enumerate(space.bases) if i != axis]
    others = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1).reshape(-1, len(places)) if places else np.zeros((1, 0))

    def size(x: Float[np.ndarray, " n"], times: int) -> Float[np.ndarray, " n"]:
        points = np.insert(np.repeat(others, len(x), axis=0), axis, np.tile(x, len(others)), axis=1)
        order = tuple(times if i == axis else 0 for i in range(len(space.bases)))
        jets = piece.plain(points, [order, (0,) * len(order)])
        each = np.abs(jets[:, :, 0]) / np.maximum(np.abs(jets[:, :, 1]).max(axis=0), 1e-300)
        return each.max(axis=1).reshape(len(others), len(x)).max(axis=0)

    return size
