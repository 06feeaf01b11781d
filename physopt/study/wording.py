"""What a study says of a solve, in one line."""

import numpy as np

from physopt.meta.starts.solve import Solve

from .attempt import Attempt
from .knowledge import FEWEST, cold_calls
from .question import AbstractQuestion
from .record import Spent


def line(question: AbstractQuestion, attempt: Attempt, solves: list[Solve], spent: Spent, higher: float, single: bool) -> str:
    """Return the line: what the solve cost, against what, how it began, and what is not as it should be.

    **Arguments:** `single`: has the function answered in single precision?
    """
    usual, number = cold_calls(solves), len(solves)
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
        reached = np.nan if attempt.answer is None else attempt.answer.norm
        said += f"; NOT CONVERGED: the gradient is {reached:.3g}, wanted was {attempt.gtol:.3g}"
        said += "; fun computes in single precision, which may not reach that" * single
    return said
