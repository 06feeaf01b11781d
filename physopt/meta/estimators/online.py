"""Estimators that go on with unfinished runs: particles, their windows, and when they begin anew."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from physopt.core.iterate import Carry, History, unroll
from physopt.core.problem import AbstractFamily, AbstractProblem
from physopt.core.rule import AbstractRule

from ..loss import AbstractLoss
from .estimator import AbstractEstimator, Estimate, Tasks, perturbations, refuse_host, trainable

Weights: TypeAlias = Float[Array, " weights"]
Drawn: TypeAlias = Float[Array, "pairs weights"]


class Run(eqx.Module):
    """A run that is not finished.

    - `carry`: where it stands. `history`: its rows so far, those to come filled with the last. `loss`: of that history.
    - `age`: its moves so far. `cost`: of its last window, in full calls of the oracle.
    """

    carry: Carry
    history: History
    loss: Float[Array, "..."]
    age: Int[Array, "..."]
    cost: Float[Array, "..."]


class Particle(eqx.Module):
    """What is kept between two calls; leading axes are the particle and, for `runs`, the runs that a particle has.

    - `mu`: its task. `noise`: the perturbation that its runs have felt.
    - `left`: windows until it ends; not above zero before its first run, which then has minus so many.
    """

    mu: Float[Array, "*n mu"]
    runs: Run
    noise: Float[Array, "*n weights"]
    left: Int[Array, "*n"]


class Windowed(NamedTuple):
    """What a window tells: `slope`, an estimate of what it adds to the gradient, the runs after it, the noise felt, and the cost."""

    slope: Weights
    runs: Run
    noise: Weights
    cost: Float[Array, ""]


Gain: TypeAlias = Callable[[Weights, Run], tuple[Float[Array, ""], Run]]


class AbstractOnline(AbstractEstimator):
    r"""Go on with unfinished runs: each call makes `window` of `num_steps` moves with each particle; one particle a task.

    A run's loss is the sum of what each window adds to it, $L = L_0 + \sum_w \Delta_w$: the loss of the rows so far, with the last one
    repeated to the end, changes by $\Delta_w$. So $W$ times the mean of $\nabla \Delta_w$ over the $W$ windows is $\nabla L$.

    A run that ends is followed by one of a task of that call. The first runs are shorter, so that later ones do not all begin in the
    same call. Traceable families only.
    """

    window: eqx.AbstractVar[int]
    pairs: eqx.AbstractVar[int]  # of perturbations that a particle draws for each window
    num_runs: eqx.AbstractClassVar[int]

    def __check_init__(self) -> None:
        if not (1 <= self.window <= self.num_steps and self.num_steps % self.window == 0):
            raise ValueError(
                f"{type(self).__name__}(num_steps={self.num_steps}, window={self.window}): a run is cut into windows of the same length; "
                "write a num_steps that is a multiple of window."
            )

    @abc.abstractmethod
    def windowed(self, gain: Gain, weights: Weights, runs: Run, noise: Weights, drawn: Drawn, begins: Any) -> Windowed:
        r"""Make one window of one particle.

        **Arguments:**

        - `gain(weights, run)`: what the window adds to the loss of one run, and the run after it.
        - `weights`: the rule's. `runs`: with a leading axis of `num_runs`. `noise`: felt so far; zero where the run begins.
        - `drawn`: fresh perturbations, each $N(0, I)$. `begins`: is this the first window of its run?
        """

    def init(self, rule: PyTree, family: AbstractFamily, num_tasks: int) -> Particle:
        """Return particles whose runs begin in the first call. Raises `TypeError` for a family of host problems."""
        refuse_host(family, "their runs cannot be kept as arrays")
        if num_tasks < 2:
            raise ValueError(f"{num_tasks} task per step gives no error bars; take 2 or more.")
        keys, windows = jax.random.split(jax.random.key(0), num_tasks), self.num_steps // self.window
        mus = jax.vmap(family.sample)(keys)

        def fresh(mu: Any, key: PRNGKeyArray) -> Run:
            problem = family.problem(mu)
            return _fresh(problem, rule, problem.init(key), self.num_steps, lambda history: history.value[0])

        of_runs = jax.eval_shape(jax.vmap(fresh), mus, keys)
        runs = jax.tree.map(lambda leaf: jnp.zeros((num_tasks, self.num_runs, *leaf.shape[1:]), leaf.dtype), of_runs)
        flat = jax.flatten_util.ravel_pytree(trainable(rule)[0])[0]
        return Particle(mus, runs, jnp.zeros((num_tasks, flat.size), flat.dtype), jnp.arange(num_tasks) % windows - windows)

    def __call__(
        self, meta_loss: AbstractLoss, rule: PyTree, family: AbstractFamily, tasks: Tasks, key: PRNGKeyArray, state: PyTree = None
    ) -> tuple[Estimate, Particle]:
        """Return the mean loss of the runs so far, the gradient, its standard error over the particles, and the particles."""
        windows = self.num_steps // self.window
        state = self.init(rule, family, len(tasks.keys)) if state is None else state
        weights, rest = trainable(rule)
        flat, unravel = jax.flatten_util.ravel_pytree(weights)

        def one(particle: Any, mu: Any, of_start: PRNGKeyArray, drawn: Any) -> tuple[Any, Windowed]:
            begins = particle.left <= 0
            mu = jnp.where(begins, mu, particle.mu)
            problem = family.problem(mu)
            point = problem.init(of_start)

            def gain(weights: Weights, run: Run) -> tuple[Any, Run]:
                rule = eqx.combine(unravel(weights), rest)
                fresh = _fresh(problem, rule, point, self.num_steps, meta_loss)
                run = jax.tree.map(lambda new, old: jnp.where(begins, new, old), fresh, run)
                after = _continued(problem, rule, run, self.window, meta_loss)
                return after.loss - run.loss, eqx.tree_at(lambda r: r.cost, after, after.cost + fresh.cost)  # all compute the start

            found = self.windowed(gain, flat, particle.runs, jnp.where(begins, 0.0, particle.noise), drawn, begins)
            left = jnp.where(begins, jnp.where(particle.left < 0, -particle.left, windows), particle.left) - 1
            return Particle(mu, found.runs, found.noise, left), found

        drawn = perturbations(key, (len(tasks.keys), self.pairs, flat.size), flat.dtype)
        particles, found = jax.vmap(one)(state, tasks.mus, tasks.keys, drawn)
        slopes = windows * found.slope
        grad, error = slopes.mean(0), slopes.std(0, ddof=1) / jnp.sqrt(len(slopes))
        grad, error = (unravel(each.astype(flat.dtype)) for each in (grad, error))
        return Estimate(found.runs.loss.mean(), grad, error, found.cost.sum()), particles


def _fresh(problem: AbstractProblem, rule: AbstractRule, point: PyTree, num_steps: int, meta_loss: Callable[[History], Any]) -> Run:
    """Return a run that has made no move yet."""
    carry, history = unroll(problem, rule, point, 0)
    history = jax.tree.map(lambda column: jnp.repeat(column, num_steps + 1), history)
    return Run(carry, history, _loss(meta_loss, history), jnp.asarray(0), jnp.asarray(carry.cost))


def _continued(problem: AbstractProblem, rule: AbstractRule, run: Run, window: int, meta_loss: AbstractLoss) -> Run:
    """Return a run after `window` more moves."""
    carry, rows = unroll(problem, rule, run.carry, window)
    put = jax.tree.map(lambda column, new: jax.lax.dynamic_update_slice(column, new[1:], (run.age + 1,)), run.history, rows)
    told = jnp.minimum(jnp.arange(len(put.value)), run.age + window)
    history = jax.tree.map(lambda column: column[told], put)
    return Run(carry, history, _loss(meta_loss, history), run.age + window, rows.cost.sum())


def _loss(meta_loss: Callable[[History], Any], history: History) -> Any:
    return jnp.asarray(meta_loss(history), history.value.dtype)


def refuse_narrow(estimator: AbstractOnline, sigma: float) -> None:
    """Raise `ValueError` for a width that is not above zero."""
    if not sigma > 0.0:
        raise ValueError(f"{type(estimator).__name__}(sigma={sigma}): the width of the perturbations is above 0; write 0.01.")
