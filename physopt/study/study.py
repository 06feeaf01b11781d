"""SciPy's `minimize` that remembers: a folder of solves, from which the next one starts."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize
from jaxtyping import Float
from numpy import ndarray

from physopt.meta.starts.folder import Folder
from physopt.meta.starts.solve import Solve
from physopt.meta.starts.task import Task, named_like, task_of

from .attempt import cold, learned
from .box import Pairs, Sides, box_of_pairs, box_of_sides
from .branches import Branches
from .knowledge import Knowledge, best_rule, teaches
from .oracle import AbstractOracle
from .question import MARKS, AbstractQuestion, Fit, Minimization
from .record import Found, Spent, follows, higher, measured, pays, refuse_other, seen, solve_of
from .report import report, suggest
from .result import Wanted, result_of, start_of, starts_of
from .search import Search, follow, search
from .wording import line, search_line

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
        self._known: tuple[tuple[str, int], Branches] | None = None

    def minimize(
        self,
        fun: Callable[..., tuple[float, Float[ndarray, " n"]]],
        x0: Float[ndarray, " n"],
        task: Named,
        *,
        starts: Float[ndarray, "..."] | Sequence[Any] = (),
        args: tuple[Any, ...] = (),
        pass_task: bool = False,
        hess: Callable[..., Float[ndarray, "n n"]] | None = None,
        hessp: Callable[..., Float[ndarray, " n"]] | None = None,
        hess_calls: int = 1,
        bounds: Pairs | None = None,
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
        - `starts`: further cold starts, for functions with many minima. All are tried, and all known branches of minima are followed to
          this task, until in 16 such searches in a row the two lowest minima were on known branches. From then on the branch that is
          expected to be the lowest is followed alone; where that fails, a search is made again.
        - `hess`: `hess(x, *args)`, dense, or `hessp`: `hessp(x, p, *args)`, as SciPy has them; with the task as `fun`. They serve Newton's
          method and the record. A product counts as a call, and a Hessian as `hess_calls`, by which the study judges whether it pays.
        - `bounds`: SciPy's `Bounds`, or a pair (lowest, highest) for each unknown, `None` for none. All points lie within, and the norm of
          the gradient is that of $x - P(x - g)$, which is zero where the conditions of Karush, Kuhn and Tucker hold.
        - `gtol`: the norm of the gradient to reach; by default `rtol` times that at the cold start, or, where this was not asked for, at
          the cold start of the nearest recorded solve.
        - `curvature`: record the Hessian at the solution, at one call for each unknown (and with `pass_task` the tangents, at one for each
          number of the task)? By default for the first 8 solves, for those that learning did not help, and up to 400 unknowns.
        - `record`: keep the solution at all? `max_calls`: the budget of this solve, without its record.

        **Returns:** SciPy's `OptimizeResult`; `nfev` counts all calls of `fun`, `nhev` those of `hess` and `hessp`, and `recording` those
        among them for the record. `start` is "cold" or the name of the map, and `saved` is how many calls fewer the solve took than a cold
        one of this family, in the median.

        **Raises:** `ValueError` for a start, a task or bounds that cannot be, and where the folder was recorded with another function.
        """
        x0 = start_of(x0)
        known = task_of(task, x0.size)
        if hess is not None and hessp is not None:
            raise ValueError("hess and hessp are both given, and one is used. Leave out hessp.")

        def of(function: Callable[..., Any] | None) -> Callable[[Float[ndarray, " d"]], Any] | None:
            return None if function is None else functools.partial(_tasked, function, task, args, pass_task)

        functions = of(fun)
        assert functions is not None
        box = box_of_pairs(bounds, x0.size)
        if hessp is not None and box.bounded:
            raise ValueError("hessp is given with bounds, within which no method here uses it. Leave it out.")
        question = Minimization(functions, box, pass_task, known.vector, of(hess), hess_calls, of(hessp))
        return self._solve(question, starts_of(x0, starts), task, Wanted(gtol, rtol, curvature, record, max_calls).checked())

    def least_squares(
        self,
        fun: Callable[..., Any],
        x0: Float[ndarray, " n"],
        task: Named,
        jac: Callable[..., Any] | bool | str = "2-point",
        bounds: Sides = (-np.inf, np.inf),
        method: str = "trf",
        *,
        starts: Float[ndarray, "..."] | Sequence[Any] = (),
        x_scale: Any = None,
        args: tuple[Any, ...] = (),
        pass_task: bool = False,
        gtol: float | None = None,
        rtol: float = 1e-6,
        curvature: bool | None = None,
        record: bool = True,
        max_calls: int = MOST,
    ) -> scipy.optimize.OptimizeResult:
        r"""Minimize $\tfrac12 |r(x)|^2$ by SciPy's `least_squares`, from where the study expects the solution of this task.

        What differs from `minimize`:

        - `fun`: `fun(x, *args)` returns the residuals. `jac`: `jac(x, *args)` returns their Jacobian; or `True`: `fun` returns both;
          or "2-point" or "3-point", by differences. Every call of either counts, also those for differences.
        - `bounds`: (lowest, highest), each a number or a vector, or SciPy's `Bounds`. `method`: "trf", "dogbox" or "lm". `x_scale`: as in
          SciPy.
        - The start alone is learned: the metric of each point is $J^T J$ there, which is recorded for the solution.

        **Returns:** SciPy's `OptimizeResult`: `fun` are the residuals, `cost` is half their square, `jac` their Jacobian and `grad` is
        $J^T r$. `nfev` counts the calls of `fun` that were not for differences, `njev` those for the Jacobian; `start`, `saved` and
        `recording` are as for `minimize`, in calls of both.

        **Raises:** as `minimize`.
        """
        x0 = start_of(x0)
        functions = functools.partial(_tasked, fun, task, args, pass_task)

        def jacobians(vector: Float[ndarray, " d"]) -> Any:
            return _tasked(jac, task, args, pass_task, vector) if callable(jac) else jac

        box = box_of_sides(bounds, x0.size)
        question = Fit(functions, jacobians, box, pass_task, method, x_scale)
        return self._solve(question, starts_of(x0, starts), task, Wanted(gtol, rtol, curvature, record, max_calls).checked())

    def _solve(
        self, question: AbstractQuestion, points: list[Float[ndarray, " n"]], named: Named, wanted: Wanted
    ) -> scipy.optimize.OptimizeResult:
        points = [question.box.clip(point) for point in points]
        x0 = points[0]
        task = task_of(named, x0.size, question.marks)
        oracle, solves = question.oracle(task.vector, wanted.max_calls), self.solves(task)
        if question.knows_task and self._verify and solves and task.kind not in self._verified:
            refuse_other(self.folder.path, solves[-1], question, oracle)
            self._verified.add(task.kind)
        branches = self.branches(task, solves)
        knowledge, some = branches.lowest(task), len(points) > 1
        if some and (knowledge is None or (wanted.record and not branches.searched)):
            return self._searched(question, points, task, branches, wanted, oracle)
        if branches.several:
            done = follow(question, x0, task, branches, next(iter(question.rules)), wanted, oracle)
            return self._searched(question, points, task, branches, wanted, oracle, done)
        before, (rule, most) = oracle.calls, best_rule(solves, list(question.rules), trying=wanted.record)
        if wanted.record and wanted.curvature is None and follows(question, x0.size, solves):
            oracle.follow(x0.size)
        if knowledge is None:
            attempt = cold(question, oracle, x0, rule, most, wanted.tolerance)
        else:
            attempt = learned(question, oracle, x0, task, knowledge, rule, wanted.tolerance)
        above = 0.0 if knowledge is None or attempt.answer is None else higher(attempt.answer.value, knowledge.expected(task))
        if some and (attempt.start == "cold" or above > 0.0):
            return self._searched(question, points, task, branches, wanted, oracle)
        spent = Spent(oracle.calls - before, len(oracle.rows))
        found = Found(attempt.answer, None, None)
        curvature = pays(solves, attempt, x0.size, spent.calls) if wanted.curvature is None else wanted.curvature
        if wanted.record and attempt.converged and curvature:
            found = measured(question, oracle, attempt, x0, task, solves)
        elif wanted.record and attempt.converged:
            found = found._replace(modes=seen(oracle))
        spent = spent._replace(recording=oracle.calls - before - spent.calls)
        said = line(question, attempt, branches, solves, spent, above, oracle.single)
        if wanted.record and attempt.converged:
            branch = next(iter(branches.solves), "")
            self.folder.add(solve_of(task, attempt, found, spent, above, **({"branch": branch} if branch else {})))
        return self._told(result_of(question, attempt, found, oracle, spent, above, branches.usual, said, x0))

    def _searched(
        self,
        question: AbstractQuestion,
        points: list[Float[ndarray, " n"]],
        task: Task,
        branches: Branches,
        wanted: Wanted,
        oracle: AbstractOracle,
        done: Search | None = None,
    ) -> scipy.optimize.OptimizeResult:
        """Record and tell what was found; search for the lowest minimum if nothing was, with the calls of an oracle in vain."""
        if done is None:
            done = search(question, points, task, branches, next(iter(question.rules)), wanted, oracle)
        for solve in done.solves:
            self.folder.add(solve)
        said = search_line(done, branches)
        return self._told(result_of(question, done.best.attempt, done.found, done.oracle, done.spent, 0.0, branches.usual, said, points[0]))

    def _told(self, result: scipy.optimize.OptimizeResult) -> scipy.optimize.OptimizeResult:
        if self._log is not None:
            self._log(result.message)
        return result

    def solves(self, task: Task) -> list[Solve]:
        """Return the recorded solves of the kind of a task, without those that ended in a higher minimum, or whose numbers are absurd."""
        return [solve for solve in self.folder.solves(task.kind) if teaches(solve)]

    def solved(self, task: Named, unknowns: int) -> Solve | None:
        """Return a recorded solve of a task with so many unknowns, if there is one: a minimum or a fit, within bounds or without."""
        kinds = {task_of(task, unknowns, marks).kind for marks in MARKS}
        vector = task_of(task, unknowns).vector
        return next((s for s in self.folder.solves() if s.task.kind in kinds and np.array_equal(s.task.vector, vector)), None)

    def report(self) -> str:
        """Return what the study has cost and saved, and what it knows, in a few lines for each kind of task."""
        return report(self.folder.solves())

    def suggest(self, number: int, kind: str | None = None) -> list[dict[str, Any]]:
        """Return so many tasks that are worth solving next: in the box of the recorded ones, far from all of them.

        **Arguments:** `kind`: of the tasks, as a recorded solve says it, if there are several.
        """
        return suggest(self.folder.solves(kind), number)

    def branches(self, task: Task, solves: list[Solve]) -> Branches:
        """Return what the study has learned from these solves for tasks of this kind, by the branches of their minima."""
        key = (task.kind, len(solves))
        if self._known is None or self._known[0] != key:
            self._known = key, Branches(solves, task)
        return self._known[1]

    def knowledge(self, task: Task, solves: list[Solve]) -> Knowledge | None:
        """Return what is known of the branch that is expected to be the lowest for a task; `None` from fewer than four solves."""
        return self.branches(task, solves).lowest(task)


def _tasked(function: Callable[..., Any], task: Named, args: tuple[Any, ...], pass_task: bool, vector: Float[ndarray, " d"]) -> Any:
    """Return a user's function of x, for another task vector in the form in which the user gave the task, if it takes that."""
    given = (named_like(task, vector), *args) if pass_task else args
    return lambda *x: function(*x, *given)
