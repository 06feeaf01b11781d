"""Any Optax transformation as a rule."""

import jax
import optax
from jaxtyping import PyTree

from physopt.core.problem import Evaluation, finite
from physopt.core.rule import AbstractRule, Move
from physopt.core.tree import choose, namespace, tree_norm, tree_zeros


class FromOptax(AbstractRule):
    """Wrap a `GradientTransformation`: its update is the step. A trial that is not finite is rejected, and the base is evaluated again.

    A rule sees tangents, not points, so transformations that read the parameters (weight decay) are refused
    by Optax's own message; those that only read `value` get it.

    **Arguments:**

    - `transformation`: e.g. `optax.adam(1e-3)`.
    """

    transformation: optax.GradientTransformationExtraArgs

    def __init__(self, transformation: optax.GradientTransformation):
        self.transformation = optax.with_extra_args_support(transformation)

    def init(self, evaluation: Evaluation) -> PyTree:
        """Initialize the transformation on a zero tangent."""
        return self.transformation.init(tree_zeros(evaluation.grad))

    def step(self, evaluation: Evaluation, state: PyTree) -> tuple[Move, PyTree]:
        """Return the update as a step."""
        sound = finite(evaluation)
        # Told of a broken trial by a gradient of NaN, most transformations answer with NaN; one that goes elsewhere copes by itself.
        broken = jax.tree.map(lambda g: namespace(g).full_like(g, float("nan")), evaluation.grad)
        grad = choose(sound, evaluation.grad, broken)
        update = self.transformation.update(grad, state, value=evaluation.value)
        norm = tree_norm(update[0])
        sound = sound | (namespace(norm).isfinite(norm) & (norm > 0.0))
        step, state = choose(sound, update, (tree_zeros(evaluation.grad), state))
        return Move(step, accept=sound), state
