"""The driver for any problem, on the host: the oracle may be a Fock build in C or a jitted residual."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
from jaxtyping import PyTree

from .answers import Answers, lent, shown
from .implicit import Implicit, held
from .iterate import Carry, History, again, begin, propose, settle
from .problem import AbstractProblem, Evaluation, finite
from .recording import Recording, Tape
from .rule import AbstractRule
from .stop import Stop
from .tree import tree_norm


class Progress(eqx.Module):
    """What a callback gets after each evaluation; if the callback returns `True`, the run stops.

    - `index`: of this evaluation, from 0. `cost`, `seconds`: of the whole run so far; cost in full calls of the oracle.
    """

    index: int
    carry: Carry
    grad_norm: float
    cost: float
    seconds: float
    converged: bool


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or SIGTERM under `physopt`, ended the run; `found` is the result so far, such as a `Solution`. The cause is kept."""

    def __init__(self, found: Any):
        super().__init__("interrupted; what was found by then is in `found`")
        self.found = found


class Solution(eqx.Module):
    """The outcome of a run.

    - `point`, `evaluation`: the trial that converged or at which the callback stopped; otherwise the point of lowest finite
      value seen.
    - `state`: the rule's state that belongs to `point`, before its answer was used: `minimize(problem, rule, point, state=state)` goes on
      from there. `history`: one row per evaluation of this run.
    - `converged`: did every criterion of `Stop` hold? `reason`: "converged", "stalled", "budget", "non-finite" or "callback"; "interrupted"
      in an `Interrupted`.
    - `carry`, `lowest`: how the run ended, and the lowest answer with its state; with them `minimize(problem, rule, solution)` goes on as
      if the run had never stopped.
    - `restored`: evaluations of an earlier process that were read from the record. `repeated`: extra calls that the resume cost.
    """

    point: PyTree
    evaluation: Evaluation
    state: PyTree
    history: History
    converged: bool
    reason: str
    carry: Carry
    lowest: tuple[Evaluation, PyTree]
    restored: int = 0
    repeated: int = 0

    @property
    def num_evaluations(self) -> int:
        """Number of oracle calls of the whole run, those before a resume included."""
        return len(self.history.value)

    @property
    def cost(self) -> float:
        """What the whole run has cost, in full calls of the oracle; those that a resume repeated are not in it."""
        return float(self.history.cost.sum())


def minimize(
    problem: AbstractProblem,
    rule: AbstractRule,
    point: PyTree | Solution,
    *,
    state: PyTree = None,
    stop: Stop = Stop(grad_norm=1e-6),
    record: str | Path | Recording | None = None,
    callback: Callable[[Progress], bool | None] | None = None,
    adjoint: Implicit | None = None,
) -> Solution:
    r"""Minimize $f$ from `point` by `rule` until `stop` holds; any problem, traceable or not.

    **Arguments:**

    - `point`: where to start; `problem.init(key)` gives one. Or the `Solution` of a run of the same rule and problem, to take up where it
      stopped: $n$ evaluations and then $m$ more give what $n + m$ in one run do, bit for bit, and the oracle is not asked again where it
      stood. (The new run's first row is the old one's last, at no cost.)
    - `state`: the state of an earlier run at `point`, if the rule is to begin with that; see `AbstractRule.take_up`.
    - `stop`: the criteria, the same for every rule.
    - `record`: a folder to write the run into, or a `Recording` that says more (resume, provenance).
    - `callback`: called with a `Progress` after each evaluation; `True` stops the run.
    - `adjoint`: give `Solution.point`, and nothing else of the solution, its derivative with respect to the problem's arrays, for
      `jax.grad` around this call; see `Implicit`. A run that did not converge then raises `ValueError`.

    Host arrays are protected: `evaluate` and `retract` get copies and may write into them, a callback sees read-only arrays, and an
    answer is copied if somebody could still write to it. So the returned point has the reported value, and `point` is unchanged.

    **Returns:** a `Solution`. A run that did not converge says so there and raises nothing, whatever numbers the oracle returns.

    **Raises:** `FileExistsError` if `record` names a finished or foreign run; `ValueError` if it is to be resumed and was recorded for
    something else; see `Recording`. `TypeError` if an answer is no `Evaluation` of real numbers, `ValueError` if its gradient is no
    tangent, or not of the kind of the first one's. `Interrupted`, a `KeyboardInterrupt` with the solution so far.
    """
    last = point if isinstance(point, Solution) else None
    if last is not None and state is not None:
        raise ValueError("A Solution brings its own state; leave state out, or give minimize(problem, rule, solution.point, state=...).")
    start, known = (point, state) if last is None else (last.carry.trial, last.carry.state)
    posed = problem
    if adjoint is not None:
        problem, rule, start = held((problem, rule, start))
        adjoint.check(problem, rule)
    # The oracle is compiled apart from the rule: a resumed run asks it again, and must get the same bits.
    wrap = eqx.filter_jit if problem.traceable else lambda function: function
    evaluate, ask, take = Answers(problem, wrap(problem.evaluate)), wrap(propose), wrap(settle)
    with Tape(record, problem, rule, start, known) as tape:
        if resumed := tape.restore(evaluate, rule, start):
            carry, lowest = resumed
        elif last is not None:
            carry, lowest = again(last.carry), last.lowest
        else:
            carry = begin(rule, start, evaluate(start), known)
            lowest = carry.evaluation, carry.state
        reason, bad = None, 0
        try:
            while reason is None:
                grad_norm = float(tree_norm(carry.evaluation.grad))
                bad = 0 if finite(carry.evaluation, grad_norm) else bad + 1
                if carry.evaluation.value == carry.best_value:
                    lowest = carry.evaluation, carry.state
                index = tape.write(carry, grad_norm, lowest[1])
                converged = stop.converged(carry, grad_norm)
                halted = callback is not None and callback(Progress(index, shown(carry), grad_norm, tape.cost, tape.seconds, converged))
                if converged:
                    reason = "converged"
                elif halted:
                    reason = "callback"
                elif stop.patience is not None and stop.stalled(tape.accepted(), float(carry.evaluation.value)):
                    reason = "stalled"
                elif index + 1 >= stop.max_evaluations or tape.cost >= stop.max_cost:
                    reason = "budget"
                elif bad >= stop.max_nonfinite:
                    reason = "non-finite"
                else:
                    new = ask(problem, rule, carry)
                    carry = take(carry, new, evaluate(new.trial))
        except KeyboardInterrupt as signal:
            lowest = (carry.evaluation, carry.state) if carry.evaluation.value == carry.best_value else lowest
            rows = History(*tape.rows())
            found = Solution(lent(carry.best), lowest[0], lowest[1], rows, False, "interrupted", carry, lowest, *tape.resumed)
            raise Interrupted(found) from signal
        end, evaluation, state = carry.trial, carry.evaluation, carry.state
        if reason in ("stalled", "budget", "non-finite"):
            end, (evaluation, state) = carry.best, lowest
        tape.finish(reason, evaluation.value)
    rows, end = History(*tape.rows()), lent(end)
    if adjoint is not None:
        if reason != "converged":
            raise ValueError(f"The run ended as {reason!r}, and only a stationary point has a derivative: give a larger budget.")
        end = adjoint(posed, end)
    return Solution(end, evaluation, state, rows, reason == "converged", reason, carry, lowest, *tape.resumed)
