"""The gradient of a meta-loss with respect to a rule's weights: by backpropagation or by antithetic evolution strategies."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree

from physopt.core.iterate import History, unroll
from physopt.core.problem import AbstractFamily, AbstractProblem
from physopt.core.run import minimize
from physopt.core.stop import Stop
from physopt.core.tree import tree_norm

from .loss import AbstractLoss

Perturbed: TypeAlias = Callable[[Any], Any]
Run: TypeAlias = Callable[[AbstractProblem, Any, PRNGKeyArray, int], History]


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

    - `loss`: the mean over the tasks.
    - `grad`: the gradient of that mean, shaped like the rule's inexact arrays (`trainable(rule)[0]`).
    - `grad_std_error`: standard error of each component over the random draws of the estimator itself, for the given tasks;
      zero for an exact gradient.
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


class Backprop(AbstractEstimator):
    r"""Differentiate through `num_steps` moves of `unroll`: exact for the tasks given; traceable families only.

    The gradient of each task is shortened to `clip`, and left out if it overflowed, so that a chaotic run cannot dominate the
    others. An infinite `clip` leaves all gradients exact.

    **Arguments:**

    - `num_steps`: moves per run. `clip`: bound on the norm of each task's gradient.
    """

    num_steps: int = eqx.field(static=True)
    clip: float = float("inf")

    def __call__(
        self, meta_loss: AbstractLoss, rule: PyTree, family: AbstractFamily, tasks: Tasks, key: PRNGKeyArray, state: PyTree = None
    ) -> tuple[Estimate, PyTree]:
        """Return the exact loss and gradient. Raises `TypeError` for a family of host problems."""
        if not family.traceable:
            raise TypeError(
                f"{type(family).__name__} makes problems that run on the host: JAX cannot differentiate them. Use Antithetic() instead."
            )
        weights, rest = trainable(rule)

        def one(mu: Any, key: PRNGKeyArray) -> tuple[Any, Any, PyTree]:
            def loss(weights: PyTree) -> tuple[Any, Any]:
                return _unrolled_loss(meta_loss, eqx.combine(weights, rest), family, self.num_steps, mu, key)

            (value, cost), grad = jax.value_and_grad(loss, has_aux=True)(weights)
            return value, cost, self._clipped(grad)

        losses, costs, grads = jax.vmap(one)(tasks.mus, tasks.keys)
        error = jax.tree.map(jnp.zeros_like, weights)
        return Estimate(losses.mean(), jax.tree.map(lambda g: g.mean(0), grads), error, costs.sum()), state

    def _clipped(self, grad: PyTree) -> PyTree:
        if self.clip == float("inf"):
            return grad
        norm = tree_norm(grad)
        factor = jnp.minimum(1.0, self.clip / jnp.maximum(norm, self.clip))
        return jax.tree.map(lambda g: jnp.where(jnp.isfinite(norm), factor * g, 0.0), grad)


def _minimized(problem: AbstractProblem, rule: Any, key: PRNGKeyArray, num_steps: int) -> History:
    return minimize(problem, rule, problem.init(key), stop=Stop(max_evaluations=num_steps + 1)).history


class Antithetic(AbstractEstimator):
    r"""Antithetic evolution strategies: the gradient of the loss smoothed by a Gaussian of width `sigma`.

    $$\hat g = \frac1{TM} \sum_{t=1}^{T} \sum_{m=1}^{M}
    \frac{L_t(\theta + \sigma \epsilon_{tm}) - L_t(\theta - \sigma \epsilon_{tm})}{2 \sigma} \, \epsilon_{tm},
    \qquad \epsilon_{tm} \sim N(0, I),$$

    with perturbations drawn anew for each task $t$. Both runs of a pair have the same problem and start. The estimator needs only values,
    so it works for problems on the host, through `minimize`, and for traceable ones, through `unroll` and `vmap`.

    **Arguments:**

    - `num_steps`: moves per run. `sigma`: in units of the weights. `pairs`: $M \ge 2$, per task.
    - `run`: how the trained rule runs a host problem for `num_steps` moves; by `minimize` if left out.

    ??? cite "Reference"
        Salimans et al., arXiv:1703.03864 (2017), section 2; Nesterov, Spokoiny, Found. Comput. Math. 17 (2017) 527, eq. (27).
    """

    num_steps: int = eqx.field(static=True)
    sigma: float = 0.01
    pairs: int = eqx.field(default=4, static=True)
    run: Run = eqx.field(default=_minimized, static=True)

    def __check_init__(self) -> None:
        if self.pairs < 2 or not self.sigma > 0.0:
            raise ValueError(
                f"Antithetic(sigma={self.sigma}, pairs={self.pairs}): error bars need sigma > 0 and at least 2 pairs per task."
            )

    def __call__(
        self, meta_loss: AbstractLoss, rule: PyTree, family: AbstractFamily, tasks: Tasks, key: PRNGKeyArray, state: PyTree = None
    ) -> tuple[Estimate, PyTree]:
        """Return the mean loss of all runs, the gradient of the smoothed loss, and its standard error over the perturbations."""
        weights, rest = trainable(rule)
        flat, unravel = jax.flatten_util.ravel_pytree(weights)
        noise = jax.random.normal(key, (len(tasks.keys), self.pairs, flat.size), flat.dtype)

        def perturbed(shift: Any) -> PyTree:
            return eqx.combine(unravel(flat + self.sigma * shift), rest)

        run = self._traced if family.traceable else self._hosted
        losses, costs = run(meta_loss, perturbed, family, tasks, noise)
        slopes = self._slopes(losses, noise)
        variance = slopes.var(axis=1, ddof=1).sum(axis=0) / (self.pairs * len(tasks.keys) ** 2)
        grad, error = (a.astype(flat.dtype) for a in (slopes.mean((0, 1)), jnp.sqrt(variance)))
        return Estimate(losses.mean(), unravel(grad), unravel(error), costs.sum()), state

    def _slopes(self, losses: Any, noise: Any) -> Any:
        """Return each pair's estimate, shape `(tasks, pairs, weights)`; `losses` are `(tasks, pairs, sign)`."""
        return ((losses[..., 0] - losses[..., 1]) / (2.0 * self.sigma))[..., None] * noise

    def _traced(self, meta_loss: AbstractLoss, perturbed: Perturbed, family: AbstractFamily, tasks: Tasks, noise: Any) -> tuple[Any, Any]:
        def run(mu: Any, key: PRNGKeyArray, shift: Any) -> tuple[Any, Any]:
            return _unrolled_loss(meta_loss, perturbed(shift), family, self.num_steps, mu, key)

        over_signs = jax.vmap(run, (None, None, 0))
        over_pairs = jax.vmap(over_signs, (None, None, 0))
        return jax.vmap(over_pairs)(tasks.mus, tasks.keys, jnp.stack([noise, -noise], axis=2))

    def _hosted(self, meta_loss: AbstractLoss, perturbed: Perturbed, family: AbstractFamily, tasks: Tasks, noise: Any) -> tuple[Any, Any]:
        def run(mu: Any, key: PRNGKeyArray, shift: Any) -> tuple[float, float]:
            history = self.run(family.problem(mu), perturbed(shift), key, self.num_steps)
            return float(meta_loss(padded(history, self.num_steps + 1))), float(history.cost.sum())

        rows = zip(tasks.mus, tasks.keys, noise, strict=True)
        found = jnp.asarray([[[run(mu, key, e), run(mu, key, -e)] for e in shifts] for mu, key, shifts in rows])
        return found[..., 0], found[..., 1]


def padded(history: History, rows: int) -> History:
    """Repeat the last row of a run that ended early until it has `rows` rows, so that losses of runs can be compared."""
    return jax.tree.map(lambda a: np.pad(a, (0, rows - len(a)), mode="edge"), history)


def _unrolled_loss(
    meta_loss: AbstractLoss, rule: PyTree, family: AbstractFamily, num_steps: int, mu: Any, key: PRNGKeyArray
) -> tuple[Any, Any]:
    """Return the loss of one run, and what it costs."""
    problem = family.problem(mu)
    history = unroll(problem, rule, problem.init(key), num_steps)[1]
    return meta_loss(history), history.cost.sum()
