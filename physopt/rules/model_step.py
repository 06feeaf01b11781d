"""Go where the problem's own model is lowest."""

from typing import Any

from jaxtyping import PyTree

from physopt.core.problem import Evaluation
from physopt.core.rule import AbstractRule, Move

from .search import AbstractSearch, Backtracking, SearchState, search_or_shorten


class ModelStep(AbstractRule):
    r"""Minimize the model of the newest evaluation, $v = \arg\min_{|v| \le r} m(v)$, and search along that step.

    What it is depends on the problem: Gauss-Newton for a residual, optimality criteria for a density, quasi-Newton
    rotations for orbitals.

    **Arguments:**

    - `radius`: the trust radius $r$, in units of the tangent; `None` is unbounded.
    - `search`: `Backtracking()` for descent, `FullStep()` to trust the model.
    """

    radius: float | None = None
    search: AbstractSearch = Backtracking()

    def init(self, evaluation: Evaluation) -> SearchState:
        """Start from nothing known."""
        return self.search.init(evaluation)

    def step(self, evaluation: Evaluation, state: SearchState) -> tuple[Move, SearchState]:
        """Minimize the model, or shorten the last step."""

        def direction(evaluation: Evaluation) -> tuple[PyTree, Any]:
            return evaluation.model.minimize(None, self.radius), ()

        accept, state, _ = search_or_shorten(self.search, evaluation, state, direction, ())
        return Move(state.step, accept), state
