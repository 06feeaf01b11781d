"""SciPy's `minimize` that remembers: a folder of solves, from which the next one starts."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize
from jaxtyping import Float
from numpy import ndarray

from physopt.meta.starts.folder import Folder
from physopt.meta.starts.solve import Solve
from physopt.meta.starts.task import Task, named_like, task_of

from .attempt import Attempt, cold, learned
from .classical import PORTFOLIO
from .knowledge import FEWEST, Knowledge, best_rule, cold_calls
from .oracle import Oracle
from .record import Found, higher, measured, pays, refuse_other, solve_of
from .report import report, suggest
from .wording import line

Named = Mapping[str, Any] | float | Float[ndarray, " d"]
MOST = 15_000  # calls of one solve, as for SciPy's L-BFGS-B


class Study:
    """Minimize functions of one family, each solve with what the earlier ones have taught.

    The first solves are classical. From the fifth on the start comes from a map through the recorded solutions, and the metric from their
    Hessians, where leave-one-out says that they are to be believed. Tasks may be of several kinds: those with other names, words, shapes or
    another number of unknowns do not mix.

    **Arguments:**

    - `folder`: where the solves are recorded, one HDF5 file each; made with the first. Any number of processes may use it at the same time.
    - `log`: called with a line for each solve, such as `print`; the same line is the `message` of the result.
    - `verify`: where `fun` takes the task, spend one call to make sure that the folder was recorded with the same function.
    """

    def __init__(self, folder: str | Path, *, log: Callable[[str], object] | None = None, verify: bool = True):
        self.folder = Folder(folder)
        self._log, self._verify = log, verify
        self._verified: set[str] = set()
        self._known: tuple[tuple[str, int], Knowledge] | None = None

    def minimize(
        self,
        fun: Callable[..., tuple[float, Float[ndarray, " n"]]],
        x0: Float[ndarray, " n"],
        task: Named,
        *,
        args: tuple[Any, ...] = (),
        pass_task: bool = False,
        hess: Callable[..., Float[ndarray, "n n"]] | None = None,
        gtol: float | None = None,
        rtol: float = 1e-6,
        curvature: bool | None = None,
        record: bool = True,
        max_calls: int = MOST,
    ) -> scipy.optimize.OptimizeResult:
        r"""Minimize $f$ from `x0`, or from where the study expects the solution of this task.

        **Arguments:**

        - `fun`: `fun(x, *args)` returns value and gradient, as for SciPy's `jac=True`; `pass_task`: `fun(x, task, *args)` does, for the
          task as it was given. Then tangents $dx/d\mu$ are recorded, too, which halve the number of solves needed.
        - `x0`: the cold start, of which the study must know nothing. `task`: what tells this problem from the others: named numbers, arrays
          and words, or one number or vector.
        - `hess`: `hess(x, *args)`, dense, if there is a cheaper one than a call for each unknown; with the task as `fun`.
        - `gtol`: the norm of the gradient to reach; by default `rtol` times that at the cold start, or, where this was not asked for, at
          the cold start of the nearest recorded solve.
        - `curvature`: record the Hessian at the solution, at one call for each unknown (and with `pass_task` the tangents, at one for each
          number of the task)? By default for the first 8 solves, for those that learning did not help, and up to 400 unknowns.
        - `record`: keep the solution at all? `max_calls`: the budget of this solve, without its record.

        **Returns:** SciPy's `OptimizeResult`; `nfev` counts all calls of `fun`, `recording` those among them for the record. `start` is
        "cold" or the name of the map, and `saved` is how many calls fewer the solve took than a cold one of this family, in the median.

        **Raises:** `ValueError` for a start or a task that is not finite, and where the folder was recorded with another function.
        """
        x0 = np.array(x0, float)
        if x0.ndim != 1 or x0.size == 0 or not np.isfinite(x0).all():
            raise ValueError(f"x0 has shape {x0.shape}, or numbers that are not finite. Give a vector of finite numbers.")
        if max_calls < 1 or not rtol > 0.0 or (gtol is not None and not gtol > 0.0):
            raise ValueError(f"max_calls={max_calls!r}, rtol={rtol!r}, gtol={gtol!r}: give a call at least, and tolerances above 0.")
        known = task_of(task, x0.size)
        tasked = functools.partial(_tasked, fun, task, args) if pass_task else None
        oracle = Oracle((lambda x: fun(x, *args)) if tasked is None else tasked(known.vector), max_calls)
        solves = self.solves(known)
        if tasked is not None and self._verify and solves and known.kind not in self._verified:
            refuse_other(self.folder.path, solves[-1], tasked, oracle)
            self._verified.add(known.kind)
        before = oracle.calls
        knowledge = self.knowledge(known, solves)
        attempt = _attempt(oracle, x0, known, solves, knowledge, lambda norm: rtol * norm if gtol is None else gtol)
        calls = oracle.calls - before
        found = Found(attempt.answer, None, None)
        if record and attempt.converged and (pays(solves, attempt, x0.size, calls) if curvature is None else curvature):
            exact = None if hess is None else (lambda x: hess(x, *args)) if tasked is None else _tasked(hess, task, args, known.vector)
            found = measured(oracle, attempt, x0, known, solves, exact, tasked)
        above = 0.0 if knowledge is None or found.answer is None else higher(found.answer.value, knowledge.expected(known))
        said = line(attempt, solves, calls, oracle.calls - before - calls, above)
        if record and attempt.converged:
            self.folder.add(solve_of(known, attempt, found, calls, oracle.calls - before - calls, above))
        if self._log is not None:
            self._log(said)
        return _result(attempt, found, oracle, calls, oracle.calls - before - calls, above, cold_calls(solves), said, x0)

    def solves(self, task: Task) -> list[Solve]:
        """Return the recorded solves of the kind of a task, without those that ended in a higher minimum than their neighbours."""
        return [solve for solve in self.folder.solves(task.kind) if not solve.about.get("higher")]

    def solved(self, task: Named, unknowns: int) -> Solve | None:
        """Return the recorded solve of a task with so many unknowns, if there is one."""
        known = task_of(task, unknowns)
        return next((s for s in self.folder.solves(known.kind) if np.array_equal(s.task.vector, known.vector)), None)

    def report(self) -> str:
        """Return what the study has cost and saved, and what it knows, in a few lines for each kind of task."""
        return report(self.folder.solves())

    def suggest(self, number: int, kind: str | None = None) -> list[dict[str, Any]]:
        """Return so many tasks that are worth solving next: in the box of the recorded ones, far from all of them.

        **Arguments:** `kind`: of the tasks, as a recorded solve says it, if there are several.
        """
        return suggest(self.folder.solves(kind), number)

    def knowledge(self, task: Task, solves: list[Solve]) -> Knowledge | None:
        """Return what the study has learned from these solves for tasks of this kind; `None` from fewer than four."""
        if len(solves) < FEWEST:
            return None
        key = (task.kind, len(solves))
        if self._known is None or self._known[0] != key:
            self._known = key, Knowledge(solves, task)
        return self._known[1]


def _attempt(
    oracle: Oracle,
    x0: Float[ndarray, " n"],
    task: Task,
    solves: list[Solve],
    knowledge: Knowledge | None,
    tolerance: Callable[[float], float],
) -> Attempt:
    rule, most = best_rule(solves, list(PORTFOLIO))
    if knowledge is None:
        return cold(oracle, x0, rule, most, tolerance)
    return learned(oracle, x0, task, knowledge, rule, tolerance)


def _result(
    attempt: Attempt,
    found: Found,
    oracle: Oracle,
    calls: int,
    recording: int,
    above: float,
    usual: float,
    said: str,
    x0: Float[ndarray, " n"],
) -> scipy.optimize.OptimizeResult:
    answer = found.answer
    return scipy.optimize.OptimizeResult(
        x=x0 if answer is None else answer.point,
        fun=np.nan if answer is None else answer.value,
        jac=np.full_like(x0, np.nan) if answer is None else answer.grad,
        nfev=oracle.calls,
        recording=recording,
        success=attempt.converged,
        status=0 if attempt.converged else 1,
        message=said,
        start=attempt.start,
        metric=attempt.metric,
        higher=above,
        saved=usual - calls,
        **({} if found.hessian is None else {"hess": found.hessian}),
    )


def _tasked(fun: Callable[..., Any], task: Named, args: tuple[Any, ...], vector: Float[ndarray, " d"]) -> Callable[..., Any]:
    """Return the function for another task vector, in the form in which the user gave the task."""
    other = named_like(task, vector)
    return lambda x: fun(x, other, *args)
