"""A safeguard: any rule, learned or not, with a classical rule as fallback."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from physopt.core.problem import Evaluation, finite, predicted_decrease
from physopt.core.rule import AbstractRule, Move
from physopt.core.tree import Flag, Scalar, branch, choose, is_traced, namespace, tree_norm, tree_push


class Mark(eqx.Module):
    """The reference of a window: the lowest value and norm at its start, and the decrease that the model predicted there."""

    value: Scalar
    norm: Scalar
    promise: Scalar


class GuardState(eqx.Module):
    """Both rules' states, the best evaluation seen, the last values, the counts, and which rule is active."""

    rule: PyTree
    fallback: PyTree
    best: Evaluation
    best_norm: Scalar
    recent: Float[Array, " window"] | Float[np.ndarray, " window"]
    count: Scalar
    strikes: Scalar
    tripped: Flag
    mark: Mark


class Guard(AbstractRule):
    r"""Use `rule` while it makes progress; otherwise return to the best point and let `fallback` finish.

    Progress is the lowest value so far, or the lowest gradient norm so far at a value that is not above all of the last
    five. Anything else is a strike, including a non-finite answer. The rule is replaced for good when the strikes
    exceed $\text{patience} + \text{share} \cdot n$ after $n$ evaluations. So the waste of a bad rule is bounded for any
    weights: with the defaults, two evaluations of a rule that is bad from the start. A slow rule is replaced, too: in
    each `window` evaluations it must halve the lowest gradient norm, or lower the value by what the model predicts for one step,
    $-\tfrac12 \langle g, \mathrm{minimize}(0) \rangle$ at the window's start.

    **Arguments:**

    - `rule`: the rule that is watched. `fallback`: the rule that replaces it.
    - `patience`: strikes that are allowed. `share`: further strikes allowed per evaluation. `window`: evaluations between two checks
      of the progress.

    ??? cite "Reference"
        Nonmonotone test: Grippo, Lampariello, Lucidi, SIAM J. Numer. Anal. 23 (1986) 707. Falling back on a classical
        rule: Heaton et al., AAAI 37 (2023) 7848.
    """

    rule: AbstractRule
    fallback: AbstractRule
    patience: float = 1.0
    share: float = 0.1
    window: int = 20

    def init(self, evaluation: Evaluation) -> GuardState:
        """Make `rule` active."""
        xp = namespace(evaluation.value)
        nought, never = xp.asarray(0.0), xp.asarray(xp.inf)
        rule, fallback = self.rule.init(evaluation), self.fallback.init(evaluation)
        recent = xp.full(5, -xp.inf)
        mark = Mark(never, never, nought)
        return GuardState(rule, fallback, evaluation, never, recent, nought, nought, xp.asarray(False), mark)

    def step(self, evaluation: Evaluation, state: GuardState) -> tuple[Move, GuardState]:
        """Follow the active rule, or replace `rule` by `fallback`."""
        norm, first = tree_norm(evaluation.grad), state.count == 0.0
        sound = finite(evaluation, norm)
        lower = sound & (first | ~(state.best.value <= evaluation.value))  # a NaN that came first is beaten by any number
        flatter = sound & (norm < state.best_norm) & (evaluation.value <= state.recent.max())
        best, best_norm = choose(lower, evaluation, state.best), choose(sound & (norm < state.best_norm), norm, state.best_norm)
        recent = choose(sound, tree_push(state.recent, evaluation.value), state.recent)
        strikes = state.strikes + ~(lower | flatter)
        count = state.count + 1.0
        ended = namespace(state.count).remainder(state.count, self.window) == 0.0
        quick = (best_norm <= 0.5 * state.mark.norm) | (state.mark.value - best.value >= state.mark.promise)
        known = namespace(best_norm).isfinite(best_norm)  # before there is a sound answer nothing is promised
        mark = branch(ended & known, lambda: Mark(best.value, best_norm, predicted_decrease(best)), lambda: state.mark)
        relieved = ~state.tripped & ((strikes > self.patience + self.share * count) | (ended & ~first & ~quick))

        def lead(_: None) -> tuple[Move, PyTree, PyTree]:
            move, rule = self.rule.step(evaluation, state.rule)
            return _as_arrays(move), rule, state.fallback

        def relieve(_: None) -> tuple[Move, PyTree, PyTree]:
            move, fallback = self.fallback.step(best, self.fallback.init(best))
            return _as_arrays(dataclasses.replace(move, recall=True)), state.rule, fallback

        def follow(_: None) -> tuple[Move, PyTree, PyTree]:
            move, fallback = self.fallback.step(evaluation, state.fallback)
            return _as_arrays(move), state.rule, fallback

        move, rule, fallback = branch(state.tripped, follow, lambda _: branch(relieved, relieve, lead, None), None)
        return move, GuardState(rule, fallback, best, best_norm, recent, count, strikes, state.tripped | relieved, mark)

    def doubts(self, state: GuardState) -> bool:
        """Say whether `fallback` has taken over."""
        return bool(state.tripped)


def _as_arrays(move: Move) -> Move:
    # Both branches of a traced choice need the same types.
    return jax.tree.map(jnp.asarray, move) if is_traced(move.accept) else move
