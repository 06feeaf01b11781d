"""Trainings of networks by minibatches, as problems that rules of first order are meta-trained on."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from physopt.core.problem import AbstractFamily, AbstractProblem, Euclidean, Evaluation

from .networks import ROWS, Rows, Template


class Minibatches(AbstractProblem):
    """One training: each evaluation takes other rows of the data, drawn at random.

    A point is the parameters and the number of moves that led to them, which says which rows are next. So a move of length zero changes
    the value, unlike in other problems; the same point still gives the same answer.
    """

    template: Template = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    rows: Rows
    key: PRNGKeyArray
    traceable: bool = eqx.field(default=True, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key: PRNGKeyArray) -> tuple[PyTree, Array]:
        """Draw parameters to begin with."""
        return self.template.draw(key)[0], jnp.zeros((), jnp.int32)

    def evaluate(self, point: tuple[PyTree, Array]) -> Evaluation:
        """Return the mean loss of the next rows, and its gradient."""
        params, moves = point
        chosen = jax.random.randint(jax.random.fold_in(self.key, moves), (self.batch,), 0, ROWS)
        some = jax.tree.map(lambda rows: rows[chosen], self.rows)
        value, grad = jax.value_and_grad(self.template.loss)(params, some)
        return Evaluation(value, grad, Euclidean(grad))

    def retract(self, point: tuple[PyTree, Array], step: PyTree) -> tuple[PyTree, Array]:
        """Add the step, and go on to the next rows."""
        params, moves = point
        return jax.tree.map(lambda leaf, along: leaf + jnp.asarray(along, leaf.dtype), params, step), moves + 1


class Trainings(AbstractFamily):
    r"""Trainings of one template; $\mu$ is a seed, which determines data and batches.

    **Arguments:**

    - `template`: one of `templates()`. `batch`: rows of a step.
    """

    template: Template = eqx.field(static=True)
    batch: int = eqx.field(default=64, static=True)
    traceable: bool = eqx.field(default=True, static=True)

    def sample(self, key: PRNGKeyArray) -> Float[Array, " 1"]:
        """Draw a seed."""
        # A float holds integers exactly up to 2^24 even in single precision.
        return jax.random.randint(key, (1,), 0, 2**24).astype(jnp.result_type(float))

    def problem(self, mu: Float[Array, " 1"]) -> Minibatches:
        """Build the training; traceable in `mu`."""
        key = jax.random.key(mu[0].astype(jnp.uint32))
        return Minibatches(template=self.template, batch=self.batch, rows=self.template.draw(key)[1], key=jax.random.fold_in(key, 1))
