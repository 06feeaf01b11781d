"""One start for all tasks of a family, from which a few steps of a plain rule lead far: MAML and Reptile."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray, PyTree

from physopt.core.iterate import unroll
from physopt.core.problem import AbstractFamily
from physopt.core.rule import AbstractRule
from physopt.core.tree import tree_sub

from ..loss import AbstractLoss
from .estimator import AbstractEstimator, Estimate, Tasks, refuse_host, trainable


class CommonStart(eqx.Module):
    """What is trained: a point, such as the parameters of a network, at which the runs of all tasks begin."""

    point: PyTree


class MAML(AbstractEstimator):
    r"""The gradient of $E_\mu \, q_\mu(U_\mu(x))$: the value of a task's query after `num_steps` moves $U_\mu$ of a rule from the start.

    The first-order variant leaves out how the end depends on the start, $\partial U_\mu / \partial x \approx 1$, and so needs no second
    derivatives. The meta-loss of a training is not looked at: what counts is the query at the end, the family's `query(mu)`.

    **Arguments:**

    - `rule`: of the moves, such as `FromOptax(optax.sgd(0.01))`. `num_steps`: how many. `first_order`: leave out second derivatives.

    ??? cite "Reference"
        Finn, Abbeel, Levine, *Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks*, ICML 2017, algorithm 1.
    """

    rule: AbstractRule
    num_steps: int = eqx.field(static=True)
    first_order: bool = eqx.field(default=False, static=True)

    def __call__(
        self, meta_loss: AbstractLoss, rule: PyTree, family: AbstractFamily, tasks: Tasks, key: PRNGKeyArray, state: PyTree = None
    ) -> tuple[Estimate, PyTree]:
        """Return the mean value of the queries, and its gradient with respect to a `CommonStart`."""
        return _mean_over_tasks(self._one, rule, family, tasks, self.num_steps), state

    def _one(self, start: CommonStart, family: AbstractFamily, mu: Any) -> tuple[Any, PyTree]:
        query = family.query(mu)
        if not self.first_order:
            return jax.value_and_grad(lambda point: query.evaluate(_end(self.rule, family, mu, point, self.num_steps)).value)(start.point)
        judged = query.evaluate(_end(self.rule, family, mu, start.point, self.num_steps))
        return judged.value, judged.grad


class Reptile(AbstractEstimator):
    r"""The direction $E_\mu [x - U_\mu(x)]$ from the ends of `num_steps` moves $U_\mu$ of a rule to the start; no query counts.

    With a step of plain gradient descent of rate $\epsilon$, the start moves by $\epsilon$ of the way to the mean of the ends.

    **Arguments:** `rule`: of the moves, such as `FromOptax(optax.sgd(0.01))`. `num_steps`: how many.

    ??? cite "Reference"
        Nichol, Achiam, Schulman, *On First-Order Meta-Learning Algorithms*, arXiv:1803.02999 (2018), algorithm 2.
    """

    rule: AbstractRule
    num_steps: int = eqx.field(static=True)

    def __call__(
        self, meta_loss: AbstractLoss, rule: PyTree, family: AbstractFamily, tasks: Tasks, key: PRNGKeyArray, state: PyTree = None
    ) -> tuple[Estimate, PyTree]:
        """Return the mean value of the queries, which is only told, and the direction for a `CommonStart`."""
        return _mean_over_tasks(self._one, rule, family, tasks, self.num_steps), state

    def _one(self, start: CommonStart, family: AbstractFamily, mu: Any) -> tuple[Any, PyTree]:
        end = _end(self.rule, family, mu, start.point, self.num_steps)
        return family.query(mu).evaluate(end).value, tree_sub(start.point, end)


def _end(rule: AbstractRule, family: AbstractFamily, mu: Any, point: PyTree, num_steps: int) -> PyTree:
    """Return the lowest point of a run, which of a plain rule that descends is the last one."""
    return unroll(family.problem(mu), rule, point, num_steps)[0].best


def _mean_over_tasks(one: Any, start: PyTree, family: AbstractFamily, tasks: Tasks, num_steps: int) -> Estimate:
    """Return the estimate from the value and the direction of each task."""
    refuse_host(family, "JAX cannot differentiate them")
    if not isinstance(start, CommonStart):
        raise TypeError(f"MAML and Reptile train a start, not a {type(start).__name__}: give CommonStart(point) as the rule.")
    values, grads = jax.vmap(lambda mu: one(start, family, mu))(tasks.mus)
    weights = trainable(start)[0]
    grad = eqx.tree_at(lambda tree: tree.point, weights, jax.tree.map(lambda g: g.mean(0), grads))
    return Estimate(values.mean(), grad, jax.tree.map(jnp.zeros_like, weights), jnp.asarray(len(values) * (num_steps + 1.0)))
