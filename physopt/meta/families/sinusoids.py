"""Sinusoids from a few points each: the regression that few-shot learners are compared on."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from physopt.core.problem import AbstractFamily, AbstractProblem, Euclidean, Evaluation
from physopt.core.tree import tree_add

from .networks import layers, network


class Regression(AbstractProblem):
    """The mean square error of a small network at some points of a curve; a point is its parameters, a list of layers."""

    x: Float[Array, "rows 1"]
    y: Float[Array, "rows 1"]
    sizes: tuple[int, ...] = eqx.field(static=True)
    traceable: bool = eqx.field(default=True, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key: PRNGKeyArray) -> PyTree:
        """Draw parameters, in double precision where JAX has it."""
        return jax.tree.map(lambda leaf: leaf.astype(jnp.result_type(float)), layers(key, self.sizes))

    def evaluate(self, point: PyTree) -> Evaluation:
        """Return the error and its gradient."""
        value, grad = jax.value_and_grad(lambda params: jnp.mean((network(params, self.x, jax.nn.relu) - self.y) ** 2))(point)
        return Evaluation(value, grad, Euclidean(grad))

    def retract(self, point: PyTree, step: PyTree) -> PyTree:
        """Return `point + step`."""
        return tree_add(point, step)


class Sinusoids(AbstractFamily):
    r"""Fit $a \sin(x - b)$ from `shots` points, $a$ from 0.1 to 5 and $b$ from 0 to $\pi$; judged at 100 points between -5 and 5.

    $\mu = (a, b, \text{seed})$; the seed determines the points.

    **Arguments:** `shots`: how many points. `hidden`: widths of the hidden layers.

    ??? cite "Reference"
        Finn, Abbeel, Levine, *Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks*, ICML 2017, section 5.1.
    """

    shots: int = eqx.field(default=10, static=True)
    hidden: tuple[int, ...] = eqx.field(default=(40, 40), static=True)
    traceable: bool = eqx.field(default=True, static=True)

    def sample(self, key: PRNGKeyArray) -> Float[Array, " 3"]:
        """Draw amplitude, phase and seed."""
        of_curve, of_points = jax.random.split(key)
        low, high = jnp.array([0.1, 0.0]), jnp.array([5.0, np.pi])
        curve = jax.random.uniform(of_curve, (2,), minval=low, maxval=high)
        # A float holds integers exactly up to 2^24 even in single precision.
        return jnp.append(curve, jax.random.randint(of_points, (), 0, 2**24).astype(curve.dtype))

    def problem(self, mu: Float[Array, " 3"]) -> Regression:
        """Return the error at the points that are given."""
        key = jax.random.key(mu[2].astype(jnp.uint32))
        return self._at(mu, jax.random.uniform(key, (self.shots, 1), mu.dtype, minval=-5.0, maxval=5.0))

    def query(self, mu: Float[Array, " 3"]) -> Regression:
        """Return the error of the whole curve."""
        return self._at(mu, jnp.linspace(-5.0, 5.0, 100, dtype=mu.dtype)[:, None])

    def _at(self, mu: Float[Array, " 3"], x: Float[Array, "rows 1"]) -> Regression:
        return Regression(x=x, y=mu[0] * jnp.sin(x - mu[1]), sizes=(1, *self.hidden, 1))
