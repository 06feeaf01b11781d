"""The driver for any problem, on the host: the oracle may be a Fock build in C or a jitted residual."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
from jaxtyping import PyTree

from .answers import Answers, lent, shown
from .iterate import Carry, History, begin, propose, settle
from .problem import AbstractProblem, Evaluation, finite
from .recording import Recording, Tape
from .rule import AbstractRule
from .stop import Stop
from .tree import tree_norm


class Progress(eqx.Module):
    """What a callback gets after each evaluation; if the callback returns `True`, the run stops."""

    index: int
    carry: Carry
    grad_norm: float
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
    - `state`: the rule's state, to continue from. `history`: one row per evaluation of this run.
    - `converged`: did every criterion of `Stop` hold? `reason`: "converged", "stalled", "budget", "non-finite" or "callback"; "interrupted"
      in an `Interrupted`.
    - `restored`: evaluations of an earlier process that were read from the record. `repeated`: extra calls that the resume cost.
    """

    point: PyTree
    evaluation: Evaluation
    state: PyTree
    history: History
    converged: bool
    reason: str
    restored: int = 0
    repeated: int = 0

    @property
    def num_evaluations(self) -> int:
        """Number of oracle calls of the whole run, those before a resume included."""
        return len(self.history.value)


def minimize(
    problem: AbstractProblem,
    rule: AbstractRule,
    point: PyTree,
    *,
    stop: Stop = Stop(grad_norm=1e-6),
    record: str | Path | Recording | None = None,
    callback: Callable[[Progress], bool | None] | None = None,
) -> Solution:
    r"""Minimize $f$ from `point` by `rule` until `stop` holds; any problem, traceable or not.

    **Arguments:**

    - `point`: where to start; `problem.init(key)` gives one.
    - `stop`: the criteria, the same for every rule.
    - `record`: a folder to write the run into, or a `Recording` that says more (resume, provenance).
    - `callback`: called with a `Progress` after each evaluation; `True` stops the run.

    Host arrays are protected: `evaluate` and `retract` get copies and may write into them, a callback sees read-only arrays, and an
    answer is copied if somebody could still write to it. So the returned point has the reported value, and `point` is unchanged.

    **Returns:** a `Solution`. A run that did not converge says so there and raises nothing, whatever numbers the oracle returns.

    **Raises:** `FileExistsError` if `record` names a finished or foreign run; `ValueError` if it is to be resumed and was recorded for
    something else; see `Recording`. `TypeError` if an answer is no `Evaluation` of real numbers, `ValueError` if its gradient is no
    tangent, or not of the kind of the first one's. `Interrupted`, a `KeyboardInterrupt` with the solution so far.
    """
    # The oracle is compiled apart from the rule: a resumed run asks it again, and must get the same bits.
    wrap = eqx.filter_jit if problem.traceable else lambda function: function
    evaluate, ask, take = Answers(problem, wrap(problem.evaluate)), wrap(propose), wrap(settle)
    with Tape(record, problem, rule, point) as tape:
        resumed = tape.restore(evaluate, rule, point)
        carry, best = resumed or (begin(rule, point, first := evaluate(point)), first)
        reason, bad = None, 0
        try:
            while reason is None:
                grad_norm = float(tree_norm(carry.evaluation.grad))
                bad = 0 if finite(carry.evaluation, grad_norm) else bad + 1
                if carry.evaluation.value == carry.best_value:
                    best = carry.evaluation
                index = tape.write(carry, grad_norm)
                converged = stop.converged(carry, grad_norm)
                halted = callback is not None and callback(Progress(index, shown(carry), grad_norm, tape.seconds, converged))
                if converged:
                    reason = "converged"
                elif halted:
                    reason = "callback"
                elif stop.patience is not None and stop.stalled(tape.accepted(), float(carry.evaluation.value)):
                    reason = "stalled"
                elif index + 1 >= stop.max_evaluations:
                    reason = "budget"
                elif bad >= stop.max_nonfinite:
                    reason = "non-finite"
                else:
                    new = ask(problem, rule, carry)
                    carry = take(carry, new, evaluate(new.trial))
        except KeyboardInterrupt as signal:
            best = carry.evaluation if carry.evaluation.value == carry.best_value else best
            found = Solution(lent(carry.best), best, carry.state, History(*tape.rows()), False, "interrupted", *tape.resumed)
            raise Interrupted(found) from signal
        point, evaluation = (carry.best, best) if reason in ("stalled", "budget", "non-finite") else (carry.trial, carry.evaluation)
        tape.finish(reason, evaluation.value)
    return Solution(lent(point), evaluation, carry.state, History(*tape.rows()), reason == "converged", reason, *tape.resumed)
