"""Gradient descent with step control."""

from typing import Any

import equinox as eqx
from jaxtyping import PyTree

from physopt.core.problem import Evaluation
from physopt.core.rule import AbstractRule, Move
from physopt.core.tree import Scalar, tree_dot, tree_norm, tree_scale, tree_sub, tree_zeros

from .search import Backtracking, SearchState, search_or_shorten


class GradientState(eqx.Module):
    """The search, and the gradient and step length at the base."""

    search: SearchState
    grad: PyTree
    length: Scalar


class GradientDescent(AbstractRule):
    r"""Go down the gradient, $v = -\alpha g$, with the step length of Barzilai and Borwein.

    $\alpha = \langle s, y \rangle / \langle y, y \rangle$ from the last step $s$ and the change $y$ of the gradient. The
    step is halved until the value decreases sufficiently; where the curvature $\langle s, y \rangle$ is not positive the
    last length is doubled instead. The first step has norm `first_step`.

    **Arguments:**

    - `first_step`: in units of the tangent.

    ??? cite "Reference"
        Barzilai, Borwein, IMA J. Numer. Anal. 8 (1988) 141, eq. (5).
    """

    first_step: float = 0.1
    search: Backtracking = Backtracking()

    def init(self, evaluation: Evaluation) -> GradientState:
        """Return the state before the first evaluation."""
        search = self.search.init(evaluation)
        return GradientState(search, tree_zeros(evaluation.grad), search.slope)

    def step(self, evaluation: Evaluation, state: GradientState) -> tuple[Move, GradientState]:
        """Descend, or shorten the last step."""

        def direction(evaluation: Evaluation) -> tuple[PyTree, Any]:
            difference = tree_sub(evaluation.grad, state.grad)
            curvature, square = tree_dot(state.search.step, difference), tree_dot(difference, difference)
            first = self.first_step / (tree_norm(evaluation.grad) + 1e-300)
            started, curved = state.length > 0.0, curvature > 0.0
            secant = curved * curvature / (square + 1e-300) + (1.0 - curved) * 2.0 * state.length
            length = started * secant + (1.0 - started) * first
            return tree_scale(-length, evaluation.grad), (evaluation.grad, length)

        kept = (state.grad, state.length * self.search.shrink)
        accept, search, (grad, length) = search_or_shorten(self.search, evaluation, state.search, direction, kept)
        return Move(search.step, accept), GradientState(search, grad, length)
