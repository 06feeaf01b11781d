"""The method of optimality criteria, with its two parameters."""

import dataclasses

import equinox as eqx
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from physopt.core.boxed import boxed_program, declined
from physopt.core.problem import Endpoint, Evaluation, finite
from physopt.core.rule import AbstractRule, Move

from .price import first_price, priced


class CriteriaState(eqx.Module):
    """The last price of volume, the last accepted design, the one proposed from it, and whether there is one."""

    price: float
    base: Float[ndarray, "..."]
    trial: Float[ndarray, "..."]
    begun: bool


class OptimalityCriteria(AbstractRule):
    r"""$x_e \leftarrow \mathrm{clip}\left(x_e \left(\frac{-f'_e}{\mu w_e}\right)^\eta\right)$, where the price $\mu$ keeps the volume.

    With exponent 1/2 and `move` 0.2 this is `ModelStep(search=FullStep())`. A positive slope,
    as it can occur for mechanisms, counts as almost zero. The rule suits sensitivity filters, too. Every finite trial is accepted.

    **Arguments:**

    - `exponent`: $\eta$; smaller is more careful. `move`: the largest change in one step, as a fraction of each variable's span.

    ??? cite "Reference"
        Bendsoe, Sigmund, *Topology Optimization* (2003), equation (1.12).
    """

    exponent: float = 0.5
    move: float = 0.2

    def init(self, evaluation: Evaluation) -> CriteriaState:
        """Return a starting guess for the price."""
        program = boxed_program(evaluation)
        return CriteriaState(first_price(program), program.design, program.design, False)

    def step(self, evaluation: Evaluation, state: CriteriaState) -> tuple[Move, CriteriaState]:
        """Accept the trial and scale each density."""
        program = boxed_program(evaluation)
        if not finite(evaluation):
            move, trial = declined(evaluation, state.begun, state.base, state.trial)
            return move, dataclasses.replace(state, trial=trial)
        if not state.begun:
            state = self.init(evaluation)
        x, reach = program.design, self.move * program.span
        low, high = np.maximum(program.lower, x - reach), np.minimum(program.upper, x + reach)
        gain = np.maximum(-program.slope, 1e-10 * np.abs(program.slope).max())
        weights = np.maximum(program.weights, 1e-300)

        def design(price: float) -> Float[ndarray, "..."]:
            return np.clip(x * (gain / (max(price, 1e-300) * weights)) ** self.exponent, low, high)

        new, price = priced(program, design, state.price)
        return Move(Endpoint(new), accept=True), CriteriaState(price or state.price, x, new, True)
