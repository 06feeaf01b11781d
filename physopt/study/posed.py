"""A user's function as a problem of the core."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, PRNGKeyArray
from numpy import ndarray

from physopt.core.problem import AbstractProblem, Euclidean, Evaluation
from physopt.meta.quadratics import Metric
from physopt.meta.starts.modes import LowRank

from .oracle import AbstractOracle

Inverse = Float[ndarray, "n n"] | LowRank  # of a Hessian; either one times a vector is `inverse @ vector`


class Posed(AbstractProblem):
    """The problem of the core that an oracle poses.

    - `inverse`: the inverse Hessian of its model; `None` for a plain gradient.
    """

    oracle: AbstractOracle
    inverse: Inverse | None
    traceable: bool = eqx.field(default=False, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key: PRNGKeyArray) -> Any:
        """Refuse: the user brings the starting point."""
        raise TypeError("A function brings no starting point of its own; pass one to minimize.")

    def evaluate(self, point: Float[ndarray, " n"]) -> Evaluation:
        """Ask the oracle."""
        answer = self.oracle(point)
        model = Euclidean(answer.grad) if self.inverse is None else Metric(answer.grad, self.inverse)
        return Evaluation(np.float64(answer.value), answer.grad, model)

    def retract(self, point: Float[ndarray, " n"], step: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Return `point + step`."""
        return point + step
