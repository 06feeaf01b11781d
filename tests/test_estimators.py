"""Every estimator against the true meta-gradient, without chance: perturbations of an orthogonal design replace the random ones.

An estimate is quadratic in the perturbations, up to terms of the order of sigma^2. Columns of a Hadamard matrix have the same second
moments as independent normal ones, so the mean over its rows is the estimator's expectation, to six digits, from a handful of particles.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from springs import LOSS, SpringFamily, flat, heavy_ball

from physopt import unroll
from physopt.meta.estimators import (
    Antithetic,
    Backprop,
    NoiseReuse,
    Persistent,
    TruncatedAntithetic,
    TruncatedBackprop,
    antithetic,
    draw,
    online,
)

FAMILY, STEPS, SIGMA = SpringFamily(True), 8, 1e-4
ROWS = scipy.linalg.hadamard(16)[:, 1:]  # columns but the first: orthogonal to each other, and of mean zero


def design(windows):
    """Return perturbations by a design: row i for particle i, and two columns for each window of its run."""

    def perturbations(key, shape, dtype):
        call, particle = jax.random.key_data(key)[-1].astype(int), jnp.arange(shape[0])
        first = 2 * ((call + particle) % windows)
        columns = first[:, None] + jnp.arange(shape[-1] * shape[1])
        return jnp.asarray(ROWS, dtype)[particle[:, None] % len(ROWS), columns].reshape(shape)

    return perturbations


def batch():
    """Return two tasks, each for all rows of the design."""
    return jax.tree.map(lambda leaf: jnp.repeat(leaf, len(ROWS), axis=0), draw(FAMILY, jax.random.key(1), 2))


def expected(estimator, monkeypatch, given=design):
    """Return the mean of the estimates of one whole run's windows, after the first runs, which are shorter."""
    windows = STEPS // getattr(estimator, "window", STEPS)
    for module in (online, antithetic):
        monkeypatch.setattr(module, "perturbations", given(windows))
    tasks, rule = batch(), heavy_ball()

    @eqx.filter_jit
    def cycle():
        def call(state, key):
            estimate, state = estimator(LOSS, rule, FAMILY, tasks, key, state)
            return state, jax.flatten_util.ravel_pytree(estimate.grad)[0]

        keys = jax.vmap(jax.random.key)(jnp.arange(2 * windows))
        return jax.lax.scan(call, estimator.init(rule, FAMILY, len(tasks.keys)), keys)[1][windows:].mean(axis=0)

    return np.asarray(cycle())


def off(found, truth):
    return np.linalg.norm(found - truth) / np.linalg.norm(truth)


@pytest.fixture(scope="module")
def truth():
    """Return the gradient of two tasks by central differences of their loss, which knows of no estimator."""
    tasks = draw(FAMILY, jax.random.key(1), 2)

    @eqx.filter_jit
    def loss(rule):
        problems = [FAMILY.problem(mu) for mu in tasks.mus]
        return sum(LOSS(unroll(p, rule, p.init(tasks.keys[k]), STEPS)[1]) for k, p in enumerate(problems)) / 2.0

    def slope(name):
        shifted = (eqx.tree_at(lambda r: getattr(r, name), heavy_ball(), replace_fn=lambda leaf, h=h: leaf + h) for h in (1e-5, -1e-5))
        return float(np.subtract(*map(loss, shifted))) / 2e-5

    return np.array([slope("log_length"), slope("momentum")])


@pytest.mark.parametrize(
    "estimator",
    [
        Backprop(STEPS),
        Antithetic(STEPS, sigma=SIGMA, pairs=2),
        Persistent(STEPS, 2, sigma=SIGMA),
        NoiseReuse(STEPS, 2, sigma=SIGMA),
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in (
                Backprop(STEPS, every=3),
                Backprop(STEPS, every=STEPS),
                TruncatedBackprop(STEPS, STEPS),
                TruncatedAntithetic(STEPS, STEPS, sigma=SIGMA, pairs=2),
                *(kind(STEPS, window, sigma=SIGMA) for kind in (Persistent, NoiseReuse) for window in (4, STEPS)),
            )
        ),
    ],
    ids=str,
)
def test_an_estimator_has_the_true_gradient_as_its_mean(estimator, truth, monkeypatch):
    assert off(expected(estimator, monkeypatch), truth) < 1e-5


