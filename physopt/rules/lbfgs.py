"""Limited-memory BFGS on tangents, with the problem's model as metric."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from physopt.core.problem import Evaluation, shorten
from physopt.core.rule import AbstractRule, Move
from physopt.core.tree import choose, fold, is_traced, tree_add, tree_dot, tree_memory, tree_push, tree_scale, tree_sub, tree_zeros

from .search import Backtracking, SearchState, search_or_shorten


class LBFGSState(eqx.Module):
    """The search, the gradient at the base, and the last pairs of steps and gradient changes, oldest first."""

    search: SearchState
    grad: PyTree
    steps: PyTree
    changes: PyTree


class LBFGS(AbstractRule):
    r"""Quasi-Newton step $v = -H g$ from the last `memory` secant pairs, with $H_0 = \gamma P$ from the model.

    $P q = \mathrm{minimize}(-(g + q))$ is the inverse curvature of the problem's model at the newest point: the identity for
    `Euclidean`, damped Gauss-Newton for a residual. $\gamma = \langle s, y \rangle / \langle y, P y \rangle$. Pairs of non-positive
    curvature are left out, and a direction that does not descend is replaced by the model's own step.

    **Arguments:**

    - `memory`: number of pairs. `first_step`: bound on the first step, in units of the tangent. `scaled`: without it, $\gamma = 1$: for a
      model whose scale is right, such as an interpolated Hessian.

    ??? cite "Reference"
        Nocedal, Wright, *Numerical Optimization*, 2nd ed. (2006), algorithm 7.4.
    """

    memory: int = eqx.field(default=10, static=True)
    first_step: float = 1.0
    scaled: bool = eqx.field(default=True, static=True)
    search: Backtracking = Backtracking()

    def init(self, evaluation: Evaluation) -> LBFGSState:
        """Start with an empty memory."""
        blank = tree_memory(evaluation.grad, self.memory)
        return LBFGSState(self.search.init(evaluation), tree_zeros(evaluation.grad), blank, blank)

    def step(self, evaluation: Evaluation, state: LBFGSState) -> tuple[Move, LBFGSState]:
        """Make a quasi-Newton step, or shorten the last one."""

        def direction(evaluation: Evaluation) -> tuple[PyTree, Any]:
            step, change = state.search.step, tree_sub(evaluation.grad, state.grad)
            curvature = tree_dot(step, change)
            good = curvature > 1e-12 * (tree_dot(step, step) * tree_dot(change, change)) ** 0.5
            pairs = choose(good, (tree_push(state.steps, step), tree_push(state.changes, change)), (state.steps, state.changes))
            newton = self._two_loops(evaluation, *pairs)
            plain = evaluation.model.minimize()
            empty = tree_dot(pairs[0], pairs[0]) == 0.0
            descends = tree_dot(evaluation.grad, newton) < 0.0
            chosen = choose(empty, shorten(plain, self.first_step), choose(descends, newton, plain))
            return chosen, (evaluation.grad, *pairs)

        kept = (state.grad, state.steps, state.changes)
        accept, search, memory = search_or_shorten(self.search, evaluation, state.search, direction, kept)
        return Move(search.step, accept), LBFGSState(search, *memory)

    def _two_loops(self, evaluation: Evaluation, steps: PyTree, changes: PyTree) -> PyTree:
        """Return the quasi-Newton step; a pair that is zero changes nothing."""

        def backward(residual: PyTree, pair: tuple[PyTree, PyTree]) -> tuple[PyTree, Any]:
            step, change = pair
            weight = _ratio(tree_dot(step, residual), tree_dot(step, change))
            return tree_sub(residual, tree_scale(weight, change)), weight

        def forward(result: PyTree, pair: tuple[PyTree, PyTree, Any]) -> tuple[PyTree, None]:
            step, change, weight = pair
            correction = weight - _ratio(tree_dot(change, result), tree_dot(step, change))
            return tree_add(result, tree_scale(correction, step)), None

        steps, changes = _filled(steps, changes)
        residual, weights = fold(backward, evaluation.grad, (steps, changes), reverse=True)
        step, change = (jax.tree.map(lambda rows: rows[-1], memory) for memory in (steps, changes))
        result = _inverse_curvature(evaluation, residual)
        if self.scaled:
            result = tree_scale(_ratio(tree_dot(step, change), tree_dot(change, _inverse_curvature(evaluation, change))), result)
        result, _ = fold(forward, result, (steps, changes, weights))
        return tree_scale(-1.0, result)


def _filled(steps: PyTree, changes: PyTree) -> tuple[PyTree, PyTree]:
    """Return the memory without its empty rows, which come first, on the host: there each row costs a turn in Python."""
    if is_traced(steps):
        return steps, changes
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(steps)]
    rows = np.any([(leaf != 0.0).reshape(len(leaf), -1).any(1) for leaf in leaves], axis=0)
    first = int(rows.argmax()) if rows.any() else len(rows) - 1
    return jax.tree.map(lambda leaf: leaf[first:], (steps, changes))


def _ratio(above: Any, below: Any) -> Any:
    return above / (below + (below == 0.0))


def _inverse_curvature(evaluation: Evaluation, force: PyTree) -> PyTree:
    return evaluation.model.minimize(tree_scale(-1.0, tree_add(evaluation.grad, force)))
