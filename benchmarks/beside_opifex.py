"""opifex' learned optimizer, learned starts and L-BFGS beside physopt's and Adam, on quadratics, small networks and sinusoids.

    pip install opifex          # needs Python 3.12
    python benchmarks/beside_opifex.py [quadratics networks sinusoids] [--seeds 5] [--outer 300]

Quadratics and teacher-student networks are the families that opifex ships and trains on, with the settings of its documentation, except
for fewer outer steps: `--outer 3000` is what it publishes. A step is one evaluation of a gradient. Each seed has other weights and other
held-out tasks. Rates are the best of twelve on tasks that are not reported. CPU time of one thread, compiling left out, of one task in a
batch of sixteen; that of a training is with compiling. Sinusoids are those that MAML was published with: a start is trained by 1000 outer
steps of 16 tasks and 5 inner steps, opifex' defaults, and judged by the mean square error after some steps on ten points. opifex is called,
not copied.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from physopt import meta, rules
from physopt.core.iterate import unroll
from physopt.meta.families.networks import sines

try:
    from opifex.optimization import l2o
    from opifex.optimization.second_order import create_lbfgs_optimizer
except ImportError as error:
    raise SystemExit(f"opifex cannot be imported ({error}): pip install opifex, with Python 3.12 or newer.") from error

HELD_OUT, TRIED, SINES = 16, np.geomspace(1e-3, 1.0, 12), sines("sines-24", (1, 24, 1))
SINUSOIDS, SGD, LOOKS = meta.families.Sinusoids(), rules.FromOptax(optax.sgd(0.01)), (0, 1, 5, 10, 50)


class Fit(l2o.Task):
    """Fit a template's network to 32 random rows of 512 in each step."""

    def __init__(self, key: jax.Array) -> None:
        self.rows = SINES.draw(key)[1]

    def init(self, key):
        return SINES.draw(key)[0]

    def loss(self, params, key):
        chosen = jax.random.randint(key, (32,), 0, len(self.rows[0]))
        return SINES.loss(params, jax.tree.map(lambda x: x[chosen], self.rows))


class Sines(l2o.TaskFamily):
    """Sums of three sines by a network 1-24-1, a template of physopt that opifex' optimizer is not trained on."""

    def sample(self, key):
        return Fit(key)


class Shots(l2o.TaskFamily):
    """The sinusoids of physopt for opifex, each with ten fresh points whenever they are asked for."""

    def sample(self, key):
        return Curve(SINUSOIDS.sample(key))


class Curve(l2o.Task):
    """One sinusoid."""

    def __init__(self, mu: jax.Array) -> None:
        self.mu = mu

    def init(self, key):
        return SINUSOIDS.problem(self.mu).init(key)

    def loss(self, params, key):
        fresh = self.mu.at[2].set(jax.random.randint(key, (), 0, 2**24).astype(self.mu.dtype))
        return SINUSOIDS.problem(fresh).evaluate(params).value


def squares(params: Any, rows: Any) -> jax.Array:
    """Return the mean square error of a network of rectified layers."""
    x, y = rows
    for i, (weight, bias) in enumerate(params):
        x = x @ weight + bias
        x = jax.nn.relu(x) if i + 1 < len(params) else x
    return jnp.mean((x - y) ** 2)


def judged(task: Any, params: Any) -> jax.Array:
    """Return the loss that is judged, of all rows."""
    if isinstance(task, l2o.MLPTask):
        return squares(params, (task.inputs, task.targets))
    return SINES.loss(params, task.rows) if isinstance(task, Fit) else task.loss(params, jax.random.key(0))


class Wells(meta.Quadratics):
    """Quadratics of physopt without their approximate Hessian, to train on what opifex trains on: values and gradients."""

    def problem(self, mu):
        return eqx.tree_at(lambda well: well.inverse, super().problem(mu), jnp.eye(self.dim))


def theirs(optimizer: Any) -> optax.GradientTransformationExtraArgs:
    """Return an optimizer of opifex as a transformation of Optax."""

    def update(grads, state, params, *, value, **_):
        state = optimizer.update(state.replace(params=params), grads, loss=value)
        return jax.tree.map(jnp.subtract, optimizer.get_params(state), params), state

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


