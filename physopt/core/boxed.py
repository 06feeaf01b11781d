"""Models of problems with bounds and one volume constraint, for rules that approximate functions instead of following tangents."""

import equinox as eqx
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .problem import AbstractModel, Endpoint, Evaluation
from .rule import Move
from .tree import tree_zeros


class Program(eqx.Module):
    r"""What is known of $\min_x \max_k f_k(x)$ over $l \le x \le u$ with $\sum_e w_e x_e \le V$, at one design.

    - `design`, `lower`, `upper`, `weights`: $x$, $l$, $u$, $w \ge 0$, of one shape; $V$ is `volume`.
    - `values`: $f_k$. `slopes`: their derivatives with respect to the design, `(k, ...)`.
    - `exact`: are the slopes the derivatives of the values? A sensitivity filter's are not.
    """

    design: Float[ndarray, "..."]
    lower: Float[ndarray, "..."]
    upper: Float[ndarray, "..."]
    weights: Float[ndarray, "..."]
    volume: float
    values: Float[ndarray, " k"]
    slopes: Float[ndarray, "k ..."]
    exact: bool = eqx.field(static=True)

    @property
    def span(self) -> Float[ndarray, "..."]:
        """The width of the bounds; one where both are the same."""
        return np.where(self.upper > self.lower, self.upper - self.lower, 1.0)

    def used(self, design: Float[ndarray, "..."]) -> float:
        """Return the volume of a design."""
        return float((self.weights * design).sum())

    @property
    def slope(self) -> Float[ndarray, "..."]:
        """The derivative of the only value; a `ValueError` if there are several."""
        if len(self.slopes) != 1:
            raise ValueError(f"This rule lowers one function, and the objective is the largest of {len(self.slopes)}: use MMA.")
        return self.slopes[0]


class AbstractBoxed(AbstractModel):
    """A model that also provides the data it was made from. Points are single arrays; any design within the bounds is a point."""

    program: eqx.AbstractVar[Program]


def boxed_program(evaluation: Evaluation) -> Program:
    """Return the program that the evaluation's model was made from; `ValueError` for a problem of another kind."""
    if not isinstance(evaluation.model, AbstractBoxed):
        kind = type(evaluation.model).__name__
        raise ValueError(f"This rule needs a problem with bounds and a volume, such as SIMP; this one has a {kind} model.")
    return evaluation.model.program


def declined(
    evaluation: Evaluation, begun: bool, base: Float[ndarray, "..."], trial: Float[ndarray, "..."]
) -> tuple[Move, Float[ndarray, "..."]]:
    """Return the move after a broken answer, and its design: half way back to `base`, or the start again if nothing has `begun`."""
    if not begun:
        return Move(tree_zeros(evaluation.grad), accept=False), trial
    trial = 0.5 * (base + trial)
    return Move(Endpoint(trial), accept=False), trial
