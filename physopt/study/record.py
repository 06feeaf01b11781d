"""What a solve leaves behind: its solution, compared with the neighbours', and curvature and tangents while these still pay."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from physopt.meta.starts.modes import Modes, modes_of
from physopt.meta.starts.solve import Solve
from physopt.meta.starts.task import Task

from .attempt import Attempt
from .curvature import newton_point, tangents_of
from .knowledge import WIDE, Expected, cold_calls
from .oracle import AbstractOracle, Answer
from .question import AbstractQuestion

CURVED = 8  # solves of a family that are recorded with their Hessian in any case
DENSE = 400  # unknowns up to which that is done without being asked for
SAME = 1e-6  # of the value, and of its fall from a cold start


class Spent(NamedTuple):
    """The calls of a solve, its answers with value and gradient, and the calls for its record."""

    calls: float | int
    answers: int
    recording: float | int = 0


class Found(NamedTuple):
    """The last point of a solve, and what was measured there for the record."""

    answer: Answer | None
    hessian: Float[ndarray, "n n"] | None
    tangents: Float[ndarray, "n d"] | None
    modes: Modes | None = None


def measured(
    question: AbstractQuestion, oracle: AbstractOracle, attempt: Attempt, x0: Float[ndarray, " n"], task: Task, solves: list[Solve]
) -> Found:
    """Return the solution, its Hessian and its tangents, by calls of the oracle; the solution is polished by a Newton step."""
    answer = attempt.answer
    assert answer is not None
    budget, oracle.most = oracle.most, np.inf
    hessian = question.hessian(oracle, answer, answer.point - x0, task.vector)
    if hessian is None:
        return Found(answer, None, None)
    better = oracle(newton_point(answer, hessian, question.box))
    answer = better if better.norm < answer.norm else answer
    spread = np.std([solve.task.vector for solve in solves], axis=0) if solves else np.zeros_like(task.vector)
    tangents = None
    if question.knows_task:
        tangents = tangents_of(oracle, answer, hessian, task.vector, spread, question.oracle, question.box)
    oracle.most = budget
    return Found(answer, hessian, tangents)


def follows(question: AbstractQuestion, unknowns: int, solves: list[Solve]) -> bool:
    """Say whether a run should keep its last points for its softest modes: with too many unknowns for a Hessian, until these are enough."""
    few = sum(solve.modes is not None for solve in solves) < CURVED
    return unknowns > DENSE and few and question.learns_metric and not question.box.bounded


def seen(oracle: AbstractOracle) -> Modes | None:
    """Return the softest modes that a followed run has seen, which costs no call."""
    return modes_of([point for point, _ in oracle.trail], [grad for _, grad in oracle.trail])


def solve_of(task: Task, attempt: Attempt, found: Found, spent: Spent, above: float, **more: Any) -> Solve:
    """Return what is written of a solve that converged, with more about it by name."""
    assert found.answer is not None
    about = {"start": attempt.start, "metric": attempt.metric, "rule": attempt.rule, **spent._asdict(), **more}
    if attempt.cold is not None and attempt.cold.finite:
        about |= {"cold_norm": attempt.cold.norm, "cold_value": attempt.cold.value}
    if above > 0.0:
        about["higher"] = above
    return Solve(task, found.answer.point, found.answer.value, found.answer.grad, found.hessian, found.tangents, about, modes=found.modes)


def pays(solves: list[Solve], attempt: Attempt, unknowns: int, calls: float | int) -> bool:
    """Say whether a Hessian should be recorded: for the first solves, and for those that learning did not help."""
    curved = sum(solve.hessian is not None for solve in solves)
    helped = attempt.start != "cold" and calls <= 0.5 * cold_calls(solves)
    return unknowns <= DENSE and (curved < CURVED or (not helped and curved < 4 * CURVED))


def higher(value: float, expected: Expected | None) -> float:
    """Return by how much a value lies above what its neighbours predict, if that is more than they can be wrong by; else 0."""
    if expected is None:
        return 0.0
    allowed = WIDE * expected.error + SAME * max(abs(value), abs(expected.height) if np.isfinite(expected.height) else 0.0)
    return value - expected.value if value - expected.value > allowed else 0.0


def refuse_other(folder: Path, solve: Solve, question: AbstractQuestion, oracle: AbstractOracle) -> None:
    """Spend a call at a recorded solution, and raise `ValueError` if the function has another value or slope there than it had."""
    probe = question.oracle(solve.task.vector)
    now = probe(solve.point)
    oracle.take(probe)
    fall = solve.number("cold_value") - solve.value
    size = max(abs(solve.value), fall if np.isfinite(fall) else 0.0)
    grad = np.zeros_like(solve.point) if solve.gradient is None else solve.gradient
    slope = float(np.linalg.norm(now.grad - grad))
    if abs(now.value - solve.value) <= SAME * size and not slope > 1e-3 * solve.number("cold_norm"):
        return
    raise ValueError(
        f"{folder} was recorded with another function: at a recorded solution its value was {solve.value:.8g} and is {now.value:.8g}, its "
        f"gradient differs by {slope:.2g}. Use another folder, or Study(..., verify=False) if the difference does not matter."
    )
