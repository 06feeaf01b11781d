"""Meta-losses, meta-gradients by chance and their error bars, and the outer loop; `test_estimators.py` has what needs no chance."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from springs import LOSS, SpringFamily, flat, heavy_ball

from physopt import History
from physopt.core.tree import tree_scale
from physopt.meta import estimators
from physopt.meta.estimators import (
    AbstractOnline,
    Antithetic,
    Backprop,
    NoiseReuse,
    Persistent,
    TruncatedAntithetic,
    draw,
    padded,
    trainable,
)
from physopt.meta.loss import LogArea, SmoothSteps
from physopt.meta.quadratics import Quadratics
from physopt.meta.score import steps_to_tolerance
from physopt.meta.training import train
from physopt.rules.learned import Span

# The untrained step is always accepted here, so that the loss is smooth where gradients are compared.
MILD = Quadratics(dim=4, log_condition=(0.5, 1.0), log_spread=(0.3, 0.6), log_bias=(0.4, 0.5))


def spread(estimator, num_tasks, num_calls=256):
    """Return the estimates of many calls for the same tasks and their standard errors as reported, after the first, shorter runs."""
    family, rule = SpringFamily(True), heavy_ball()
    tasks = jax.tree.map(lambda leaf: jnp.repeat(leaf, num_tasks // 2, axis=0), draw(family, jax.random.key(1), 2))
    skip = estimator.num_steps // estimator.window if isinstance(estimator, AbstractOnline) else 0

    @eqx.filter_jit
    def many():
        def call(state, key):
            estimate, state = estimator(LOSS, rule, family, tasks, key, state)
            both = (jax.flatten_util.ravel_pytree(part)[0] for part in (estimate.grad, estimate.grad_std_error))
            return state, jnp.stack(list(both))

        keys = jax.random.split(jax.random.key(7), num_calls + skip)
        return jax.lax.scan(call, estimator.init(rule, family, num_tasks), keys)[1][skip:]

    return np.moveaxis(np.asarray(many()), 1, 0)


SAMPLED = [
    Antithetic(8, sigma=1e-3, pairs=4),
    Persistent(8, 4, sigma=1e-3),
    NoiseReuse(8, 4, sigma=1e-3),
    TruncatedAntithetic(8, 8, sigma=1e-3),
]


@pytest.mark.slow
@pytest.mark.parametrize("estimator", SAMPLED, ids=str)
def test_the_error_bars_hold_and_shrink_as_they_should(estimator):
    exact = flat(
        Backprop(8)(LOSS, heavy_ball(), SpringFamily(True), draw(SpringFamily(True), jax.random.key(1), 2), jax.random.key(0))[0].grad
    )
    (few, few_told), (many, many_told) = spread(estimator, 8), spread(estimator, 32)
    found, told = many.std(axis=0, ddof=1), many_told.mean(axis=0)
    # The ages of the particles differ by design, not by chance, and what is told counts that as chance.
    assert (found < 1.3 * told).all() and (found > (0.3 if isinstance(estimator, AbstractOnline) else 0.75) * told).all()
    np.testing.assert_allclose(few.std(axis=0, ddof=1) / found, 2.0, rtol=0.3)
    np.testing.assert_allclose(few_told.mean(axis=0) / told, 2.0, rtol=0.2)
    assert (np.abs(many.mean(axis=0) - exact) < 4.0 * found / len(many) ** 0.5).all()


@pytest.mark.slow
def test_the_estimators_and_finite_differences_agree_for_the_learned_rule():
    rule, tasks = Span(width=2, key=jax.random.key(0)), draw(MILD, jax.random.key(1), 8)

    @eqx.filter_jit
    def estimated(estimator, rule, key):
        return estimator(LOSS, rule, MILD, tasks, key)[0]

    exact = flat(estimated(Backprop(8), rule, jax.random.key(0)).grad)
    sampled = estimated(Antithetic(8, sigma=1e-3, pairs=1024), rule, jax.random.key(2))
    grad, error = flat(sampled.grad), flat(sampled.grad_std_error)
    assert np.linalg.norm(error) < 0.2 * np.linalg.norm(exact)
    # Of n squared scores with mean n, 2 n is beyond any bad luck.
    assert np.sum(((grad - exact) / error) ** 2) < 2 * grad.size
    for seed in range(3):
        leaves, structure = jax.tree.flatten(trainable(rule)[0])
        keys = jax.random.split(jax.random.key(seed), len(leaves))
        along = jax.tree.unflatten(structure, [jax.random.normal(keys[k], a.shape) for k, a in enumerate(leaves)])
        plus, minus = (estimated(Backprop(8), eqx.apply_updates(rule, tree_scale(h, along)), jax.random.key(0)).loss for h in (1e-5, -1e-5))
        assert float(exact @ flat(along)) == pytest.approx(float(plus - minus) / 2e-5, rel=1e-4)


@pytest.mark.slow
def test_antithetic_is_the_same_on_the_host():
    rule = Span(width=2, key=jax.random.key(0))
    estimator, key = Antithetic(5, sigma=0.05, pairs=2), jax.random.key(3)
    results = [estimator(LogArea(), rule, f, draw(f, jax.random.key(4), 2), key)[0] for f in (SpringFamily(True), SpringFamily(False))]
    np.testing.assert_allclose(flat(results[0].grad), flat(results[1].grad), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(results[0].loss, results[1].loss, rtol=1e-12)


@pytest.mark.parametrize("estimator", [Backprop(4), Persistent(4, 2), estimators.TruncatedBackprop(4, 2)], ids=str)
def test_an_estimator_that_needs_a_trace_says_so_for_host_problems(estimator):
    with pytest.raises(TypeError, match=r"on the host.*Antithetic"):
        train(heavy_ball(), SpringFamily(False), estimator, optax.sgd(0.1), num_steps=2, key=jax.random.key(0), tasks_per_step=2)


def history(norms) -> History:
    rows = np.asarray(norms, float)
    return History(rows, rows, rows, rows > 0, rows, rows)


def test_the_area_is_the_mean_number_of_evaluations_over_all_tolerances():
    norms, tolerance = np.array([2.0, 3.0, 0.5, 0.7, 1e-2, 1e-5, 1e-9]), 1e-6
    best = np.minimum.accumulate(norms) / norms[0]
    targets = np.logspace(-6, 0, 20001)
    steps = [(best[1:] > t).sum() for t in targets]
    np.testing.assert_allclose(LogArea(tolerance)(history(norms)), np.mean(steps) / 6, rtol=1e-3)


@pytest.mark.parametrize("loss", [LogArea(), SmoothSteps()], ids=["area", "steps"])
def test_losses_are_free_of_units_and_finite_on_bad_runs(loss):
    loss = jax.jit(loss)
    slope_of = jax.jit(jax.grad(lambda n: loss(History(n, n, n, n > 0, n, n))))
    good = np.array([2.0, 0.3, 1e-3, 1e-7, 0.0])
    np.testing.assert_allclose(loss(history(1e3 * good)), loss(history(good)), rtol=1e-10)
    assert loss(history(good)) < loss(history([2.0, 1.0, 0.5, 0.4, 0.3])) < loss(history([2.0, np.nan, np.inf, 4.0, 3.0]))
    for bad in ([np.nan] * 4, [np.inf, 1.0, 0.5, 0.1], [1.0, np.nan, np.nan, np.nan]):
        slope = slope_of(jnp.array(bad))
        assert np.isfinite(loss(history(bad)))
        assert np.isfinite(slope).all()


def test_a_short_run_is_padded_with_its_last_row():
    np.testing.assert_array_equal(padded(history([3.0, 2.0]), 4).grad_norm, [3.0, 2.0, 2.0, 2.0])


def test_the_model_has_the_condition_number_it_is_said_to_have():
    well = Quadratics(dim=7).problem(jnp.array([3.0, 1.2, 0.2, 11.0]))
    curvature = (well.axes * well.curvatures) @ well.axes.T
    spectrum = np.sort(np.linalg.eigvals(np.asarray(well.inverse @ curvature)).real)
    np.testing.assert_allclose(spectrum[[0, -1]] * 10**0.2, [10**-0.6, 10**0.6], rtol=1e-8)
    np.testing.assert_allclose(np.linalg.cond(curvature), 1e3, rtol=1e-8)
    np.testing.assert_allclose(well.axes.T @ well.axes, np.eye(7), atol=1e-12)


@pytest.mark.slow
def test_training_halves_the_steps_on_held_out_tasks():
    family, untrained = Quadratics(dim=8), Span(width=4, key=jax.random.key(0))
    optim = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))
    settings = {"num_steps": 60, "key": jax.random.key(0), "tasks_per_step": 16}
    trained, training = train(untrained, family, Antithetic(30, sigma=0.01), optim, **settings)
    unseen = draw(family, jax.random.key(99), 64)
    before, after = (np.median(steps_to_tolerance(r, family, unseen, tolerance=1e-4, budget=200)) for r in (untrained, trained))
    assert training.loss[-10:].mean() < training.loss[:5].mean()
    assert after <= 0.5 * before


def test_training_on_the_host_lowers_the_loss():
    settings = {"num_steps": 6, "key": jax.random.key(0), "tasks_per_step": 2}
    _, training = train(heavy_ball(), SpringFamily(False), Antithetic(8, pairs=2), optax.adam(0.1), **settings)
    assert training.loss[-3:].mean() < training.loss[0]
    assert training.cost[-1] == 6 * 2 * 2 * 2 * 9


@pytest.mark.slow
def test_weights_that_overflow_are_refused():
    with pytest.raises(FloatingPointError, match="apply_if_finite"):
        train(heavy_ball(), MILD, Backprop(3), optax.sgd(jnp.inf), num_steps=2, key=jax.random.key(0), tasks_per_step=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Antithetic(5, sigma=0.0), "pairs"),
        (lambda: Antithetic(5, sigma=float("nan")), "pairs"),
        (lambda: Antithetic(5, pairs=1), "pairs"),
        (lambda: Persistent(8, 3), "multiple of window"),
        (lambda: NoiseReuse(8, 0), "multiple of window"),
        (lambda: estimators.TruncatedBackprop(8, 9), "multiple of window"),
        (lambda: Persistent(8, 4, sigma=0.0), "above 0"),
        (lambda: NoiseReuse(8, 4, sigma=float("nan")), "above 0"),
        (lambda: TruncatedAntithetic(8, 4, pairs=0), "at least one pair"),
        (lambda: Backprop(8, every=0), "1 to num_steps"),
        (lambda: Backprop(8, every=9), "1 to num_steps"),
        (lambda: Persistent(8, 4).init(heavy_ball(), SpringFamily(True), 1), "2 or more"),
    ],
)
def test_senseless_settings_of_an_estimator_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_family_of_one_dimension_is_refused():
    with pytest.raises(ValueError, match="dim=1"):
        Quadratics(dim=1)
