"""Switch between rules: a quick one while it converges, a descending one when it does not, a classical one if the model is not used."""

import dataclasses
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import PyTree

from physopt.core.anchored import AbstractAnchored
from physopt.core.problem import Evaluation
from physopt.core.rule import AbstractRule, Move
from physopt.core.tree import tree_norm

from .diis import adiis_cdiis, response_diis
from .trust import TrustRegion, TrustState

QUICK, DESCENT, CLASSICAL = range(3)
SHARP = 0.2  # a contraction that needs no second opinion


class ControlState(eqx.Module):
    """The states of the three rules, which one is active and for how long, the strikes against the quick one, and the last norm."""

    quick: PyTree
    descent: TrustState
    classical: PyTree
    turn: np.ndarray
    count: np.ndarray
    strikes: np.ndarray
    norm: np.ndarray


class Control(AbstractRule):
    r"""Use `quick` while it converges, then `descent` from the best point, in turns with `classical`.

    There are two kinds of strikes against `quick`: an answer whose gradient norm is not below `contraction` times the last one, and an
    answer where the model, corrected by all answers, has its minimum beyond the trust radius. The latter means negative curvature, where
    an extrapolation may lead to a saddle. After more than `patience` strikes `quick` is not used again. `descent` has learned from all
    answers meanwhile. If the response is not believed, `classical` has the first turn and turns are short, so that broken weights cost as
    much as no model: then `descent` has only the curvature of past answers, and where `classical` stalls, neither helps for long alone.
    A turn of `classical` ends at once when an answer repeats an earlier one: an energy mixer that keeps its lowest answer would
    ask for the same point until it has dropped that answer.

    **Arguments:**

    - `quick`, `classical`: any rules. `descent`: a trust region.
    - `patience`: strikes that are allowed. `contraction`: of the gradient norm, for each evaluation.
    - `dwell`: evaluations per turn of `descent` and of `classical`. `unaided`: the same where the response is not believed.
    """

    quick: AbstractRule = response_diis()
    descent: TrustRegion = TrustRegion()
    classical: AbstractRule = adiis_cdiis()
    patience: int = 1
    contraction: float = 0.5
    dwell: int = 40
    unaided: int = 6

    def init(self, evaluation: Evaluation) -> ControlState:
        """Give the first turn to `quick`, or to `classical` if the model is not believed."""
        quick, descent, classical = (rule.init(evaluation) for rule in (self.quick, self.descent, self.classical))
        turn, nought = np.asarray(QUICK if _believed(evaluation) else CLASSICAL), np.asarray(0)
        return ControlState(quick, descent, classical, turn, nought, nought, np.asarray(np.inf))

    def step(self, evaluation: Evaluation, state: ControlState) -> tuple[Move, ControlState]:
        """Follow the rule whose turn it is, or pass the turn on."""
        turn, count, strikes = int(state.turn), int(state.count) + 1, int(state.strikes)
        norm, dwell = float(tree_norm(evaluation.grad)), self.dwell if _believed(evaluation) else self.unaided
        if turn == DESCENT and count <= dwell:
            move, descent = self.descent.step(evaluation, state.descent)
            return move, self._next(state, turn, count, strikes, norm, descent=descent)
        watched = self.descent.watch(evaluation, state.descent)
        if turn == DESCENT:
            best = watched.base
            move, classical = self.classical.step(best, self.classical.init(best))
            move = dataclasses.replace(move, recall=True)
            return move, self._next(state, CLASSICAL, 0, strikes, norm, descent=watched, classical=classical)
        if turn == CLASSICAL and count <= dwell and not self.descent.knows(evaluation, state.descent):
            move, classical = self.classical.step(evaluation, state.classical)
            return move, self._next(state, turn, count, strikes, norm, descent=watched, classical=classical)
        if turn == QUICK:
            if strikes or count == 1 or not norm < SHARP * float(state.norm):
                strikes += (not norm < self.contraction * float(state.norm)) + (not self.descent.sees_minimum(watched))
            if strikes <= self.patience:
                move, quick = self.quick.step(evaluation, state.quick)
                return move, self._next(state, turn, count, strikes, norm, descent=watched, quick=quick)
        move, descent = self.descent.resume(watched)
        return move, self._next(state, DESCENT, 0, strikes, norm, descent=descent)

    def _next(self, state: ControlState, turn: int, count: int, strikes: int, norm: float, **states: Any) -> ControlState:
        rules = {"quick": state.quick, "descent": state.descent, "classical": state.classical, **states}
        return ControlState(**rules, turn=np.asarray(turn), count=np.asarray(count), strikes=np.asarray(strikes), norm=np.asarray(norm))


def _believed(evaluation: Evaluation) -> bool:
    return isinstance(evaluation.model, AbstractAnchored) and evaluation.model.believed()
