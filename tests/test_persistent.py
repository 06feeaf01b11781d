"""Persistent evolution strategies: no bias, however short the windows, and what breaks them is noticed."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_meta import LOSS, MILD, SpringFamily, estimated, flat, heavy_ball

from physopt.meta.estimators import Backprop, draw
from physopt.meta.persistent import Persistent
from physopt.meta.training import train


def over_a_run(estimator, tasks):
    """Return the mean of the estimates of all windows, and its standard error, once the first runs, which are shorter, have ended."""
    call = eqx.filter_jit(lambda key, state: estimator(LOSS, heavy_ball(), MILD, tasks, key, state))
    state, estimates = estimator.init(heavy_ball(), MILD, len(tasks.keys)), []
    for k in range(40):
        estimate, state = call(jax.random.key(k), state)
        estimates.append(flat(estimate.grad))
    late = np.array(estimates[8 // estimator.window :])
    return late.mean(0), late.std(0, ddof=1) / np.sqrt(len(late))


def forget_the_past(self, total, shift):
    return shift


def lose_the_minus(self, total, shift):
    return -total


@pytest.mark.parametrize(
    ("window", "broken"), [pytest.param(1, None, marks=pytest.mark.slow), (4, None), (4, forget_the_past), (4, lose_the_minus)]
)
def test_a_persistent_estimator_has_no_bias_and_a_broken_one_is_caught(window, broken, monkeypatch):
    tasks = draw(MILD, jax.random.key(1), 8)
    exact = estimated(Backprop(8), heavy_ball(), tasks, jax.random.key(0))
    if broken is not None:
        monkeypatch.setattr(Persistent, "_felt", broken)
    many = jax.tree.map(lambda leaf: jnp.repeat(leaf, 16, axis=0), tasks)
    mean, error = over_a_run(Persistent(8, window, sigma=1e-3), many)
    off = np.abs(mean - flat(exact.grad))
    assert (error < 0.15 * np.abs(flat(exact.grad))).all()
    assert (off < 4.0 * error).all() == (broken is None)


@pytest.mark.parametrize("arguments", [{"window": 3}, {"window": 0}, {"window": 4, "sigma": 0.0}])
def test_a_persistent_estimator_of_uneven_windows_is_refused(arguments):
    with pytest.raises(ValueError, match="multiple of window"):
        Persistent(8, **arguments)


def test_a_persistent_estimator_needs_traceable_problems():
    settings = {"num_steps": 2, "key": jax.random.key(0), "tasks_per_step": 2}
    with pytest.raises(TypeError, match="Antithetic"):
        train(heavy_ball(), SpringFamily(False), Persistent(8, 4), optax.sgd(0.1), **settings)
