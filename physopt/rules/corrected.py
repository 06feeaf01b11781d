"""Several steps on a corrected cheap problem for each evaluation of the expensive one, with rejection of steps that mislead."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, PyTree
from numpy import ndarray

from physopt.core.boxed import AbstractBoxed, Program, boxed_program, declined
from physopt.core.problem import AbstractProblem, Endpoint, Evaluation, finite
from physopt.core.rule import AbstractRule, Move

from .mma import exact_program


class CorrectedState(eqx.Module):
    """The state of the rule, and how far the cheap problem is trusted.

    `rule` is the rule's state after the last proposal, `before` that at the base, whose evaluation is `base`. `trial` is the proposal
    from there, `trusted` the number of steps on the cheap problem that led to it. `rejected` counts rejected trials, `accepted`
    the accepted ones since `trusted` changed.
    """

    rule: PyTree
    before: PyTree
    base: Evaluation
    value: Float[ndarray, ""]
    trial: Float[ndarray, "..."]
    trusted: Float[ndarray, ""]
    rejected: Float[ndarray, ""]
    accepted: Float[ndarray, ""]


class Corrected(AbstractRule):
    r"""Let `rule` take several steps on a cheap problem that is corrected to agree, in value and slope, with the expensive one at $x_k$.

    $$\tilde f(x) = f_c(x) + (f - f_c)(x_k) + \langle \nabla(f - f_c)(x_k), x - x_k \rangle$$

    So a design that satisfies the optimality conditions of the expensive problem stays, however poor the cheap one is. A trial whose value
    rises is rejected. The next comes from the same base with a quarter of the steps on the cheap problem; if there were none, it goes
    half as far. After the $n$-th rejection $2^n$ accepted trials double the steps again.

    **Arguments:**

    - `rule`: one that proposes designs, such as `MMA`; its state passes through all steps.
    - `cheap`: a problem on the same designs. `steps`: at most this many steps on it for each evaluation of the expensive one.
    - `price`: what one evaluation of it costs, in evaluations of the expensive one.
    - `slack`: the fraction by which a value may rise; infinite if the way to a good design leads past worse ones, as for mechanisms.

    **Raises:** `ValueError` if the slopes are not the derivatives of the values.

    ??? cite "Reference"
        Alexandrov, Lewis, Optim. Eng. 2 (2001) 413.
    """

    rule: AbstractRule
    cheap: AbstractProblem
    steps: int = 8
    slack: float = 1e-3
    price: float = 1.0

    def init(self, evaluation: Evaluation) -> CorrectedState:
        """Trust the cheap problem."""
        return self._begun(evaluation, self.rule.init(evaluation))

    def take_up(self, evaluation: Evaluation, known: PyTree) -> CorrectedState:
        """Trust the cheap problem; `known` is a state of `rule`."""
        return self._begun(evaluation, self.rule.take_up(evaluation, known))

    def known(self, state: PyTree) -> PyTree:
        """Return what `rule` can take up."""
        return self.rule.known(state)

    def doubts(self, state: CorrectedState) -> bool:
        """Say whether it takes fewer steps on the cheap problem than it may."""
        return bool(state.trusted < self.steps)

    def _begun(self, evaluation: Evaluation, known: PyTree) -> CorrectedState:
        nought, design = np.array(0.0), exact_program(evaluation).design
        return CorrectedState(known, known, evaluation, np.array(np.inf), design, np.array(float(self.steps)), nought, nought)

    def step(self, evaluation: Evaluation, state: CorrectedState) -> tuple[Move, CorrectedState]:
        """Accept the trial and go on from it, or return to the base and take a shorter step."""
        value = np.asarray(evaluation.value)
        sound = bool(finite(evaluation))
        if not sound and not np.isfinite(state.value):
            return declined(evaluation, False, state.trial, state.trial)[0], state
        if sound and value <= state.value + self.slack * np.abs(state.value):
            accepted, trusted = state.accepted + 1.0, state.trusted
            if trusted < self.steps and accepted >= 2.0**state.rejected:
                accepted, trusted = 0.0, np.clip(2.0 * trusted, 1.0, float(self.steps))
            return self._propose(evaluation, state.rule, state, trusted, state.rejected, accepted, accept=True)
        rejected, nought = state.rejected + 1.0, np.array(0.0)
        if state.trusted > 0.0:
            return self._propose(state.base, state.before, state, state.trusted // 4.0, rejected, nought, accept=False)
        start = boxed_program(state.base).design
        trial = start + 0.5 * (state.trial - start)
        known = (state.rule, state.before, state.base, state.value, trial, state.trusted, np.asarray(rejected), nought)
        return Move(Endpoint(trial), accept=False), CorrectedState(*known)

    def _propose(
        self, base: Evaluation, before: PyTree, state: CorrectedState, trusted: Any, rejected: Any, accepted: Any, *, accept: bool
    ) -> tuple[Move, CorrectedState]:
        """Take one step from the base, and the others on the corrected cheap problem."""
        program, asked = exact_program(base), 0.0
        move, after = self.rule.step(base, before)
        if trusted > 0.0:
            known = boxed_program(self.cheap.evaluate(program.design))
            for _ in range(int(trusted)):
                answer = _corrected(self.cheap.evaluate(_named(move)), program, known)
                move, after = self.rule.step(answer, after)
            asked = float(trusted) + 1.0
        counts = (np.asarray(count) for count in (trusted, rejected, accepted))
        return Move(move.step, accept, cost=self.price * asked), CorrectedState(
            after, before, base, np.asarray(base.value), _named(move), *counts
        )


def _named(move: Move) -> Float[ndarray, "..."]:
    if not isinstance(move.step, Endpoint):
        raise ValueError("The rule for a cheap problem has to name designs, as MMA does; this one gives tangents.")
    return move.step.point


def _corrected(answer: Evaluation, here: Program, known: Program) -> Evaluation:
    """Return what the cheap problem answers, with the difference to the expensive one, linear around a design, added."""
    program = boxed_program(answer)
    missing = here.slopes - known.slopes
    along = missing.reshape(len(missing), -1) @ (program.design - here.design).ravel()
    values, slopes = program.values + here.values - known.values + along, program.slopes + missing

    def where(model: AbstractBoxed) -> tuple[Any, Any]:
        return model.program.values, model.program.slopes

    return Evaluation(values.max(), answer.grad, eqx.tree_at(where, answer.model, (values, slopes)), answer.cost)
