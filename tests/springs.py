"""The smallest problems for meta-gradients: springs with a wrong model, in JAX or on the host, and a rule of two weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from instances import Diagonal

from physopt import AbstractFamily, AbstractProblem, AbstractRule, Evaluation, Move
from physopt.core.tree import tree_add, tree_scale, tree_zeros
from physopt.meta.loss import SmoothSteps

LOSS = SmoothSteps(tolerance=1e-2)


class HeavyBall(AbstractRule):
    """The model's step times a learned length plus the last step times a learned momentum."""

    log_length: jax.Array
    momentum: jax.Array

    def init(self, evaluation):
        return tree_zeros(evaluation.grad)

    def step(self, evaluation, state):
        xp = np if isinstance(evaluation.value, np.generic) else jnp
        length, momentum = xp.exp(xp.asarray(self.log_length)), xp.asarray(self.momentum)
        step = tree_add(tree_scale(length, evaluation.model.minimize()), tree_scale(momentum, state))
        return Move(step, accept=evaluation.value == evaluation.value), step


def heavy_ball() -> HeavyBall:
    return HeavyBall(jnp.array(-0.2), jnp.array(0.3))


class Springs(AbstractProblem):
    """A quadratic with a wrong diagonal model, in NumPy on the host or in JAX."""

    stiffness: jax.Array | np.ndarray
    traceable: bool = eqx.field(static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key):
        start = jax.random.normal(key, (3,))
        return start if self.traceable else np.asarray(start)

    def evaluate(self, point):
        grad = self.stiffness * point
        return Evaluation(0.5 * (grad * point).sum(), grad, Diagonal(grad, 1.5 + 0.0 * grad))

    def retract(self, point, step):
        return point + step


class SpringFamily(AbstractFamily):
    traceable: bool = eqx.field(static=True)

    def sample(self, key):
        return jax.random.uniform(key, (3,), minval=0.5, maxval=1.5)

    def problem(self, mu):
        return Springs(mu if self.traceable else np.asarray(mu), self.traceable)


def flat(tree) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
