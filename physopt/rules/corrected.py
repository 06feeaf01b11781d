"""Several steps on a cheap problem for each answer of the expensive one."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, PyTree
from numpy import ndarray

from physopt.core.boxed import AbstractBoxed, Program, boxed_program
from physopt.core.problem import AbstractProblem, Endpoint, Evaluation
from physopt.core.rule import AbstractRule, Move

from .mma import exact_program


class CorrectedState(eqx.Module):
    """The rule's state, how many steps the cheap problem is trusted for, the last value, and how often the cheap problem was asked."""

    rule: PyTree
    trusted: Float[ndarray, ""]
    value: Float[ndarray, ""]
    asked: Float[ndarray, ""]


class Corrected(AbstractRule):
    r"""Let `rule` take several steps on a cheap problem that was made to agree, in value and slope, with the expensive one at $x_k$.

    $$\tilde f(x) = f_c(x) + (f - f_c)(x_k) + \langle \nabla(f - f_c)(x_k), x - x_k \rangle$$

    So what satisfies the optimality conditions of the expensive problem is left alone, however poor the cheap one is. The number of
    steps is halved whenever the expensive value rises and grows by one when it falls: without trust this is `rule` itself.

    **Arguments:**

    - `rule`: one that names designs, such as `MMA`; its state goes through all steps.
    - `cheap`: a problem on the same designs. `steps`: the most of them for each evaluation of the expensive one.

    **Raises:** `ValueError` where the slopes are not the derivatives of the values.

    ??? cite "Reference"
        Alexandrov, Lewis, Optim. Eng. 2 (2001) 413.
    """

    rule: AbstractRule
    cheap: AbstractProblem
    steps: int = 8

    def init(self, evaluation: Evaluation) -> CorrectedState:
        """Trust the cheap problem."""
        return self.begun(self.rule.init(evaluation))

    def begun(self, state: PyTree) -> CorrectedState:
        """Return the state before the first step if that of `rule` is known."""
        return CorrectedState(state, np.array(float(self.steps)), np.array(np.inf), np.array(0.0))

    def step(self, evaluation: Evaluation, state: CorrectedState) -> tuple[Move, CorrectedState]:
        """Take one step from the evaluation, and the others on the corrected cheap problem."""
        program, value = exact_program(evaluation), np.asarray(evaluation.value)
        rose = not value <= state.value
        trusted = state.trusted // 2.0 if rose else np.minimum(state.trusted + 1.0, float(self.steps))
        move, inner = self.rule.step(evaluation, state.rule)
        asked = state.asked
        if trusted and np.isfinite(value):
            known = boxed_program(self.cheap.evaluate(program.design))
            for _ in range(int(trusted)):
                answer = _corrected(self.cheap.evaluate(_named(move)), program, known)
                move, inner = self.rule.step(answer, inner)
            asked = asked + trusted + 1.0
        return move, CorrectedState(inner, np.asarray(trusted), value, np.asarray(asked))


def _named(move: Move) -> PyTree:
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

    return Evaluation(values.max(), answer.grad, eqx.tree_at(where, answer.model, (values, slopes)))
