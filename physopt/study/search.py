"""The lowest of many minima: by a search from several starts and along all known branches, or along those that may be the lowest."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from physopt.meta.starts.solve import Solve
from physopt.meta.starts.task import Task

from .attempt import WINDOW, Attempt, Tolerance, attempted, cold
from .branches import Branches, named_after
from .classical import Trial
from .oracle import AbstractOracle, OutOfCalls
from .question import AbstractQuestion
from .record import SAME, Found, Spent, higher, measured, pays, solve_of
from .result import Wanted

BEGIN = 2  # of the lowest ends of a search that may begin a branch


class Run(NamedTuple):
    """One run of a search: where it began, how it went, its oracle and calls, and the branch that it has followed, if it has."""

    begin: Float[ndarray, " n"]
    attempt: Attempt
    oracle: AbstractOracle
    calls: float | int
    branch: str | None

    @property
    def value(self) -> float:
        """The value at the end; infinite unless the run has converged."""
        return np.inf if self.attempt.answer is None or not self.attempt.converged else self.attempt.answer.value

    def moved_to(self, other: "Run") -> float:
        """Return how far the end of another run is from the beginning of this one."""
        return np.inf if other.attempt.answer is None else float(np.linalg.norm(other.attempt.answer.point - self.begin))


class Search(NamedTuple):
    """What a search has found.

    - `best`: the run that ended lowest, or the first one if none has converged. `found`: what was measured at its end.
    - `oracle`: has counted all calls; `spent`: what they were for. `solves`: what is to be recorded.
    - `starts`, `branches`: how many runs began at starts, and how many followed branches.
    """

    best: Run
    found: Found
    oracle: AbstractOracle
    spent: Spent
    solves: list[Solve]
    starts: int
    branches: int


def search(
    question: AbstractQuestion,
    points: Sequence[Float[ndarray, " n"]],
    task: Task,
    branches: Branches,
    rule: str,
    wanted: Wanted,
    before: AbstractOracle,
) -> Search:
    """Solve from all points, the cold start first, and along all known branches.

    Of runs that end with the same value one counts, along branches first. A run that ends nearer to where another branch came from than
    to its own beginning has left its branch. The two lowest ends begin branches if they are on none, as the second may be the lowest for
    another task.

    **Arguments:** `before`: the oracle of what was tried in vain, whose calls count.
    """
    runs: list[Run] = []
    rest, gtol = iter(points), 0.0

    def left() -> float | int:
        return wanted.max_calls - before.calls - sum(run.calls for run in runs)

    def solve(point: Float[ndarray, " n"], tolerance: Tolerance) -> float:
        oracle = question.oracle(task.vector, left())
        attempt = cold(question, oracle, point, rule, np.inf, tolerance)
        runs.append(Run(point, attempt, oracle, oracle.calls, None))
        return attempt.gtol

    for point in rest:  # the first where the function is finite sets the tolerance; one is tried though no calls are left
        gtol = solve(point, wanted.tolerance)
        if gtol > 0.0 or left() <= 0:
            break
    for branch in branches.solves if gtol > 0.0 else ():
        if left() <= 0:
            break
        runs.append(_along(question, question.oracle(task.vector, left()), branch, branches, task, rule, gtol))
    while left() > 0 and (point := next(rest, None)) is not None:
        solve(point, lambda norm: gtol)
    return _found(question, points[0], runs, task, branches, wanted, before)


def follow(
    question: AbstractQuestion,
    x0: Float[ndarray, " n"],
    task: Task,
    branches: Branches,
    rule: str,
    wanted: Wanted,
    before: AbstractOracle,
) -> Search | None:
    """Follow the branches that may be the lowest for a task, as long as one may lie below the lowest end; `None` if none has led there.

    An end that lies higher than its own branch is expected to does not count as found either.
    """
    known = branches.lowest(task)
    gtol = np.nan if known is None else wanted.tolerance(known.expected(task).cold_norm)
    runs: list[Run] = []
    for branch, hope in branches.hopes(task).items() if np.isfinite(gtol) else ():
        left = wanted.max_calls - before.calls - sum(run.calls for run in runs)
        if left <= 0 or hope >= min((run.value for run in runs), default=np.inf):
            break
        runs.append(_along(question, question.oracle(task.vector, left), branch, branches, task, rule, gtol))
    best = min(runs, key=lambda run: run.value, default=None)
    expected = None if best is None or best.branch not in branches.known else branches.known[best.branch].expected(task)
    if best is None or not np.isfinite(best.value) or higher(best.value, expected) > 0.0:
        for run in runs:
            before.take(run.oracle)
        return None
    return _found(question, x0, runs, task, branches, wanted, before)


def _found(
    question: AbstractQuestion,
    x0: Float[ndarray, " n"],
    runs: Sequence[Run],
    task: Task,
    branches: Branches,
    wanted: Wanted,
    before: AbstractOracle,
) -> Search:
    """Return which run has ended lowest, and what is to be recorded of all."""
    first = next((run for run in runs if run.attempt.gtol > 0.0), runs[0])
    kept, along = [], [run for run in runs if run.branch is not None]
    stayed = [run for run in along if all(run.moved_to(run) <= other.moved_to(run) for other in along)]
    left = [run._replace(branch=None) for run in along if not any(run is other for other in stayed)]
    for run in [*sorted(stayed, key=lambda run: run.moved_to(run)), *left, *(run for run in runs if run.branch is None)]:
        if np.isfinite(run.value) and not any(_same(run, other, first) for other in kept):
            kept.append(run)
    best = min(kept, key=lambda run: run.value, default=first)
    lowest = sorted(kept, key=lambda run: run.value)[:BEGIN]
    told = [run for run in kept if run.branch is not None or any(run is low for low in lowest)] if wanted.record else []
    found = [_measured(question, run, x0, task, branches, wanted.curvature) for run in told]
    recording = sum(run.oracle.calls - run.calls for run in runs)
    spent = Spent(before.calls + sum(run.calls for run in runs), len(best.oracle.rows), recording)
    starts = sum(run.calls for run in runs if run.branch is None)  # none where branches were followed alone
    end, solves = Found(best.attempt.answer, None, None), []
    for run, there in zip(told, found, strict=True):
        assert there.answer is not None
        own, more = Spent(run.calls, len(run.oracle.rows)), {"beside": True}
        if run is best:
            searched = {"new": any(low.branch is None for low in lowest), "starts": starts} if starts else {}
            own, more, end = spent, searched, there
        branch = named_after(there.answer.point) if run.branch is None else run.branch
        solves.append(solve_of(task, run.attempt._replace(cold=first.attempt.cold), there, own, 0.0, branch=branch, **more))
    oracle = question.oracle(task.vector)
    for each in (before, *(run.oracle for run in runs)):
        oracle.take(each)
    return Search(best, end, oracle, spent, solves, len(runs) - len(along), len(along))


def _along(question: AbstractQuestion, oracle: AbstractOracle, branch: str, branches: Branches, task: Task, rule: str, gtol: float) -> Run:
    """Follow a branch to a task: from the start that it predicts, or from its nearest minimum, to wherever that leads."""
    name, point, inverse = "nearest", branches.nearest(branch, task).point, None
    if (known := branches.known.get(branch)) is not None and not (start := known.start(task)).doubt:
        name, point, inverse = start.name, start.point, known.inverse(task)
    point = question.box.clip(point)
    try:
        question.near(oracle, point, gtol, inverse, rule, Trial(window=WINDOW, factor=10.0))
        if oracle.lowest is not None and oracle.lowest.norm > gtol:
            question.rules[rule](oracle, oracle.lowest.point, gtol)
    except OutOfCalls:
        pass
    attempt = attempted(oracle, gtol, name, inverse is not None and question.learns_metric, rule, None, "")
    return Run(point, attempt, oracle, oracle.calls, branch)


def _same(one: Run, other: Run, first: Run) -> bool:
    """Say whether two runs have ended in minima of the same value, which symmetries may have placed elsewhere."""
    cold = one.value if first.attempt.cold is None else first.attempt.cold.value
    return abs(one.value - other.value) <= SAME * max(abs(one.value), cold - one.value if np.isfinite(cold) else 0.0)


def _measured(
    question: AbstractQuestion, run: Run, x0: Float[ndarray, " n"], task: Task, branches: Branches, curvature: bool | None
) -> Found:
    """Return the end of a run, with the curvature there while recording that pays for its branch."""
    solves = [] if run.branch is None else branches.solves[run.branch]
    if pays(solves, run.attempt, x0.size, run.oracle.calls) if curvature is None else curvature:
        return measured(question, run.oracle, run.attempt, x0, task, solves)
    return Found(run.attempt.answer, None, None)
