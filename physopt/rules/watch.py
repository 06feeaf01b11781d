"""A quick test of a learned model during the run: the gradient falls soon, or the model goes and what was seen stays."""

import dataclasses

import equinox as eqx
import numpy as np
from jaxtyping import PyTree

from physopt.core.problem import Euclidean, Evaluation
from physopt.core.rule import AbstractRule, Move
from physopt.core.tree import Flag, Scalar, branch, choose, namespace, tree_norm


class WatchState(eqx.Module):
    """The state of the rule at work, the norm that a window began with, the lowest since, the count in it, and has the model gone?"""

    rule: PyTree
    norm: Scalar
    lowest: Scalar
    count: Scalar
    gone: Flag


class Watch(AbstractRule):
    """Follow `rule` with the problem's model while the gradient falls `factor`-fold within each `window` evaluations.

    Otherwise the model is replaced by `Euclidean` for good, and `fallback` goes on from the state as it is: with the same secant pairs, if
    both rules are L-BFGS of one memory.

    **Arguments:** `rule`, `fallback`: rules whose states have one form. `window`: evaluations; `factor`: of the gradient's norm.
    """

    rule: AbstractRule
    fallback: AbstractRule
    window: int = 4
    factor: float = 10.0

    def init(self, evaluation: Evaluation) -> WatchState:
        """Begin the first window."""
        xp, norm = namespace(evaluation.value), tree_norm(evaluation.grad)
        return WatchState(self.rule.init(evaluation), norm, norm, xp.asarray(-1.0), xp.asarray(False))

    def step(self, evaluation: Evaluation, state: WatchState) -> tuple[Move, WatchState]:
        """Judge the window if it has ended, and make the step of the rule at work."""
        norm = tree_norm(evaluation.grad)
        lowest = choose(norm < state.lowest, norm, state.lowest)
        count = state.count + 1.0
        ended = count >= self.window
        gone = state.gone | (ended & ~(lowest * self.factor <= state.norm))
        plain = dataclasses.replace(evaluation, model=Euclidean(evaluation.grad))
        move, rule = branch(gone, lambda: self.fallback.step(plain, state.rule), lambda: self.rule.step(evaluation, state.rule))
        xp = namespace(norm)
        first, count = choose(ended, (lowest, xp.zeros_like(count)), (state.norm, count))
        return move, WatchState(rule, first, lowest, count, gone)

    def doubts(self, state: WatchState) -> bool:
        """Say whether the model has gone."""
        return bool(np.asarray(state.gone))