MLP, fall = l2o.MLPLearnedOptimizer(step_mult=0.03), lambda rate, steps: optax.linear_schedule(rate, 0.0, steps)
RULES: dict[str, Callable] = {  # of a rate, or weights, and the number of steps
    "Adam": lambda rate, steps: optax.adam(rate),
    "Adam with decay": lambda rate, steps: optax.adam(fall(rate, steps)),
    "opifex, learned": lambda theta, steps: theirs(MLP.opt_fn(theta)),
    "opifex, L-BFGS": lambda rate, steps: create_lbfgs_optimizer(),
    "physopt, LBFGS": lambda rate, steps: rules.as_optax(rules.LBFGS()),
    "physopt, learned Span": lambda rule, steps: rules.as_optax(rule),
    "physopt, soap with decay": lambda rate, steps: optax.chain(rules.soap(1.0), optax.scale_by_schedule(fall(rate, steps))),
    "physopt, learned soap-mixture": lambda rate, steps: rules.first_order.learned("soap-mixture", horizon=steps),
}


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def run(family: Any, name: str, steps: int, looks: bool, rate: Any, keys: Any):
    """Return, for each task, the judged loss before each step, over that of the start, and the gradients evaluated by then."""

    def one(key):
        task, rule = family.sample(key), optax.with_extra_args_support(RULES[name](rate, steps))
        params = task.init(jax.random.fold_in(key, 1))

        def step(carry, key):
            params, state = carry
            value, grads = jax.value_and_grad(task.loss)(params, key)
            updates, state = rule.update(grads, state, params, value=value, grad=grads, value_fn=lambda params: task.loss(params, key))
            cost = jnp.asarray(optax.tree.get(state, "num_linesearch_steps", 1), float)
            return (jax.tree.map(jnp.add, params, updates), state), (judged(task, params) if looks else value, cost)

        unit = judged(task, params)
        losses, cost = jax.lax.scan(step, (params, rule.init(params)), jax.random.split(jax.random.fold_in(key, 2), steps))[1]
        return losses / unit, jnp.cumsum(cost) - cost

    return jax.vmap(one)(keys)


class Comparison:
    """Print a line for each rule on one family: steps and time to each target."""

    def __init__(self, family: Any, what: str, targets: tuple[float, ...], steps: int, seeds: int) -> None:
        self.family, self.what, self.targets, self.steps, self.seeds = family, what, targets, steps, seeds

    def reached(self, found: Any, target: float) -> np.ndarray:
        """Return after how many gradients each task reaches the target; `inf` if not within the number of steps."""
        losses, cost = (np.asarray(one) for one in found)
        met = (losses <= target) & (cost <= self.steps)
        return np.where(met.any(1), np.take_along_axis(cost, met.argmax(1)[:, None], 1)[:, 0], np.inf)

    def tuned(self, name: str) -> float:
        """Return the rate that reaches the last target soonest on average, where never is twice the steps and the loss at the end."""
        keys, scores = jax.random.split(jax.random.key(999), HELD_OUT), []
        for rate in TRIED:
            found = run(self.family, name, self.steps, True, rate, keys)
            never = 2 * self.steps + np.nan_to_num(np.minimum(found[0][:, -1], 1e3), nan=1e3)
            scores.append(np.mean(np.minimum(self.reached(found, self.targets[-1]), never)))
        return float(TRIED[int(np.argmin(scores))])

    def tell(self, name: str, rates: Any = None, trained: float = 0.0) -> None:
        """Run a rule, tuned if no rates or weights are given."""
        rates = [self.tuned(name)] * self.seeds if rates is None else rates
        each = list(zip(rates, jax.random.split(jax.random.key(1234), (self.seeds, HELD_OUT)), strict=True))
        found = [run(self.family, name, self.steps, True, *one) for one in each]
        again = lambda: jax.block_until_ready(run(self.family, name, self.steps, False, *each[0]))  # noqa: E731
        again(), (began := time.process_time()), again()
        spent = (time.process_time() - began) / float(np.sum(np.asarray(found[0][1])[:, -1] + 1))
        line = f"{self.what:10} {name:30}"
        for target in self.targets:
            steps = np.array([self.reached(one, target) for one in found])
            low, high, middle = min(np.median(steps, axis=1)), max(np.median(steps, axis=1)), np.median(steps)
            line += f" | {target:g}: {middle:.0f} ({low:.0f}-{high:.0f}), {np.isfinite(steps).mean():.0%}, {1e3 * middle * spent:.2g} ms"
        print(line + (f" | trained {trained:.0f} s" if trained else ""), flush=True)


def timed(train: Callable[[int], Any], seeds: int) -> tuple[list[Any], float]:
    """Train with each seed; return what is trained and the CPU seconds of one."""
    began = time.process_time()
    return [jax.block_until_ready(train(seed)) for seed in range(seeds)], (time.process_time() - began) / seeds


