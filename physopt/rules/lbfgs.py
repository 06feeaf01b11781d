"""Limited-memory BFGS on tangents, with the problem's model as metric."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, PyTree
from numpy import ndarray

from physopt.core.problem import Evaluation, shorten
from physopt.core.rule import AbstractRule, Move
from physopt.core.tree import choose, fold, tree_add, tree_dot, tree_memory, tree_push, tree_scale, tree_sub, tree_zeros

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
        if all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves((evaluation.grad, steps))):
            return self._two_loops_of_arrays(evaluation, steps, changes)

        def backward(residual: PyTree, pair: tuple[PyTree, PyTree]) -> tuple[PyTree, Any]:
            step, change = pair
            weight = _ratio(tree_dot(step, residual), tree_dot(step, change))
            return tree_sub(residual, tree_scale(weight, change)), weight

        def forward(result: PyTree, pair: tuple[PyTree, PyTree, Any]) -> tuple[PyTree, None]:
            step, change, weight = pair
            correction = weight - _ratio(tree_dot(change, result), tree_dot(step, change))
            return tree_add(result, tree_scale(correction, step)), None

        residual, weights = fold(backward, evaluation.grad, (steps, changes), reverse=True)
        step, change = (jax.tree.map(lambda rows: rows[-1], memory) for memory in (steps, changes))
        result = _inverse_curvature(evaluation, residual)
        if self.scaled:
            result = tree_scale(_ratio(tree_dot(step, change), tree_dot(change, _inverse_curvature(evaluation, change))), result)
        result, _ = fold(forward, result, (steps, changes, weights))
        return tree_scale(-1.0, result)

    def _two_loops_of_arrays(self, evaluation: Evaluation, steps: PyTree, changes: PyTree) -> PyTree:
        """Return the same on the host, where each operation on a tree costs more than one on a long row."""
        s, y = _rows(steps), _rows(changes)
        filled = s.any(axis=1)
        s, y = (s[filled], y[filled]) if filled.any() else (s[-1:], y[-1:])
        curvature, weights = np.einsum("kn,kn->k", s, y), np.zeros(len(s))
        residual = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(evaluation.grad)])
        for k in reversed(range(len(s))):
            weights[k] = _ratio(s[k] @ residual, curvature[k])
            residual = residual - weights[k] * y[k]

        def inverse(force: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
            return _rows(jax.tree.map(lambda leaf: leaf[None], _inverse_curvature(evaluation, _shaped(force, evaluation.grad))))[0]

        result = inverse(residual)
        if self.scaled:
            result = _ratio(curvature[-1], y[-1] @ inverse(y[-1])) * result
        for k in range(len(s)):
            result = result + (weights[k] - _ratio(y[k] @ result, curvature[k])) * s[k]
        return _shaped(-result, evaluation.grad)


def _rows(memory: PyTree) -> Float[ndarray, "k n"]:
    """Return a memory with each of its rows as one vector."""
    return np.concatenate([np.asarray(leaf).reshape(len(leaf), -1) for leaf in jax.tree.leaves(memory)], axis=1)


def _shaped(vector: Float[ndarray, " n"], like: PyTree) -> PyTree:
    """Return a vector as a tangent of the same shape as another one."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    return structure.unflatten([part.reshape(leaf.shape) for part, leaf in zip(np.split(vector, ends), leaves, strict=True)])


def _ratio(above: Any, below: Any) -> Any:
    return above / (below + (below == 0.0))


def _inverse_curvature(evaluation: Evaluation, force: PyTree) -> PyTree:
    return evaluation.model.minimize(tree_scale(-1.0, tree_add(evaluation.grad, force)))