def truncated_slope(tasks, window):
    """Return what truncation by `window` gives, from its definition: each window's own differences, from a state that is kept."""
    total = 0.0
    for mu, key in zip(tasks.mus, tasks.keys, strict=True):
        problem, carry, rows = FAMILY.problem(mu), None, []
        carry = problem.init(key)
        for _ in range(STEPS // window):

            def loss(rule, problem=problem, carry=carry, rows=tuple(rows)):
                after, history = unroll(problem, rule, carry, window)
                parts = [*rows, jax.tree.map(lambda a: a[1:], history)] if rows else [history]
                whole = jax.tree.map(lambda *columns: jnp.concatenate(columns), *parts)
                rest = STEPS + 1 - len(whole.value)
                return LOSS(jax.tree.map(lambda a: jnp.concatenate([a, jnp.repeat(a[-1:], rest)]), whole)), (after, parts)

            (_, (carry, rows)), grad = jax.value_and_grad(loss, has_aux=True)(heavy_ball())
            total = total + flat(grad) / len(tasks.keys)
    return total


@pytest.mark.slow
@pytest.mark.parametrize("window", [2, 4])
def test_truncated_estimators_have_the_bias_that_truncation_has(window, truth, monkeypatch):
    biased = truncated_slope(draw(FAMILY, jax.random.key(1), 2), window)
    assert off(biased, truth) > 0.05
    for estimator in (TruncatedBackprop(STEPS, window), TruncatedAntithetic(STEPS, window, sigma=SIGMA)):
        assert off(expected(estimator, monkeypatch), biased) < 1e-5


def lose_the_minus(monkeypatch):
    original = Persistent.windowed

    def windowed(self, gain, *arguments):
        def negated(weights, run):
            value, run = gain(weights, run)
            return -value, run

        return original(self, negated, *arguments)

    monkeypatch.setattr(Persistent, "windowed", windowed)


def forget_the_past(monkeypatch):
    original = Persistent.windowed
    monkeypatch.setattr(Persistent, "windowed", lambda self, g, w, r, noise, *rest: original(self, g, w, r, 0.0 * noise, *rest))


def forget_the_particle(monkeypatch):
    original = Persistent.windowed
    monkeypatch.setattr(Persistent, "windowed", lambda self, g, w, runs, *rest: original(self, g, w, runs, *rest)._replace(runs=runs))


def count_rows_twice(monkeypatch):
    original = online._continued

    def continued(problem, rule, run, *rest):
        after = original(problem, rule, run, *rest)
        return eqx.tree_at(lambda r: r.loss, after, after.loss + run.loss)

    monkeypatch.setattr(online, "_continued", continued)


def end_too_late(monkeypatch):
    original = Persistent.init
    monkeypatch.setattr(Persistent, "init", lambda *args: eqx.tree_at(lambda p: p.left, original(*args), replace_fn=lambda n: 0 * n - 99))


def draw_anew(monkeypatch):
    original = NoiseReuse.windowed
    monkeypatch.setattr(NoiseReuse, "windowed", lambda *args: original(*args[:-1], jnp.asarray(True)))


def share_the_noise(windows):
    given = design(windows)

    def perturbations(key, shape, dtype):
        return jnp.broadcast_to(given(key, shape, dtype)[:1], shape)

    return perturbations


BROKEN = {
    lose_the_minus: Persistent, forget_the_past: Persistent, forget_the_particle: Persistent, count_rows_twice: Persistent,
    end_too_late: Persistent, draw_anew: NoiseReuse,
}  # fmt: skip


@pytest.mark.parametrize("broken", [pytest.param(b, marks=[pytest.mark.slow] * (b is not forget_the_past)) for b in BROKEN])
def test_a_broken_estimator_is_caught(broken, truth, monkeypatch):
    broken(monkeypatch)
    assert not off(expected(BROKEN[broken](STEPS, 2, sigma=SIGMA), monkeypatch), truth) <= 0.05  # what is not finite is noticed, too


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Persistent, NoiseReuse, TruncatedAntithetic])
def test_noise_that_particles_share_is_caught(kind, truth, monkeypatch):
    assert off(expected(kind(STEPS, STEPS, sigma=SIGMA), monkeypatch, share_the_noise), truth) > 0.05
