"""Extrapolation of past answers: DIIS and its relatives, on any model that is affine in its anchor."""

import abc

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, PyTree

from physopt.core.anchored import AbstractAnchored
from physopt.core.problem import Evaluation, finite
from physopt.core.rule import AbstractRule, Move
from physopt.core.tree import tree_combine, tree_memory, tree_push, tree_zeros

from .mixers import AbstractMixer, Blend, Commutator


class AbstractShift(eqx.Module):
    """Chooses the level shift of a step, in units of the gradient of the ambient space (hartree for orbitals)."""

    @abc.abstractmethod
    def amount(self, change: float) -> float | Float[np.ndarray, " spin"]:
        """Return the shift, given the change of the value since the last evaluation (NaN at the first)."""


class StaticShift(AbstractShift):
    """Shift by the same `value`, in hartree for orbitals (one number, or one for each spin), in every step."""

    value: float | Float[np.ndarray, " spin"] = 0.0

    def amount(self, change: float) -> float | Float[np.ndarray, " spin"]:
        """Return `value`."""
        return self.value


class DynamicShift(AbstractShift):
    """Shift by `factor` times the last change of the value, so that it fades as the run converges."""

    factor: float = 1.0

    def amount(self, change: float) -> float:
        """Return `factor * |change|`; zero before there is a change."""
        return 0.0 if np.isnan(change) else self.factor * abs(change)


class DIISState(eqx.Module):
    """The last anchors, residuals and values, oldest first; `count` of the rows are filled, from the end."""

    anchors: PyTree
    errors: np.ndarray
    values: np.ndarray
    count: np.ndarray


class DIIS(AbstractRule):
    r"""Move the model's anchor to an affine combination of the past ones, and go to where that model is stationary.

    With $c$ from `mixer`: anchor $(\sum_k c_k x_k, \sum_k c_k g_k)$, then `model.target(...)`. Without the response this is the
    classical method of the mixer's name; with it, the step also includes the change of the gradient along the move.
    Every trial is accepted. The model must be an `AbstractAnchored`.

    **Arguments:**

    - `mixer`: how to combine. `space`: how many past answers to keep; 1 is plain fixed-point iteration.
    - `respond`: use the model's response. `accuracy`: solve the model to this fraction of the newest residual norm.
    - `damping`: keep this fraction of the last (damped) gradient, $g_k \leftarrow (1 - a) g_k + a g_{k-1}$.
    - `shift`: level shift.
    """

    mixer: AbstractMixer = Commutator()
    space: int = eqx.field(default=8, static=True)
    respond: bool = eqx.field(default=False, static=True)
    accuracy: float = 0.02
    damping: float = 0.0
    shift: AbstractShift = StaticShift()

    def init(self, evaluation: Evaluation) -> DIISState:
        """Start with an empty history."""
        model = self._anchored(evaluation)
        blank = np.zeros((self.space, len(model.error())))
        return DIISState(tree_memory(model.anchor, self.space), blank, np.full(self.space, np.nan), np.asarray(0))

    def step(self, evaluation: Evaluation, state: DIISState) -> tuple[Move, DIISState]:
        """Store the newest answer, extrapolate, and go to the model's stationary point."""
        model = self._anchored(evaluation)
        if not finite(evaluation):
            # Nothing to learn from: ask again at the best point.
            return Move(tree_zeros(evaluation.grad), accept=False, recall=True), state
        newest, error = model.anchor, model.error()
        if self.damping and state.count:
            last = _row(state.anchors, -1)
            newest = tree_combine([1.0 - self.damping, self.damping], [newest, last])
        state = DIISState(
            tree_push(state.anchors, newest),
            tree_push(state.errors, error),
            tree_push(state.values, np.asarray(float(evaluation.value))),
            np.asarray(min(int(state.count) + 1, self.space)),
        )
        rows = range(-int(state.count), 0)
        anchors = [_row(state.anchors, k) for k in rows]
        errors, values = state.errors[rows[0] :], state.values[rows[0] :]
        pairings = np.asarray([[model.pairing(a, b) for b in anchors] for a in anchors]) if self.mixer.pairs else None
        moved = model.moved(tree_combine(self.mixer.coefficients(errors, values, pairings), anchors))
        change = values[-1] - values[-2] if len(values) > 1 else np.nan
        accuracy = self.accuracy * float(np.linalg.norm(error))
        step = moved.target(accuracy=accuracy, respond=self.respond, shift=self.shift.amount(change), about=model.anchor)
        return Move(step, accept=True), state

    def _anchored(self, evaluation: Evaluation) -> AbstractAnchored:
        if not isinstance(evaluation.model, AbstractAnchored):
            raise TypeError(
                f"DIIS extrapolates anchors, and a {type(evaluation.model).__name__} model has none. "
                "Use LBFGS() or ModelStep() for this problem."
            )
        return evaluation.model


def _row(memory: PyTree, k: int) -> PyTree:
    return jax.tree.map(lambda rows: rows[k], memory)


def cdiis(space: int = 8) -> DIIS:
    """Return Pulay's commutator DIIS, PySCF's default."""
    return DIIS(Commutator(), space)


def adiis_cdiis(space: int = 8) -> DIIS:
    """Return ADIIS far from convergence, blended into CDIIS near it."""
    return DIIS(Blend(), space)


def response_diis(space: int = 8) -> DIIS:
    """Return DIIS whose step solves the model with its response at the extrapolated anchor."""
    return DIIS(Commutator(), space, respond=True)
