"""The floor: any rule, learned or not, under the watch of a classical one."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PyTree

from physopt.core.problem import Evaluation
from physopt.core.rule import AbstractRule, Move
from physopt.core.stop import finite
from physopt.core.tree import Flag, Scalar, branch, choose, is_traced, namespace, tree_norm


class GuardState(eqx.Module):
    """Both rules' states, the best evaluation seen, the count of evaluations and strikes, and who is in charge."""

    rule: PyTree
    fallback: PyTree
    best: Evaluation
    best_norm: Scalar
    count: Scalar
    strikes: Scalar
    tripped: Flag


class Guard(AbstractRule):
    r"""Let `rule` lead while it makes progress; else go back to the best point and let `fallback` finish.

    An evaluation is a strike when it is not finite, or when neither its value nor its gradient norm is the lowest so far.
    The rule is relieved, for good, when the strikes exceed $\text{patience} + \text{share} \cdot n$ after $n$ evaluations, so
    that what a bad rule can waste is bounded whatever its weights are. A rule that only declines a trial of its own (a line
    search) is not relieved any sooner.

    **Arguments:**

    - `rule`: on probation. `fallback`: trusted.
    - `patience`: strikes that cost nothing. `share`: further strikes per evaluation.

    ??? cite "Reference"
        The test on the objective follows safeguarded learning to optimize: Heaton et al., AAAI 37 (2023) 7848.
    """

    rule: AbstractRule
    fallback: AbstractRule
    patience: float = 2.0
    share: float = 0.1

    def init(self, evaluation: Evaluation) -> GuardState:
        """Put the rule in charge."""
        xp = namespace(evaluation.value)
        nought, never = xp.asarray(0.0), xp.asarray(xp.inf)
        rule, fallback = self.rule.init(evaluation), self.fallback.init(evaluation)
        return GuardState(rule, fallback, evaluation, never, nought, nought, xp.asarray(False))

    def step(self, evaluation: Evaluation, state: GuardState) -> tuple[Move, GuardState]:
        """Follow the rule, or relieve it."""
        norm = tree_norm(evaluation.grad)
        sound, first = finite(evaluation, norm), state.count == 0.0
        lower = sound & (first | (evaluation.value < state.best.value))
        steeper = ~sound | (norm >= state.best_norm)
        best = choose(lower, evaluation, state.best)
        best_norm = choose(sound & ~steeper, norm, state.best_norm)
        strikes = state.strikes + (~(lower | (sound & ~steeper)))
        count = state.count + 1.0
        relieved = ~state.tripped & (strikes > self.patience + self.share * count)

        def lead(_: None) -> tuple[Move, PyTree, PyTree]:
            move, rule = self.rule.step(evaluation, state.rule)
            return _as_arrays(move), rule, state.fallback

        def relieve(_: None) -> tuple[Move, PyTree, PyTree]:
            move, fallback = self.fallback.step(best, self.fallback.init(best))
            return _as_arrays(Move(move.step, move.accept, recall=True)), state.rule, fallback

        def follow(_: None) -> tuple[Move, PyTree, PyTree]:
            move, fallback = self.fallback.step(evaluation, state.fallback)
            return _as_arrays(move), state.rule, fallback

        move, rule, fallback = branch(state.tripped, follow, lambda _: branch(relieved, relieve, lead, None), None)
        return move, GuardState(rule, fallback, best, best_norm, count, strikes, state.tripped | relieved)


def _as_arrays(move: Move) -> Move:
    # Both branches of a traced choice need the same types.
    return Move(move.step, jnp.asarray(move.accept), jnp.asarray(move.recall)) if is_traced(move.accept) else move
