"""Estimates in pieces by workers: the weights do not depend on the workers, and the estimates are those of the estimator."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_farm_processes import children
from trained_quadratics import ESTIMATORS

from physopt import AbstractRule, Move, Recording, unroll
from physopt.core.trajectory import load
from physopt.meta import AbstractEstimator, Antithetic, Estimate, LogArea, Quadratics, Spread, draw, train
from physopt.meta.estimators import trainable
from physopt.rules import Span

TESTS = Path(__file__).parent
FAMILY = Quadratics(dim=4)
OPTIM = optax.adam(1e-2)  # one, so that a step is compiled once


def learn(executor, folder=None, estimator="antithetic", steps=3, callback=None, **more):
    settings = {"num_steps": steps, "key": jax.random.key(5), "tasks_per_step": 4, "pieces": 2, "callback": callback, **more}
    record = None if folder is None else Recording(folder, resume=True)
    estimator = ESTIMATORS[estimator] if isinstance(estimator, str) else estimator
    return train(Span(width=2, key=jax.random.key(0)), FAMILY, estimator, OPTIM, executor=executor, record=record, **settings)


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(one), jax.tree.leaves(other))


class Pull(AbstractEstimator):
    """Pulls all weights to the mean of the tasks, with noise; its state counts the calls for each task."""

    num_steps: int = eqx.field(static=True, default=1)

    def init(self, rule, family, num_tasks):
        return jnp.zeros(num_tasks)

    def __call__(self, meta_loss, rule, family, tasks, key, state=None):
        mean, noise = tasks.mus.mean(), 0.1 * jax.random.normal(key)
        grad = jax.tree.map(lambda leaf: leaf - mean + noise, trainable(rule)[0])
        return Estimate(
            mean**2, grad, jax.tree.map(lambda leaf: jnp.ones_like(leaf) * mean, grad), jnp.asarray(1.0 * len(tasks.keys))
        ), state + 1


def test_an_estimate_in_pieces_is_the_mean_of_the_estimates_of_all_tasks():
    rule, tasks = Span(width=2, key=jax.random.key(1)), draw(FAMILY, jax.random.key(2), 5)
    with ThreadPoolExecutor(2) as pool:
        found, state = Spread(Pull(), pool, 2)(LogArea(), rule, FAMILY, tasks, jax.random.key(3))
    mus, parts = np.asarray(tasks.mus), (slice(0, 2), slice(2, 5))
    means = [mus[part].mean() for part in parts]
    noise = [0.1 * float(jax.random.normal(jax.random.fold_in(jax.random.key(3), k))) for k in (0, 1)]
    np.testing.assert_allclose(found.loss, 0.4 * means[0] ** 2 + 0.6 * means[1] ** 2, rtol=1e-12)
    pulled = np.asarray(rule.head.skip) - mus.mean() + 0.4 * noise[0] + 0.6 * noise[1]
    np.testing.assert_allclose(found.grad.head.skip, pulled, rtol=1e-12)
    np.testing.assert_allclose(found.grad_std_error.head.bias, np.hypot(0.4 * means[0], 0.6 * means[1]), rtol=1e-12)
    assert float(found.cost) == 5.0 and [each.tolist() for each in state] == [[1.0] * 2, [1.0] * 3]


@pytest.mark.parametrize("estimator", [Pull(), *(pytest.param(name, marks=pytest.mark.slow) for name in ESTIMATORS)])
def test_weights_do_not_depend_on_the_number_of_workers_nor_on_an_interruption(estimator, tmp_path):
    def die(step):
        if step.index == 1:
            raise InterruptedError

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(3) as three:
        whole, _ = learn(one, tmp_path / "whole", estimator)
        with pytest.raises(InterruptedError):
            learn(three, tmp_path / "killed", estimator, callback=die)
        resumed, training = learn(one, tmp_path / "killed", estimator)
        with pytest.raises(ValueError, match=r"estimator.pieces was 2, is 4"):
            learn(one, tmp_path / "killed", estimator, steps=4, pieces=4)
    assert len(training.loss) == 3 and load(tmp_path / "killed").status == "finished"
    same(resumed, whole)


class Broken(Pull):
    """Its loss is no number."""

    def __call__(self, *args, **more):
        estimate, state = super().__call__(*args, **more)
        return eqx.tree_at(lambda e: e.loss, estimate, jnp.asarray(jnp.nan)), state


def test_what_cannot_be_estimated_by_workers_is_said():
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(FloatingPointError, match="meta-loss of piece 0 of 2"):
            learn(pool, estimator=Broken())
        with pytest.raises(ValueError, match="cannot be made in 0 pieces"):
            learn(pool, pieces=0)
        with pytest.raises(ValueError, match="executor= or devices=, not both"):
            learn(pool, devices=jax.devices())
    with pytest.raises(ValueError, match="3 devices cannot share 4 tasks"):
        learn(None, devices=[*jax.devices()[:1]] * 3)
    with pytest.raises(TypeError, match="cannot be sent what it should do"):
        learn(1, estimator=Antithetic(6, run=lambda *_: None))


class Worded(AbstractRule):
    """A rule that keeps a word."""

    def init(self, evaluation):
        return "word"

    def step(self, evaluation, state):
        return Move(evaluation.grad), state


def test_a_rule_whose_state_is_no_array_is_named():
    problem = FAMILY.problem(FAMILY.sample(jax.random.key(0)))
    with pytest.raises(TypeError, match="The state of Worded holds 'word', and a scan carries arrays only"):
        unroll(problem, Worded(), problem.init(jax.random.key(0)), 2)


SCRIPT = """
import sys
import jax
jax.config.update("jax_enable_x64", True)
from physopt.core.weights import save_weights
from test_spread import learn
if __name__ == "__main__":
    folder, weights, estimator, workers = sys.argv[1:]
    rule, _ = learn(int(workers), folder, estimator, 12, lambda step: print(step.index, flush=True))
    save_weights(weights, rule, {})
