"""The method of optimality criteria, with its two knobs."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from physopt.core.boxed import boxed_program, first_price, priced
from physopt.core.problem import Endpoint, Evaluation
from physopt.core.rule import AbstractRule, Move


class OptimalityCriteria(AbstractRule):
    r"""$x_e \leftarrow \mathrm{clip}\left(x_e \left(\frac{-f'_e}{\mu w_e}\right)^\eta\right)$, where the price $\mu$ holds the volume.

    The state is the last price. With exponent 1/2 and `move` 0.2 this is `ModelStep(search=FullStep())`; where the slope is positive,
    as it can be for mechanisms, it counts as almost zero. Suits sensitivity filters, too.

    **Arguments:**

    - `exponent`: $\eta$; smaller is more careful. `move`: the largest change in one step, as a share of each variable's span.

    ??? cite "Reference"
        Bendsoe, Sigmund, *Topology Optimization* (2003), equation (1.12).
    """

    exponent: float = 0.5
    move: float = 0.2

    def init(self, evaluation: Evaluation) -> float:
        """Guess a price."""
        return first_price(boxed_program(evaluation))

    def step(self, evaluation: Evaluation, state: float) -> tuple[Move, float]:
        """Accept the trial and scale each density."""
        program = boxed_program(evaluation)
        x, reach = program.design, self.move * program.span
        low, high = np.maximum(program.lower, x - reach), np.minimum(program.upper, x + reach)
        gain = np.maximum(-program.slope, 1e-10 * np.abs(program.slope).max())
        weights = np.maximum(program.weights, 1e-300)

        def design(price: float) -> Float[ndarray, "..."]:
            return np.clip(x * (gain / (max(price, 1e-300) * weights)) ** self.exponent, low, high)

        new, price = priced(program, design, state)
        return Move(Endpoint(new), accept=True), price or state
