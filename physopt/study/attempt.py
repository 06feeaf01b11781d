"""One solve: with what the study knows, if that is to be believed, and otherwise as if it knew nothing."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from physopt.meta.starts.modes import LowRank
from physopt.meta.starts.task import Task

from .box import Box
from .classical import Trial
from .knowledge import Expected, Knowledge
from .oracle import AbstractOracle, Answer, OutOfCalls
from .posed import Inverse
from .question import AbstractQuestion

PRICE = 0.1  # of a cold solve: what trying in vain may cost, beside two answers
WINDOW = 4  # answers in which the gradient must fall
Tolerance = Callable[[float], float]  # the gradient norm to reach, from that of the cold start


class Attempt(NamedTuple):
    """How a solve went.

    - `answer`: the last point; `None` if nothing finite was seen. `converged`: is its gradient within `gtol`?
    - `start`: "cold", or the map that the start came from. `metric`: was a recorded metric used? `rule`: the classical rule, if one was.
    - `cold`: the answer at the cold start, if it was asked for. `doubt`: why the start, or what was predicted, was not used; or empty.
    """

    answer: Answer | None
    converged: bool
    start: str
    metric: bool
    rule: str
    gtol: float
    cold: Answer | None
    doubt: str


def cold(
    question: AbstractQuestion,
    oracle: AbstractOracle,
    point: Float[ndarray, " n"],
    rule: str,
    most: float | int,
    tolerance: Tolerance,
    doubt: str = "",
) -> Attempt:
    """Solve by a classical rule from the cold start; after `most` calls by the first one of the question's, from the best point."""
    gtol, first = 0.0, None
    try:
        first = oracle(point)
        if not first.finite:
            return attempted(oracle, gtol, "cold", False, rule, first, f"{doubt}; at the cold start the function is not finite".strip("; "))
        gtol = tolerance(first.norm)
        budget, oracle.most = oracle.most, min(oracle.most, oracle.calls + most)
        question.rules[rule](oracle, point, gtol)
        oracle.most = budget
        if not _reached(oracle, gtol) and rule != (backup := next(iter(question.rules))):
            rule = f"{rule}, {backup}"
            question.rules[backup](oracle, point if oracle.lowest is None else oracle.lowest.point, gtol)
    except OutOfCalls:
        pass
    return attempted(oracle, gtol, "cold", False, rule, first, doubt)


def learned(
    question: AbstractQuestion,
    oracle: AbstractOracle,
    point: Float[ndarray, " n"],
    task: Task,
    knowledge: Knowledge,
    rule: str,
    tolerance: Tolerance,
) -> Attempt:
    """Solve from the learned start with the learned metric; each is left out, by itself, if it is not to be believed.

    A start is refused without a call by its distance and its leave-one-out error, and after one call if its gradient, or for a fit its
    value, is no better than that of a cold start. The metric is refused without a call by what it does for recorded problems that are left
    out, and goes during the run if the gradient does not fall soon.
    """
    start, inverse, expected = knowledge.start(task), knowledge.inverse(task), knowledge.expected(task)
    doubt, gtol, begin = start.doubt, tolerance(expected.cold_norm), question.box.clip(start.point)
    try:
        if not doubt and np.isfinite(gtol):
            high = oracle.glance(begin) >= expected.cold_value
            if not high and _promising(question.box, oracle(begin), inverse, expected):
                trial = _trial(inverse, expected, gtol, knowledge.usual, 1)
                question.near(oracle, begin, gtol, inverse, rule, trial._replace(leave=0.1 * expected.cold_norm))
                if _reached(oracle, gtol):
                    metric = inverse is not None and question.learns_metric
                    return attempted(oracle, gtol, start.name, metric, "" if metric else rule, None, "")
                doubt, inverse = "the gradient did not fall from it", None
            else:
                doubt = f"its {'value' if high else 'gradient'} is no better than that of a cold start"
        if inverse is None or not question.learns_metric:
            return cold(question, oracle, point, rule, np.inf, tolerance, doubt)
        tried, first = len(oracle.rows), oracle(point)
        oracle.keep(first)
        gtol = tolerance(first.norm)
        if not first.finite:
            return cold(question, oracle, point, rule, np.inf, tolerance, doubt)
        trial = _trial(inverse, expected._replace(cold_norm=first.norm), gtol, knowledge.usual, tried)
        question.near(oracle, point, gtol, inverse, rule, trial._replace(leave=0.5 * first.norm))
        if _reached(oracle, gtol):
            return attempted(oracle, gtol, "cold", True, "", first, doubt)
        return cold(question, oracle, point, rule, np.inf, tolerance, f"{doubt}, nor with the learned metric")
    except OutOfCalls:
        return attempted(oracle, gtol, start.name, inverse is not None, "", None, doubt)


def _trial(inverse: Inverse | None, expected: Expected, gtol: float, usual: float, spent: int) -> Trial:
    """Return how long to wait for what was learned, where a cold solve usually takes so many answers.

    What is tried in vain may cost a tenth of a cold solve and two answers, of which some are spent. After that the gradient must fall as
    fast as in a cold solve on average. With a few modes alone it rises at first, and a quarter of a cold solve is waited for a half of it.
    """
    fall = 0.5 * expected.height if expected.height > 0.0 else np.inf
    if not (np.isfinite(usual) and np.isfinite(expected.cold_norm / gtol)):
        return Trial(2, fall, WINDOW, 10.0)
    if isinstance(inverse, LowRank):
        window = int(max(0.25 * usual, WINDOW))
        return Trial(window, fall, window, 2.0)
    first = int(np.clip(2.0 + PRICE * usual - spent, 2.0, WINDOW))
    factor = float(np.clip((expected.cold_norm / gtol) ** (WINDOW / usual), 2.0, 10.0))
    return Trial(first, fall, WINDOW, factor)


def _promising(box: Box, answer: Answer, inverse: Inverse | None, expected: Expected) -> bool:
    """Say whether a start is better than a cold one: lower in the metric's estimate, or else flatter by a factor of two."""
    if not answer.finite:
        return False
    if inverse is None or not np.isfinite(expected.height):
        return answer.norm < 0.5 * expected.cold_norm
    slope = box.projected(answer.point, answer.grad)
    return bool(0.5 * slope @ (inverse @ slope) < 0.5 * expected.height)


def _reached(oracle: AbstractOracle, gtol: float) -> bool:
    return oracle.flattest is not None and oracle.flattest.norm <= gtol


def attempted(oracle: AbstractOracle, gtol: float, start: str, metric: bool, rule: str, first: Answer | None, doubt: str) -> Attempt:
    """Return how a solve went by what its oracle has seen."""
    converged = _reached(oracle, gtol)
    return Attempt(oracle.flattest if converged else oracle.lowest, converged, start, metric, rule, gtol, first, doubt)
