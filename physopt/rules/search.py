"""Line searches of the descent rules: a search accepts or rejects trials and shortens steps."""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import PyTree

from physopt.core.problem import Evaluation, finite
from physopt.core.tree import Scalar, branch, namespace, tree_dot, tree_scale, tree_zeros


class SearchState(eqx.Module):
    """The base's value, and the step proposed from it with its slope there (both in units of the problem)."""

    value: Scalar
    slope: Scalar
    step: PyTree


class AbstractSearch(eqx.Module):
    """Decides whether a trial becomes the base, and what to propose if it does not."""

    shrink: eqx.AbstractVar[float]

    @abc.abstractmethod
    def judge(self, evaluation: Evaluation, state: SearchState) -> Any:
        """Say whether the trial is good enough to become the base."""

    def init(self, evaluation: Evaluation) -> SearchState:
        """Return a state that accepts the starting point if it is finite."""
        xp = namespace(evaluation.value)
        return SearchState(xp.full_like(evaluation.value, xp.inf), xp.zeros_like(evaluation.value), tree_zeros(evaluation.grad))

    def shorter(self, state: SearchState) -> SearchState:
        """Return the state with the last step, and so its slope, shortened by `shrink`."""
        return SearchState(state.value, self.shrink * state.slope, tree_scale(self.shrink, state.step))

    def propose(self, evaluation: Evaluation, step: PyTree) -> SearchState:
        """Return the state after proposing `step` from the point of `evaluation`."""
        return SearchState(evaluation.value, tree_dot(evaluation.grad, step), step)


class Backtracking(AbstractSearch):
    r"""Accept on sufficient decrease, $f(x_\mathrm{trial}) \le f(x_\mathrm{base}) + c \langle g, v \rangle$ (Armijo); else halve the step.

    A rounding allowance of `10 eps |f|` prevents the rejection of a converged point because of its last digit.

    ??? cite "Reference"
        Nocedal, Wright, *Numerical Optimization*, 2nd ed. (2006), algorithm 3.1.
    """

    sufficient: float = 1e-4
    shrink: float = 0.5

    def judge(self, evaluation: Evaluation, state: SearchState) -> Any:
        """Say whether the decrease is sufficient; a non-finite trial never is."""
        xp = namespace(evaluation.value)
        base = xp.where(xp.isfinite(state.value), state.value, 0.0)
        bound = state.value + self.sufficient * state.slope + 10.0 * xp.finfo(xp.asarray(evaluation.value).dtype).eps * abs(base)
        return finite(evaluation) & (evaluation.value <= bound)


class FullStep(AbstractSearch):
    """Accept every finite trial: for models with their own limits, such as the optimality criteria of topology optimization."""

    shrink: float = 0.5

    def judge(self, evaluation: Evaluation, state: SearchState) -> Any:
        """Say whether the trial is finite."""
        return finite(evaluation)


def search_or_shorten(
    search: AbstractSearch, evaluation: Evaluation, state: SearchState, direction: Any, kept: PyTree
) -> tuple[Any, Any, Any]:
    """Take `direction(evaluation)` if the search accepts the trial, else shorten the last step and keep `kept`.

    `direction` returns `(step, memory)`. **Returns:** `(accept, search state, memory)`.
    """
    accept = search.judge(evaluation, state)

    def fresh(evaluation: Evaluation, state: SearchState) -> tuple[SearchState, PyTree]:
        step, memory = direction(evaluation)
        return search.propose(evaluation, step), memory

    def again(evaluation: Evaluation, state: SearchState) -> tuple[SearchState, PyTree]:
        return search.shorter(state), kept

    state, memory = branch(accept, fresh, again, evaluation, state)
    return accept, state, memory
