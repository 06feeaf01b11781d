"""Solve a problem in windows of time, one after the other, or at all times together."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from physopt.pinn.answer import Answer, Piece
from physopt.pinn.conditions import Start
from physopt.pinn.problem import Problem
from physopt.pinn.space import Products

from .continuation import followed
from .near import Near, neighbours
from .refine import Refined, refined
from .window import Attempt, Window, attempt, ratio

SHORTEST = 1e-6  # of all time: the shortest window
WEAK = 30  # windows that short: then the solution is not smooth any more
MISSED = 30.0  # tolerances, relative to its terms: from here on a condition is not met
NOISE = 0.01  # of what the readings miss the answer by: a smaller error means nothing beside it
POOR = 0.2  # of what was read: a fit that misses the readings by more is not one to go on from
ENOUGH = 0.7  # of the tolerance may be used up where the space cannot grow
ROUGH = 0.03  # is accurate enough for a solution to begin the next one at
STALLED = 3  # richer spaces in a row that did not halve the error: more of them do not help


class Tried(NamedTuple):
    """What a callback is told: the window, the columns, the error that it adds, whether it was taken, and the error so far."""

    window: Window
    size: int
    own: float
    taken: bool
    error: float


Callback = Callable[[Tried], None]


def march(
    problem: Problem, space: Products, tol: float, aim: float, largest: int, told: Callback, near: Near = Near()
) -> tuple[Answer, Products, bool]:
    """Solve window after window; return also the last space, and whether every window was as accurate as it should be."""
    assert problem.time is not None
    (now, end), fields, made = problem.time, len(problem.fields), None
    whole, length = end - now, (end - now) / 2.0
    pieces: list[Piece] = []
    unique, missed, squares = True, np.zeros(len(problem.conditions)), np.zeros((2, fields))
    weak, factors, size, stalled, full, fresh = 0, 0, space.size, 0, False, True
    while end - now > 1e-12 * whole:
        if fresh and (advice := near.advice(now)) is not None:
            space, length = advice
        window = (now, end if end - now < 1.2 * length else now + length)
        share, before = (window[1] - window[0]) / whole, pieces[-1] if pieces else None
        coarse = made if made is not None and made.piece.window == window else None
        made = _attempted(problem, space.over(window), window, before, 0.1 * aim, coarse, near.guides if fresh else ())
        own, goal = np.inf if made is None else made.own, aim * max(share**0.5, 0.05)
        stalled = stalled + 1 if coarse is not None and own > 0.5 * coarse.own else 0
        factors, stuck = factors + (1 if made is None else made.factors), length <= 1.01 * whole * SHORTEST
        total = squares if made is None else squares + share * made.squares
        enough = own <= goal or (full and ratio(total[1], total[0]) <= ENOUGH * tol)
        taken = made is not None and (enough or stuck)
        if made is not None and taken:
            pieces.append(made.piece)
            size, now, squares, weak = max(size, made.piece.space.size), window[1], total, weak + (not enough)
            unique &= made.unique
            shares = [float(before is None) if isinstance(one, Start) else share for one in problem.conditions]
            missed = missed + np.array(shares) * np.array(made.misfits) ** 2
            longer = float(np.clip((0.3 * goal / max(own, 1e-16)) ** (1 / 8), 1.0, 2.0))
            length = min(window[1] - window[0] if own > goal else length, whole / 2.0) * (2.0 if stuck else longer)
            stalled, full = 0, False
        fresh = taken
        told(Tried(window, space.size * fields, own, taken, ratio(squares[1], squares[0])))
        if taken and weak <= WEAK:
            continue
        if stuck:
            raise FloatingPointError(f"No smooth solution is found beyond t = {now:.6g}; it may end there, or a parameter be too hard.")
        next_ = Refined(space, 0.3, 0, True) if stalled >= STALLED else refined(problem, space, made, before, goal, largest)
        space, full, factors = next_.space, next_.full, factors + next_.factors
        length, stalled = (window[1] - window[0]) * next_.shorter, 0 if next_.shorter < 1.0 else stalled
    error = ratio(squares[1], squares[0])
    why = f"; {weak} windows of time are as short as may be, and not accurate enough" if weak and error > tol else ""
    return verdict(problem, pieces, unique, np.sqrt(missed), error, tol, why, factors, size * fields), space, not weak


def together(problem: Problem, tol: float, largest: int, told: Callback, near: Near = Near()) -> Answer:
    """Solve at all times together: steady problems, and those with unknown numbers or readings."""
    space, fields, best, stalled, factors = Products.of(problem, problem.time), len(problem.fields), None, 0, 0
    if near.answers:
        space = near.space
    while True:
        coarse = best if best is not None and best.noise < POOR else None
        made = _attempted(problem, space, problem.time, None, 0.01 * tol, coarse, near.guides if best is None else ())
        own = np.inf if made is None else made.own
        hopeless = made is None or max(made.misfits, default=0.0) > 0.1 or (best is not None and own > 0.5 * best.own)
        stalled = stalled + 1 if hopeless else 0
        same = made is not None and best is not None and made.noise > 0.9 * best.noise  # it is noise, not a fit that is still poor
        goal = max(tol, NOISE * made.noise) if made is not None and same else tol
        if made is None and best is None and not near.answers and problem.easy.items() - problem.parameters.items():
            way, spent = followed(problem, lambda at, last: together(at, ROUGH, largest, told, neighbours(at, last)))
            near, factors = neighbours(problem, way), factors + 1 + spent
            space = near.space
            continue
        best, factors = made or best, factors + (1 if made is None else made.factors)
        next_ = Refined(space, 1.0, 0, True)
        if own > goal and stalled < 2 * STALLED and (made is None or made.unique):
            next_ = refined(problem, space, made, None, goal, largest)
        told(Tried(problem.time, space.size * fields, own, next_.full, own))
        factors += next_.factors
        if next_.full:
            break
        space = next_.space
    if best is None:
        raise FloatingPointError(
            "Newton's method finds no solution from here; give the unknowns another beginning, or a parameter an easier value."
        )
    tol = max(tol, NOISE * best.noise)
    why = "" if best.own <= tol else "; more functions do not help" if stalled else f"; more than {largest} columns would be needed"
    answer = verdict(
        problem, [best.piece], best.unique, np.array(best.misfits), best.own, tol, why, factors, best.piece.space.size * fields
    )
    deviations = dict(zip(problem.unknowns, best.deviations.tolist(), strict=True)) if best.noise > 0.0 else {}
    return answer._replace(unknowns=dict(zip(problem.unknowns, best.guess.unknowns.tolist(), strict=True)), deviations=deviations)


def verdict(
    problem: Problem, pieces: list[Piece], unique: bool, misfits: np.ndarray, error: float, tol: float, why: str, factors: int, size: int
) -> Answer:
    """Return the answer, and whether it is good enough: accurate, determined, and within its conditions."""
    missed = [(misfit, i) for i, misfit in enumerate(misfits) if misfit > MISSED * tol and not problem.conditions[i].measured]
    trivial = all(not piece.coefficients.any() for piece in pieces)
    why = f"estimated error {error:.1e}{why}"
    if not unique:
        why = "more than one solution: the conditions do not determine it; add what is missing, on the boundary or at the start"
        if trivial:
            why += "; the zero function is one: for another write Integral(lambda u: u**2, 1.0), and its eigenvalue under unknowns"
    elif missed:
        misfit, i = max(missed)
        why = f"condition {i + 1}, a {type(problem.conditions[i]).__name__}, is missed by {misfit:.1%}: it contradicts the others"
    elif trivial:
        why = "the zero function solves this"
    return Answer(problem, tuple(pieces), error, bool(error <= tol and unique and not missed), why, {}, {}, factors, size)


def _attempted(
    problem: Problem,
    space: Products,
    window: Window,
    before: Piece | None,
    accuracy: float,
    coarse: Attempt | None,
    near: Sequence[Answer],
) -> Attempt | None:
    """Return an attempt, or `None` where Newton's method fails."""
    try:
        with np.errstate(all="ignore"):  # what overflows is not finite, and that is looked for
            made = attempt(problem, space, window, before, accuracy, coarse, near)
    except FloatingPointError:
        return None
    return made if made.settled and not np.isnan(made.own) else None
