"""Step to the minimizer of the problem's own model."""

from typing import Any

from jaxtyping import PyTree

from physopt.core.problem import Evaluation
from physopt.core.rule import AbstractRule, Move

from .search import AbstractSearch, Backtracking, SearchState, search_or_shorten


class ModelStep(AbstractRule):
    r"""Minimize the model of the newest evaluation, $v = \arg\min_{|v| \le r} m(v)$, and search along that step.

    The problem decides which classical method this is: Gauss-Newton for a residual, optimality criteria for a density, quasi-Newton
    rotations for orbitals.

    **Arguments:**

    - `radius`: the trust radius $r$, in units of the tangent; `None` is unbounded.
    - `search`: `Backtracking()` for descent, `FullStep()` to take full steps.
    """

    radius: float | None = None
    search: AbstractSearch = Backtracking()

    def init(self, evaluation: Evaluation) -> SearchState:
        """Return the state before the first evaluation."""
        return self.search.init(evaluation)

    def step(self, evaluation: Evaluation, state: SearchState) -> tuple[Move, SearchState]:
        """Minimize the model, or shorten the last step."""

        def direction(evaluation: Evaluation) -> tuple[PyTree, Any]:
            return evaluation.model.minimize(None, self.radius), ()

        accept, state, _ = search_or_shorten(self.search, evaluation, state, direction, ())
        return Move(state.step, accept), state
