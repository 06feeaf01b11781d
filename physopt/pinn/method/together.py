"""Solve a problem at all times together: steady ones, and those with unknown numbers or readings."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from physopt.pinn.answer import Answer
from physopt.pinn.problem import Problem
from physopt.pinn.space import Products

from .attempted import Asked, Tried, attempted, judged
from .continuation import followed
from .near import Near, neighbours
from .refine import Refined, refined
from .system import System
from .window import Attempt

NOISE = 0.01  # of what the readings miss the answer by: a smaller error means nothing beside it
POOR = 0.2  # of what was read: a fit that misses the readings by more is not one to go on from
BROKEN = 0.03  # of its terms is left of an equation that is not solved
ROUGH = 0.03  # is accurate enough for a solution to begin the next one at
SINGULAR = 0.1  # of the error, at most, is left where functions for corners are what was missing
STALLED = 6  # richer spaces in a row that did not halve the error: more of them do not help


class Search(NamedTuple):
    """The best attempt so far, and which space is tried next; `full` ends the search. See `Course` for `factors`.

    `other`: the answer of a search before, which began in poorer spaces and may be at another level. `plain`: without functions for
    corners, which did not help.
    """

    space: Products
    best: Attempt | None
    stalled: int
    full: bool
    factors: int
    other: Attempt | None = None
    plain: bool = False

    @classmethod
    def at_start(cls, problem: Problem) -> "Search":
        """Return the search before the first attempt."""
        return cls(Products.of(problem, problem.time), None, 0, False, 0)

    def anew(self) -> "Search":
        """Return the search that begins once more, in the space of the answer."""
        assert self.best is not None
        return Search(self.best.piece.space, None, 0, False, self.factors, self.best, self.plain)


def together(
    problem: Problem, asked: Asked, near: Near = Near(), known: Search | None = None, keep: Callable[[Search], None] | None = None
) -> Answer:
    """Solve at all times together, beginning where a search was; `keep` is given each search that is farther.

    **Raises:** `FloatingPointError` where Newton's method finds no solution.
    """
    search = known or Search.at_start(problem)
    if near.answers and search.best is None:
        search = search._replace(space=near.space)
    levels = _has_levels(problem, search.space)
    while True:
        if search.full:
            if not levels or near.answers or search.best is None or search.other is not None:
                return _answer(problem, search, asked)
            search = search.anew()
        farther = _searched(problem, search, asked, near)
        if farther.best is None and search.other is not None:
            farther = farther._replace(best=search.other, full=True)
        elif farther.best is None and not near.answers and _has_easier(problem):
            way, spent = followed(problem, lambda at, last: together(at, asked._replace(tol=ROUGH), neighbours(at, last)))
            near = neighbours(problem, way)
            search = search._replace(space=near.space, factors=search.factors + 1 + spent)
            continue
        search = farther
        if keep is not None:
            keep(search)


def _has_easier(problem: Problem) -> bool:
    return bool(problem.easy.items() - problem.parameters.items()) and not problem.measured  # readings are of this choice only


def _has_levels(problem: Problem, space: Products) -> bool:
    """Whether the zero function solves the equation: the numbers are its levels, and that near their beginning is meant."""
    if not problem.unknowns or problem.measured or problem.guess is not None:
        return False
    system = System(problem, space, problem.time)
    system.jacobian(system.zero)
    return not system.residual(system.zero)[: len(system.interior) * problem.block.size].any()


def _searched(problem: Problem, search: Search, asked: Asked, near: Near) -> Search:
    """Return the search after one more attempt, in its space."""
    space, best, fields = search.space, search.best, len(problem.fields)
    coarse = best if best is not None and best.noise < POOR else None
    made = attempted(problem, space, problem.time, None, 0.01 * asked.tol, coarse, near.guides if best is None else ())
    factors, plain = search.factors + (1 if made is None else made.factors), search.plain
    more = best is not None and len(space.corners_held) > len(best.piece.space.corners_held)
    if best is not None and more and (made is None or not made.unique or made.own > SINGULAR * best.own):
        space, made, plain = best.piece.space, best, True
    own = np.inf if made is None else made.own
    hopeless = made is None or max(made.misfits, default=0.0) > 0.1 or (best is not None and own > 0.5 * best.own)
    stalled = search.stalled + 1 if hopeless else 0
    same = made is not None and best is not None and made.noise > 0.9 * best.noise  # it is noise, not a fit that is still poor
    goal = max(asked.tol, NOISE * made.noise) if made is not None and same else asked.tol
    next_ = Refined(space, 1.0, 0, True)
    if own > goal and stalled < STALLED and (made is None or made.unique):
        next_ = refined(problem, space, made, None, goal, asked.largest, corners=not plain)
    asked.told(Tried(problem.time, space.size * fields, own, next_.full, own))
    return Search(next_.space, made or best, stalled, next_.full, factors + next_.factors, search.other, plain)


def _answer(problem: Problem, search: Search, asked: Asked) -> Answer:
    best = search.best if search.other is None else min((search.other, search.best), key=functools.partial(_far, problem, asked.tol))
    if best is None:
        raise FloatingPointError(
            "Newton's method finds no solution from here; give the unknowns another beginning, or a parameter an easier value."
        )
    tol = max(asked.tol, NOISE * best.noise)
    poor = "; more functions do not help" if search.stalled else f"; more than {asked.largest} columns would be needed"
    why = "" if best.own <= tol else poor
    unknowns, deviations = (dict(zip(problem.unknowns, each.tolist(), strict=True)) for each in (best.guess.unknowns, best.deviations))
    size = best.piece.space.size * len(problem.fields)
    answer = Answer(problem, (best.piece,), best.own, False, why, unknowns, deviations if best.noise > 0.0 else {}, search.factors, size)
    return _beside_readings(judged(answer, best.unique, np.array(best.misfits), tol), best)


def _far(problem: Problem, tol: float, found: Attempt | None) -> tuple[bool, float]:
    """Return whether an answer is poor, and how far its unknown numbers are from where they began."""
    if found is None:
        return True, np.inf
    begun = np.array(list(problem.unknowns.values()))
    return found.own > tol, float(np.linalg.norm((found.guess.unknowns - begun) / np.where(begun == 0.0, 1.0, np.abs(begun))))


def _beside_readings(answer: Answer, best: Attempt) -> Answer:
    """Return the answer with what is to be said where the readings do not belong to the equation."""
    if not answer.problem.measured:
        return answer
    if best.left > BROKEN:
        return answer._replace(converged=False, why=f"the readings contradict the equation, which is missed by {best.left:.0%}")
    return answer._replace(why=answer.why + (f"; the readings are missed by {best.noise:.0%}" if best.noise > POOR else ""))
