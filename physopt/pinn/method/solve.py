"""Solve a differential equation: the trial space and the windows of time are chosen by the estimated error."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import jax

from physopt.core.recording import Recording
from physopt.pinn.answer import Answer
from physopt.pinn.changes import unheld
from physopt.pinn.corners import contradictions
from physopt.pinn.problem import Problem
from physopt.pinn.space import Products

from .attempted import Asked, Callback, Tried
from .library import Library
from .march import Course, march
from .near import Near, neighbours
from .record import Record, alike, fingerprint, recorded
from .together import Search, together
from .train import Watch, train
from .trained import Trained

MANY = 3  # coordinates; products of functions suit no more
LARGEST = 2600  # columns of one least squares system
MARGIN = 0.3  # of the tolerance is aimed at, because errors of windows may add up and grow


def solve(
    problem: Problem,
    tol: float = 1e-6,
    *,
    near: Answer | Sequence[Answer] = (),
    library: str | Path | None = None,
    record: str | Path | Recording | None = None,
    largest: int = LARGEST,
    callback: Callback | None = None,
) -> Answer:
    r"""Solve a differential equation to an estimated relative $L_2$ error of `tol`.

    Every field is a combination of fixed functions: Fourier's where the domain repeats, Chebyshev polynomials where the solution is
    smooth, splines with knots where it bends. The coefficients solve the equation and its conditions in least squares, by QR and, where
    it is nonlinear, Newton's method. Time is cut into windows. The error is estimated by solving the equation, linearized at the answer,
    once more in a finer space. This estimate decides whether a window is taken, which coordinate gets more functions, and when the answer
    is good enough; the answer is corrected by it.

    In more than three coordinates a network is trained instead, by Gauss-Newton at random points, see `Network`. Its error is estimated by
    solving the linearized equation with random waves. `near` and `library` are then used as in `train`.

    **Arguments:**

    - `problem`: see `Problem`. `tol`: between 1e-12 and 1. With readings it is at least a hundredth of what they miss the answer by.
    - `near`: answers to the same problem with other parameters. Their windows and spaces are tried first, and Newton's method begins at
      the combination of them that fits best.
    - `library`: a folder of answers to this problem with other parameters, which this one is added to. Those nearby are used as `near`.
    - `record`: a folder, in which each window of time, or each attempt at all times together, is kept; of a network see `train`. A killed
      run is continued with `Recording(folder, resume=True)`, to the same answer bit for bit.
    - `largest`: the most columns of one least squares system. Memory grows with its square, time with its cube.
    - `callback`: called with a `Tried` after each attempt.

    **Raises:** `ValueError` for a tolerance out of range; `FloatingPointError` where the equation is not finite at the first guess.
    """
    if not 1e-12 <= tol < 1.0:
        raise ValueError(f"tol is {tol}; it is a relative error, between 1e-12 and 1: write 1e-6.")
    asked, near = Asked(tol, largest, callback or (lambda tried: None)), [near] if isinstance(near, Answer) else [*near]
    recording = alike(Recording.of(record), near, library)
    if len(problem.coordinates) > MANY:
        told: Watch = lambda _, trained: _say(problem, asked, trained)  # noqa: E731
        return train(problem, tol, near=near, library=library, record=recording, callback=told).answer
    if problem.measured and (near or library is not None):
        raise ValueError(
            "Readings say where to begin, and answers to other problems are of no use beside them: leave near= and library= out."
        )
    problem.block.check(problem, Products.of(problem, problem.time).points(problem.domain))
    shelf = None if library is None else Library(library, problem)
    known = neighbours(problem, near if shelf is None else [*near, *shelf.near()])
    with contextlib.ExitStack() as open_:
        kept = None
        if recording is not None:
            same, kind = {"tol": tol, "largest": largest}, Course if problem.marches else Search
            kept = open_.enter_context(recorded(recording, kind, same, problem, fingerprint(problem)))
        answer = (_marched if problem.marches else _searched)(problem, asked, known, kept)
    if shelf is not None:
        shelf.add(answer)
    answer = answer._replace(why="; ".join([answer.why, *(one.said(problem) for one in contradictions(answer))]))
    return _beside_changes(answer)


def _beside_changes(answer: Answer) -> Answer:
    """Return the answer, which is not converged where conditions change on a side that has no functions for it."""
    places = unheld(answer.problem)
    if not len(places):
        return answer
    at = ", ".join(f"{name} = {x:.3g}" for name, x in zip(answer.problem.domain.names, places[0], strict=True))
    why = f"{answer.why}; conditions change near {at}, where the solution may be singular, which the estimate does not see"
    return answer._replace(converged=False, why=why)


def _say(problem: Problem, asked: Asked, trained: Trained) -> None:
    if trained.defect is not None:
        error, size = trained.defect.error, sum(leaf.size for leaf in jax.tree.leaves(trained.point))
        asked.told(Tried(problem.time, size, error, error <= asked.tol, error))


def _searched(problem: Problem, asked: Asked, near: Near, kept: Record | None) -> Answer:
    known = None if kept is None else kept.known
    assert known is None or isinstance(known, Search)
    return together(problem, asked, near, known, None if kept is None else kept.keep)


def _marched(problem: Problem, asked: Asked, near: Near, kept: Record | None) -> Answer:
    known = None if kept is None else kept.known
    assert known is None or isinstance(known, Course)
    course = known or Course.at_start(problem, Products.of(problem, problem.time), MARGIN * asked.tol)
    while True:
        while not course.ended(problem):
            course = march(problem, course, asked, near)
            if kept is not None:
                kept.keep(course)
        answer = course.answer(problem, asked.tol)
        if answer.error <= asked.tol or course.weak or course.aim < 1e-12:
            return answer
        # The windows' errors grow on their way: each has to be smaller.
        course = Course.at_start(problem, course.space, course.aim * 0.2 * asked.tol / answer.error, led=False)
