"""What a solution is asked for, what is told of it on the way, and attempts that may fail."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from physopt.pinn.answer import Answer, Piece
from physopt.pinn.problem import Problem
from physopt.pinn.space import Products

from .window import Attempt, Window, attempt

MISSED = 30.0  # tolerances, relative to its terms: from here on a condition is not met


class Tried(NamedTuple):
    """What a callback is told: the window, the columns, the error that it adds, whether it was taken, and the error so far."""

    window: Window
    size: int
    own: float
    taken: bool
    error: float


Callback = Callable[[Tried], None]


class Asked(NamedTuple):
    """The relative error that is asked for, the most columns of one system, and who is told of every attempt."""

    tol: float
    largest: int
    told: Callback


def attempted(
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


def judged(answer: Answer, unique: bool, misfits: np.ndarray, tol: float) -> Answer:
    """Return the answer with what is to be said of it: whether it is accurate, determined, and within its conditions."""
    conditions = answer.problem.conditions
    missed = [(misfit, i) for i, misfit in enumerate(misfits) if misfit > MISSED * tol and not conditions[i].measured]
    trivial = all(isinstance(piece, Piece) and not piece.coefficients.any() for piece in answer.pieces)
    why = f"estimated error {answer.error:.1e}{answer.why}"
    if not unique:
        why = "more than one solution: the conditions do not determine it; add what is missing, on the boundary or at the start"
        if trivial:
            why += "; the zero function is one: for another write Integral(lambda u: u**2, 1.0), and its eigenvalue under unknowns"
    elif missed:
        misfit, i = max(missed)
        why = f"condition {i + 1}, a {type(conditions[i]).__name__}, is missed by {misfit:.1%}: it contradicts the others"
    elif trivial:
        why = "the zero function solves this"
    return answer._replace(converged=bool(answer.error <= tol and unique and not missed), why=why)
