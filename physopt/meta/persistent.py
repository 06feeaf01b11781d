"""Persistent evolution strategies: a gradient of the loss of a whole run from a few of its moves at a time."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from physopt.core.iterate import Carry, History, unroll
from physopt.core.problem import AbstractFamily

from .estimators import AbstractEstimator, Estimate, Tasks, trainable
from .loss import AbstractLoss


class Particle(eqx.Module):
    r"""One pair of unfinished runs; leading axes are the particle and, for `carry` and `history`, the sign of the perturbation.

    - `mu`: its task. `carry`: where each run stands. `history`: its rows so far, those to come filled with the last.
    - `age`: its moves so far. `noise`: the sum of the perturbations of the run so far.
    - `left`, `length`: windows until it ends, and of its next run.
    """

    mu: Float[Array, "n mu"]
    carry: Carry
    history: History
    age: Int[Array, " n"]
    noise: Float[Array, "n weights"]
    left: Int[Array, " n"]
    length: Int[Array, " n"]


class Persistent(AbstractEstimator):
    r"""Antithetic evolution strategies that go on with unfinished runs: each call makes `window` of `num_steps` moves.

    A run's loss is the sum of what each window adds to it, $L = \sum_w \Delta_w$: the loss of the rows so far, with the last one repeated
    to the end, changes by $\Delta_w$. Window $w$ has the perturbation $\epsilon_w$ of its own, and feels all earlier ones:

    $$\hat g = \frac{W}{N} \sum_{i=1}^{N} \frac{\Delta_w^+ - \Delta_w^-}{2 \sigma} \sum_{v \le w} \epsilon_v,$$

    with $W$ windows per run. Its mean over the windows is the gradient of the smoothed loss of the *whole* run. (With $\epsilon_w$ alone,
    as when truncated runs are simply chained, it is not.) Traceable families only. The first runs are shorter, so that later ones do not
    all begin in the same call; a run that ends is followed by one of a task of that call.

    **Arguments:**

    - `num_steps`: moves per run, a multiple of `window`. `sigma`: in units of the weights. There are as many pairs of runs as tasks. The
      standard error is over them, so tasks and ages are in it.

    ??? cite "Reference"
        Vicol, Metz, Sohl-Dickstein, ICML 2021, section 4.
    """

    num_steps: int = eqx.field(static=True)
    window: int = eqx.field(static=True)
    sigma: float = 0.01

    def __check_init__(self) -> None:
        if not (1 <= self.window <= self.num_steps and self.num_steps % self.window == 0 and self.sigma > 0.0):
            raise ValueError(
                f"Persistent(num_steps={self.num_steps}, window={self.window}, sigma={self.sigma}): num_steps is a multiple of window, "
                "and sigma is above 0."
            )

    def init(self, rule: PyTree, family: AbstractFamily, num_tasks: int) -> Particle:
        """Return particles whose runs begin in the first call. Raises `TypeError` for a family of host problems."""
        if not family.traceable:
            raise TypeError(f"{type(family).__name__} makes problems that run on the host; use Antithetic() instead.")
        if num_tasks < 2:
            raise ValueError(f"{num_tasks} task per step gives no error bars; take 2 or more.")
        keys, windows = jax.random.split(jax.random.key(0), num_tasks), self.num_steps // self.window
        of_runs = jax.eval_shape(lambda: jax.vmap(lambda key: self._fresh((rule, rule), family, family.sample(key), key))(keys))
        carry, history = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), of_runs)
        flat, nought = jax.flatten_util.ravel_pytree(trainable(rule)[0])[0], jnp.zeros(num_tasks, int)
        noise, length = jnp.zeros((num_tasks, flat.size), flat.dtype), windows - jnp.arange(num_tasks) % windows
        return Particle(jax.vmap(family.sample)(keys), carry, history, nought, noise, nought, length)

    def __call__(
        self, meta_loss: AbstractLoss, rule: PyTree, family: AbstractFamily, tasks: Tasks, key: PRNGKeyArray, state: PyTree = None
    ) -> tuple[Estimate, Particle]:
        """Return the mean loss of the runs so far, the gradient, its standard error over the particles, and the particles."""
        windows = self.num_steps // self.window
        state = self.init(rule, family, len(tasks.keys)) if state is None else state
        weights, rest = trainable(rule)
        flat, unravel = jax.flatten_util.ravel_pytree(weights)
        noise = jax.random.normal(key, state.noise.shape, flat.dtype)

        def one(particle: Any, mu: Any, key: PRNGKeyArray, shift: Any) -> tuple[tuple[Any, ...], Any, Any, Any]:
            rules = tuple(eqx.combine(unravel(flat + sign * self.sigma * shift), rest) for sign in (1.0, -1.0))
            ended = particle.left == 0
            mu = jnp.where(ended, mu, particle.mu)
            fresh = self._fresh(rules, family, mu, key)
            carry, history = jax.tree.map(lambda new, old: jnp.where(ended, new, old), fresh, (particle.carry, particle.history))
            age, total = (jnp.where(ended, 0, old) for old in (particle.age, particle.noise))
            left = jnp.where(ended, particle.length, particle.left)
            ends = [self._continued(r, family.problem(mu), _sign(carry, k), _sign(history, k), age) for k, r in enumerate(rules)]
            before = [meta_loss(_sign(history, k)) for k in (0, 1)]
            after = [meta_loss(rows) for _, rows in ends]
            total = total + shift
            gained = (after[0] - before[0]) - (after[1] - before[1])
            slope = windows * gained / (2.0 * self.sigma) * self._felt(total, shift)
            length = jnp.where(ended, windows, particle.length)
            carry, history = jax.tree.map(lambda *both: jnp.stack(both), *ends)
            cost = 2.0 * (self.window + 1.0)  # the start, which all compute and some need, included
            return (mu, carry, history, age + self.window, total, left - 1, length), sum(after) / 2.0, slope, cost

        particles, losses, slopes, costs = jax.vmap(one)(state, tasks.mus, tasks.keys, noise)
        grad, error = slopes.mean(0), slopes.std(0, ddof=1) / jnp.sqrt(len(slopes))
        grad, error = (unravel(each.astype(flat.dtype)) for each in (grad, error))
        return Estimate(losses.mean(), grad, error, costs.sum()), Particle(*particles)

    def _felt(self, total: Any, shift: Any) -> Any:
        """Return the perturbation that a window has felt: that of all windows of its run up to now."""
        return total

    def _fresh(self, rules: tuple[PyTree, ...], family: AbstractFamily, mu: Any, key: PRNGKeyArray) -> tuple[Carry, History]:
        """Return the starts of a pair of runs, and their histories of one row."""
        problem = family.problem(mu)
        point = problem.init(key)

        def start(rule: PyTree) -> tuple[Carry, History]:
            carry, history = unroll(problem, rule, point, 0)
            return carry, jax.tree.map(lambda column: jnp.repeat(column, self.num_steps + 1), history)

        return jax.tree.map(lambda *both: jnp.stack(both), *map(start, rules))

    def _continued(self, rule: PyTree, problem: Any, carry: Carry, history: History, age: Any) -> tuple[Carry, History]:
        """Return a run after `window` more moves, and its history."""
        carry, rows = unroll(problem, rule, carry, self.window)
        put = jax.tree.map(lambda column, new: jax.lax.dynamic_update_slice(column, new[1:], (age + 1,)), history, rows)
        told = jnp.minimum(jnp.arange(self.num_steps + 1), age + self.window)
        return carry, jax.tree.map(lambda column: column[told], put)


def _sign(tree: PyTree, index: int) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[index], tree)
