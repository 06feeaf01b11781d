"""What a study says of a solve, in one line."""

import numpy as np

from physopt.meta.starts.solve import Solve

from .attempt import Attempt
from .branches import Branches
from .knowledge import FEWEST
from .question import AbstractQuestion
from .record import Spent
from .search import Search


def search_line(done: Search, branches: Branches) -> str:
    """Return the line of a search."""
    if not done.best.attempt.converged:
        return f"{done.spent.calls:g} calls by {done.starts} starts; NOT CONVERGED: the first gradient is {_reached(done.best.attempt)}"
    if not done.starts:
        against = f"{branches.usual:.0f} calls from cold; " if np.isfinite(branches.usual) else ""
        return f"{against}{done.spent.calls:g} here, along {done.branches} of {len(branches.solves)} known minima{_more(done)}"
    said = f"{done.spent.calls:g} calls by {done.starts} start{'s' * (done.starts != 1)}"
    said += f" and along {done.branches} known minima" * (done.branches > 0)
    if branches.solves:
        said += "; the lowest is one of these" if done.best.branch is not None else "; the lowest is a new one"
    return said + _more(done)


def _more(done: Search) -> str:
    return f"; {done.spent.recording:g} more for their record" * (done.spent.recording > 0)


def _reached(attempt: Attempt) -> str:
    return f"{np.nan if attempt.answer is None else attempt.answer.norm:.3g}, wanted was {attempt.gtol:.3g}"


def line(
    question: AbstractQuestion, attempt: Attempt, branches: Branches, solves: list[Solve], spent: Spent, higher: float, single: bool
) -> str:
    """Return the line: what the solve cost, against what, how it began, and what is not as it should be.

    **Arguments:** `solves`: those that it was learned from, or all. `single`: has the function answered in single precision?
    """
    usual, number = branches.usual, len(solves)
    here = f"{spent.calls:g} call{'s' * (spent.calls != 1)}"
    if attempt.start != "cold":
        against = f"{usual:.0f} calls from cold; " if np.isfinite(usual) else ""
        how = "" if attempt.metric or not question.learns_metric else " (start only)"
        said = f"{against}{spent.calls:g} here, learned from {number} runs{how}"
    elif attempt.metric:
        said = f"{usual:.0f} calls from cold; {spent.calls:g} here from the cold start with a metric learned from {number} runs"
    elif number < FEWEST:
        said = f"{here} from cold by {attempt.rule}; run {number + 1}, learning begins with run {FEWEST + 1}"
    else:
        said = f"{here} from cold by {attempt.rule}"
    if attempt.doubt and number >= FEWEST:
        said += f"; the start learned from {number} runs was not used: {attempt.doubt}"
    elif attempt.doubt:
        said += f"; {attempt.doubt}"
    if spent.recording:
        said += f"; {spent.recording:g} more for its record"
    if higher > 0.0:
        said += f"; ENDS HIGHER than its neighbours by {higher:.3g}: another minimum, or another function"
    if not attempt.converged:
        said += f"; NOT CONVERGED: the gradient is {_reached(attempt)}"
        said += "; fun computes in single precision, which may not reach that" * single
    return said
