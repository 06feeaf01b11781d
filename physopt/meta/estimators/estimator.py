"""What every estimator of a meta-gradient takes and returns."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree

from physopt.core.iterate import unroll
from physopt.core.problem import AbstractFamily

from ..loss import AbstractLoss


class Tasks(eqx.Module):
    """A batch of tasks: their vectors and the keys of their starting points."""

    mus: Float[Array, "tasks mu"]
    keys: Key[Array, " tasks"]


def draw(family: AbstractFamily, key: PRNGKeyArray, num_tasks: int) -> Tasks:
    """Draw `num_tasks` tasks of a family, and a key for the starting point of each."""
    of_mus, of_points = jax.random.split(key)
    return Tasks(jax.vmap(family.sample)(jax.random.split(of_mus, num_tasks)), jax.random.split(of_points, num_tasks))


class Estimate(eqx.Module):
    """A meta-loss, its gradient, the standard error of the gradient, and what the estimate has cost.

    - `loss`: the mean over the tasks; of unfinished runs, that of the rows so far.
    - `grad`: the gradient of that mean, shaped like the rule's inexact arrays (`trainable(rule)[0]`).
    - `grad_std_error`: standard error of each component over the random draws of the estimator itself, for the given tasks;
      zero for an exact gradient. That of an `AbstractOnline` is over its particles, so tasks and ages are in it.
    - `cost`: of all runs, in full calls of the oracle; backpropagation through them does not count.
    """

    loss: Float[Array, ""]
    grad: PyTree
    grad_std_error: PyTree
    cost: Float[Array, ""]


def trainable(rule: PyTree) -> tuple[PyTree, PyTree]:
    """Split a rule into its inexact arrays, which are trained, and the rest; `eqx.combine` joins them."""
    return eqx.partition(rule, eqx.is_inexact_array)


class AbstractEstimator(eqx.Module):
    """Estimates a meta-loss and its gradient over a batch of tasks; what it keeps between calls, such as unfinished runs, is its state."""

    traceable: ClassVar[bool] = True  # does a call run inside JAX's transformations, where the family does?
    num_steps: eqx.AbstractVar[int]

    def init(self, rule: PyTree, family: AbstractFamily, num_tasks: int) -> PyTree:
        """Return the state before the first call, a pytree of arrays; by default there is none."""
        return None

    @abc.abstractmethod
    def __call__(
        self, meta_loss: AbstractLoss, rule: PyTree, family: AbstractFamily, tasks: Tasks, key: PRNGKeyArray, state: PyTree = None
    ) -> tuple[Estimate, PyTree]:
        """Return the estimate and the next state; `key` is for what the estimator draws, the tasks are given."""


def unrolled_loss(
    meta_loss: AbstractLoss, rule: PyTree, family: AbstractFamily, num_steps: int, mu: Any, key: PRNGKeyArray
) -> tuple[Any, Any]:
    """Return the loss of one run, and what it costs."""
    problem = family.problem(mu)
    history = unroll(problem, rule, problem.init(key), num_steps)[1]
    return meta_loss(history), history.cost.sum()


def refuse_host(family: AbstractFamily, why: str) -> None:
    """Raise `TypeError` for a family of host problems."""
    if not family.traceable:
        raise TypeError(f"{type(family).__name__} makes problems that run on the host: {why}. Use Antithetic() instead.")


def perturbations(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any) -> Array:
    r"""Draw from $N(0, I)$, in units of `sigma`."""
    return jax.random.normal(key, shape, dtype)
