"""Backpropagation through whole runs."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray, PyTree

from physopt.core.iterate import Carry, History, unroll
from physopt.core.problem import AbstractFamily, AbstractProblem
from physopt.core.rule import AbstractRule
from physopt.core.tree import tree_norm

from ..loss import AbstractLoss
from .estimator import AbstractEstimator, Estimate, Tasks, refuse_host, trainable


class Backprop(AbstractEstimator):
    r"""Differentiate through `num_steps` moves of `unroll`: exact for the tasks given; traceable families only.

    The gradient of each task is shortened to `clip`, and left out if it overflowed, so that a chaotic run cannot dominate the
    others. An infinite `clip` leaves all gradients exact.

    **Arguments:**

    - `num_steps`: moves per run. `clip`: bound on the norm of each task's gradient.
    - `every`: keep only each so-many-th state of a run, and make the moves between them again on the way back. The memory is that of
      $n / k + k$ moves instead of $n$, least for $k \approx \sqrt n$, and each move is made twice. All are kept if it is left out.

    ??? cite "Reference"
        Griewank, Walther, *Evaluating Derivatives*, 2nd ed. (2008), chapter 12.
    """

    num_steps: int = eqx.field(static=True)
    clip: float = float("inf")
    every: int | None = eqx.field(default=None, static=True)

    def __check_init__(self) -> None:
        if self.every is not None and not 1 <= self.every <= self.num_steps:
            raise ValueError(f"Backprop(num_steps={self.num_steps}, every={self.every}): every is from 1 to num_steps.")

    def __call__(
        self, meta_loss: AbstractLoss, rule: PyTree, family: AbstractFamily, tasks: Tasks, key: PRNGKeyArray, state: PyTree = None
    ) -> tuple[Estimate, PyTree]:
        """Return the exact loss and gradient. Raises `TypeError` for a family of host problems."""
        refuse_host(family, "JAX cannot differentiate them")
        weights, rest = trainable(rule)

        def one(mu: Any, key: PRNGKeyArray) -> tuple[Any, Any, PyTree]:
            def loss(weights: PyTree) -> tuple[Any, Any]:
                problem = family.problem(mu)
                history = self._unrolled(problem, eqx.combine(weights, rest), problem.init(key))
                return meta_loss(history), history.cost.sum()

            (value, cost), grad = jax.value_and_grad(loss, has_aux=True)(weights)
            return value, cost, clipped(grad, self.clip)

        losses, costs, grads = jax.vmap(one)(tasks.mus, tasks.keys)
        error = jax.tree.map(jnp.zeros_like, weights)
        return Estimate(losses.mean(), jax.tree.map(lambda g: g.mean(0), grads), error, costs.sum()), state

    def _unrolled(self, problem: AbstractProblem, rule: AbstractRule, point: PyTree) -> History:
        if self.every is None:
            return unroll(problem, rule, point, self.num_steps)[1]

        def stretch(length: int) -> Any:
            def moves(carry: Carry, _: None = None) -> tuple[Carry, History]:
                carry, rows = unroll(problem, rule, carry, length)
                return carry, jax.tree.map(lambda column: column[1:], rows)

            return jax.checkpoint(moves)

        carry, first = unroll(problem, rule, point, 0)
        carry, stretches = jax.lax.scan(stretch(self.every), carry, None, length=self.num_steps // self.every)
        _, last = stretch(self.num_steps % self.every)(carry)
        return jax.tree.map(lambda a, b, c: jnp.concatenate([a, b.reshape(-1), c]), first, stretches, last)


def clipped(grad: PyTree, bound: float) -> PyTree:
    """Return a gradient shortened to `bound`, and zero if it is not finite; an infinite bound changes nothing."""
    if bound == float("inf"):
        return grad
    norm = tree_norm(grad)
    factor = jnp.minimum(1.0, bound / jnp.maximum(norm, bound))
    return jax.tree.map(lambda g: jnp.where(jnp.isfinite(norm), factor * g, 0.0), grad)