"""


def start(tmp_path, name, estimator, workers):
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS), *sys.path])}
    command = [
        sys.executable,
        str(tmp_path / "script.py"),
        str(tmp_path / name),
        str(tmp_path / f"{name}.safetensors"),
        estimator,
        str(workers),
    ]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["antithetic", "persistent"])
def test_a_training_on_two_processes_that_is_killed_ends_with_the_weights_of_one_process(estimator, tmp_path):
    whole = start(tmp_path, "whole", estimator, 1)
    killed = start(tmp_path, "killed", estimator, 2)
    for line in killed.stdout:
        if int(line) == 4:
            break
    killed.kill()
    killed.communicate()
    assert 5 <= load(tmp_path / "killed").num_records < 12
    resumed = start(tmp_path, "killed", estimator, 2)
    resumed.stdout.readline()
    if workers := children(resumed.pid):
        os.kill(workers[-1], 9)  # and one of its workers dies, too
    resumed.communicate()
    whole.communicate()
    assert (resumed.returncode, whole.returncode) == (0, 0)
    assert (tmp_path / "killed.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


DEVICES = """
import jax
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 2)
import numpy as np
from physopt import farm, meta
from test_spread import FAMILY, learn
two = jax.devices()
assert len(two) == 2
for estimator in ("antithetic", "persistent"):
    rules = [learn(None, None, estimator, 3, devices=devices)[0] for devices in (None, two[:1], two)]
    leaves = [[leaf for leaf in jax.tree.leaves(rule) if isinstance(leaf, jax.Array)] for rule in rules]
    for other in leaves[1:]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), other, leaves[0])
    assert all(len(leaf.devices()) == 2 for leaf in leaves[2])
tasks = meta.draw(FAMILY, jax.random.key(0), 6)
laid = farm.sharded(tasks)
assert {shard.data.shape[0] for shard in laid.mus.addressable_shards} == {3}
steps = [meta.steps_to_tolerance(rules[0], FAMILY, each, tolerance=1e-4, budget=20) for each in (tasks, laid)]
np.testing.assert_array_equal(*steps)
try:
    farm.sharded(meta.draw(FAMILY, jax.random.key(0), 5))
except ValueError as error:
    assert "2 devices cannot share arrays of length 5" in str(error), error
else:
    raise AssertionError
"""


@pytest.mark.slow
def test_two_devices_find_what_one_finds():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS), *sys.path])}
    done = subprocess.run([sys.executable, "-c", DEVICES], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