def learned(family: Any, seeds: int, outer: int) -> tuple[list[Any], float]:
    """Meta-train opifex' learned optimizer as its documentation does."""
    settings = {"num_outer_steps": outer, "num_tasks": 32, "trunc_length": 20, "total_horizon": 100}
    return timed(lambda seed: l2o.meta_train(MLP, family, jax.random.key(seed), **settings)[0], seeds)


def quadratics(seeds: int, outer: int) -> None:
    """Train on 16 unknowns; run on 16 and 64."""
    thetas, spent = learned(l2o.QuadraticTaskFamily(16), seeds, outer)
    optim = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(5e-3, 60)))
    ours = partial(meta.train, family=Wells(log_condition=(0.0, 3.0)), estimator=meta.Antithetic(40, sigma=0.01), optim=optim, num_steps=60)
    spans, took = timed(lambda seed: ours(rules.Span(key=jax.random.key(seed)), key=jax.random.key(seed))[0], seeds)
    for dim in (16, 64):
        among = Comparison(l2o.QuadraticTaskFamily(dim), f"{dim} unknowns", (0.1, 1e-4), 400, seeds)
        among.tell("Adam")
        among.tell("opifex, learned", thetas, trained=spent)
        among.tell("opifex, L-BFGS", [0.0] * seeds)
        among.tell("physopt, LBFGS", [0.0] * seeds)
        among.tell("physopt, learned Span", spans, trained=took)


def networks(seeds: int, outer: int) -> None:
    """Train on opifex' networks; run on others of that family, and on sums of sines."""
    family = l2o.MLPTaskFamily(8, 16, 4)
    thetas, spent = learned(family, seeds, outer)
    for among in (Comparison(family, "8-16-4", (0.1, 0.03), 100, seeds), Comparison(Sines(), "sines", (0.3, 0.1), 400, seeds)):
        for name in ("Adam", "Adam with decay", "physopt, soap with decay"):
            among.tell(name)
        among.tell("physopt, learned soap-mixture", [0.0] * seeds)
        among.tell("opifex, learned", thetas, trained=spent)


def sinusoids(seeds: int, outer: int) -> None:
    """Train starts, each with the settings that opifex has by default."""

    def ours(estimator: Any, optim: Any) -> Callable[[jax.Array, Any], Any]:
        settings = {"num_steps": 1000, "tasks_per_step": 16}
        return lambda key, start: meta.train(meta.CommonStart(start), SINUSOIDS, estimator, optim, key=key, **settings)[0].point

    ways: dict[str, Callable[[jax.Array, Any], Any]] = {
        "a random start": lambda key, start: start,
        "opifex, MAML": lambda key, start: l2o.maml_meta_train(Shots(), start, key)[0],
        "physopt, MAML": ours(meta.MAML(SGD, 5), optax.adam(1e-3)),
        "opifex, Reptile": lambda key, start: l2o.reptile_meta_train(Shots(), start, key)[0],
        "physopt, Reptile": ours(meta.Reptile(SGD, 5), optax.sgd(0.1)),
    }
    tasks = meta.draw(SINUSOIDS, jax.random.key(1234), 256)

    @jax.jit
    def errors(start: Any) -> jax.Array:
        def one(mu):
            ends = [unroll(SINUSOIDS.problem(mu), SGD, start, steps)[0].best for steps in LOOKS]
            return jnp.stack([SINUSOIDS.query(mu).evaluate(end).value for end in ends])

        return jax.vmap(one)(tasks.mus).mean(0)

    for name, way in ways.items():
        starts = [SINUSOIDS.problem(tasks.mus[0]).init(jax.random.key(seed)) for seed in range(seeds)]
        trained, spent = timed(lambda seed, way=way, starts=starts: way(jax.random.key(100 + seed), starts[seed]), seeds)
        found = np.array([errors(one) for one in trained])
        told = ", ".join(f"{np.median(own):.2f} ({own.min():.2f}-{own.max():.2f})" for own in found.T)
        print(f"sinusoids  {name:20} error after {LOOKS} steps: {told}; trained {spent:.0f} s", flush=True)


def main() -> None:
    """Print one line for each family and method."""
    parts = {"quadratics": quadratics, "networks": networks, "sinusoids": sinusoids}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*parts, []], metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--outer", type=int, default=300)
    arguments = parser.parse_args()
    print(*(f"{name} {version(name)}" for name in ("opifex", "physopt", "jax")))
    for name in arguments.names or parts:
        parts[name](arguments.seeds, arguments.outer)


if __name__ == "__main__":
    main()
