"""Solve a problem in windows of time, one after the other."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from physopt.pinn.answer import Answer, Piece
from physopt.pinn.conditions import Start
from physopt.pinn.problem import Problem
from physopt.pinn.space import Products

from .attempted import Asked, Tried, attempted, judged
from .near import Near
from .refine import CLEAR, Refined, refined
from .window import Attempt, ratio

SHORTEST = 1e-6  # of all time: the shortest window
WEAK = 30  # windows that short: then the solution is not smooth any more
ENOUGH = 0.7  # of the tolerance may be used up where the space cannot grow
GENTLY = 1.25  # windows grow so much where their error is not of time
STALLED = 3  # richer spaces in a row that did not halve the error: more of them do not help


class Begun(NamedTuple):
    """What attempts on the first window showed: the least error, relative to each, and the largest mean squares of the fields."""

    least: float
    squares: Float[np.ndarray, " fields"]

    def own(self, made: Attempt) -> float:
        """Return the error that the window adds, relative to what the fields grow to, where a shorter window did not help.

        What begins at rest is as small as its first window is short, and its error relative to itself may be the same in all of them.
        """
        grown = made.own > 0.5 * self.least and self.squares.any()
        return made.own * min(ratio(made.squares[0], self.squares), 1.0) if grown else made.own

    def after(self, made: Attempt) -> "Begun":
        """Return what is known after one more attempt."""
        if made.own > CLEAR:
            return self
        return Begun(min(self.least, made.own), np.maximum(self.squares, made.squares[0]))


class Course(NamedTuple):
    """How far a solution has come, and what its next window begins with.

    - `now`: solved up to here; the next window is tried with `length` and in `space`. `aim`: the error that all windows may add up to.
    - `unique`: whether the conditions determine the solution. `missed`: mean squares of how far each is from being met.
    - `squares`: mean squares of the fields and of their corrections. `weak`: windows that are less accurate than they should be.
    - `factors`: systems that were factorized. `size`: the most columns. `led`: whether windows and spaces of a neighbour have always been
      good at once; after the first that is not, the course is its own.
    """

    now: float
    length: float
    space: Products
    aim: float
    pieces: tuple[Piece, ...]
    unique: bool
    missed: Float[np.ndarray, " conditions"]
    squares: Float[np.ndarray, "2 fields"]
    weak: int
    factors: int
    size: int
    led: bool

    @classmethod
    def at_start(cls, problem: Problem, space: Products, aim: float, led: bool = True) -> "Course":
        """Return the course before the first window."""
        assert problem.time is not None
        start, end = problem.time
        nothing = np.zeros(len(problem.conditions)), np.zeros((2, len(problem.fields)))
        return cls(start, (end - start) / 2.0, space, aim, (), True, *nothing, 0, 0, space.size * len(problem.fields), led)

    def ended(self, problem: Problem) -> bool:
        """Whether all times are solved."""
        assert problem.time is not None
        return problem.time[1] - self.now <= 1e-12 * (problem.time[1] - problem.time[0])

    def answer(self, problem: Problem, tol: float) -> Answer:
        """Return what was found, with the verdict on it."""
        error = ratio(self.squares[1], self.squares[0])
        weak = f"; {self.weak} windows of time are as short as may be, and not accurate enough"
        why = weak if self.weak and error > tol else ""
        answer = Answer(problem, self.pieces, error, False, why, {}, {}, self.factors, self.size)
        return judged(answer, self.unique, np.sqrt(self.missed), tol)


def march(problem: Problem, course: Course, asked: Asked, near: Near = Near()) -> Course:
    """Return the course after one more window: solved again, shorter or in a richer space, until it is as accurate as it should be.

    **Raises:** `FloatingPointError` where even the shortest window has no solution.
    """
    assert problem.time is not None
    whole, end, fields = problem.time[1] - problem.time[0], problem.time[1], len(problem.fields)
    now, before = course.now, course.pieces[-1] if course.pieces else None
    advice = near.advice(now) if course.led else None
    space, length = advice or (course.space, course.length)
    made, stalled, full, factors, owns = None, 0, False, course.factors, []
    guides, led, begun = near.guides, course.led, Begun(np.inf, np.zeros(fields))
    while True:
        window = (now, end if end - now < 1.2 * length else now + length)
        share = (window[1] - window[0]) / whole
        coarse = made if made is not None and made.piece.window == window else None
        owns = owns if coarse is not None else []
        made = attempted(problem, space.over(window), window, before, 0.1 * course.aim, coarse, guides)
        guides = ()
        own, goal = np.inf if made is None else begun.own(made), course.aim * max(share**0.5, 0.05)
        if made is not None and before is None:
            begun = begun.after(made)
        if coarse is None or own <= 0.5 * min(owns):
            stalled = 0
        elif space.size > coarse.piece.space.size or len(owns) > 1:
            stalled += 1
        owns.append(own)
        factors, stuck = factors + (1 if made is None else made.factors), length <= 1.01 * whole * SHORTEST
        total = course.squares if made is None else course.squares + share * made.squares
        enough = own <= goal or (full and ratio(total[1], total[0]) <= ENOUGH * asked.tol)
        taken = made is not None and (enough or stuck)
        said = total if taken else course.squares
        asked.told(Tried(window, space.size * fields, own, taken, ratio(said[1], said[0])))
        if made is not None and taken:
            longer = 2.0 if stuck else _longer(made, own / goal, goal)
            length = min(window[1] - window[0] if own > goal else length, whole / 2.0) * longer
            farther = _farther(problem, course, made, not enough)
            if farther.weak <= WEAK:
                return farther._replace(length=length, space=space, factors=factors, led=led)
            now = farther.now
        led = False
        if stuck:
            raise FloatingPointError(f"No smooth solution is found beyond t = {now:.6g}; it may end there, or a parameter be too hard.")
        next_ = Refined(space, 0.3, 0, True)
        if stalled < STALLED:
            next_ = refined(problem, space, made, before, goal, asked.largest, coarse is None)
        space, full, factors = next_.space, next_.full, factors + next_.factors
        length, stalled = (window[1] - window[0]) * next_.shorter, 0 if next_.shorter < 1.0 else stalled


def _longer(made: Attempt, used: float, goal: float) -> float:
    """Return by how much the next window may be longer: by what time takes of the error, and less where the error is already large."""
    coefficients = made.piece.coefficients.reshape(-1, made.piece.space.sizes[-1], made.piece.coefficients.shape[-1])
    sizes = np.linalg.norm(coefficients, axis=0)
    in_time = ratio(sizes[-1] ** 2, (sizes**2).sum(axis=0))
    return float(np.clip((0.3 / max(min(in_time / goal, used), 1e-16)) ** (1 / 8), 1.0, 2.0 if used < 0.3 else GENTLY))


def _farther(problem: Problem, course: Course, made: Attempt, weak: bool) -> Course:
    """Return the course with one more piece, and what adds up over pieces."""
    assert problem.time is not None and made.piece.window is not None
    now = made.piece.window[1]
    share = (now - made.piece.window[0]) / (problem.time[1] - problem.time[0])
    shares = [float(not course.pieces) if isinstance(one, Start) else share for one in problem.conditions]
    return course._replace(
        now=now,
        pieces=(*course.pieces, made.piece),
        unique=course.unique and made.unique,
        missed=course.missed + np.array(shares) * np.array(made.misfits) ** 2,
        squares=course.squares + share * made.squares,
        weak=course.weak + weak,
        size=max(course.size, made.piece.space.size * len(problem.fields)),
    )
