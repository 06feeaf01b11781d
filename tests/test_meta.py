"""Meta-gradients against each other and against finite differences, and the outer loop."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from instances import Diagonal

from physopt import AbstractFamily, AbstractProblem, AbstractRule, Evaluation, History, Move
from physopt.core.tree import tree_add, tree_scale, tree_zeros
from physopt.meta import estimators
from physopt.meta.estimators import Antithetic, Backprop, draw, padded, trainable
from physopt.meta.loss import LogArea, SmoothSteps
from physopt.meta.quadratics import Quadratics
from physopt.meta.score import steps_to_tolerance
from physopt.meta.training import train
from physopt.rules.learned import Span

# The untrained step is always accepted here, so that the loss is smooth where gradients are compared.
MILD = Quadratics(dim=4, log_condition=(0.5, 1.0), log_spread=(0.3, 0.6), log_bias=(0.4, 0.5))
LOSS = SmoothSteps(tolerance=1e-2)


class HeavyBall(AbstractRule):
    """The model's step times a learned length plus the last step times a learned momentum."""

    log_length: jax.Array
    momentum: jax.Array

    def init(self, evaluation):
        return tree_zeros(evaluation.grad)

    def step(self, evaluation, state):
        xp = np if isinstance(evaluation.value, np.generic) else jnp
        length, momentum = xp.exp(xp.asarray(self.log_length)), xp.asarray(self.momentum)
        step = tree_add(tree_scale(length, evaluation.model.minimize()), tree_scale(momentum, state))
        return Move(step, accept=evaluation.value == evaluation.value), step


def heavy_ball() -> HeavyBall:
    return HeavyBall(jnp.array(-0.2), jnp.array(0.3))


def flat(tree) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def agree(estimate, reference) -> bool:
    """Say whether an estimate has error bars well below the gradient's size and agrees with the reference within them."""
    grad, error, exact = flat(estimate.grad), flat(estimate.grad_std_error), flat(reference)
    sharp = np.linalg.norm(error) < 0.2 * np.linalg.norm(exact)
    # Of n squared scores with mean n, 2 n (for large n) or n + 20 (for small) is beyond any bad luck.
    return bool(sharp and np.sum(((grad - exact) / error) ** 2) < min(2 * grad.size, grad.size + 20))


@eqx.filter_jit
def estimated(estimator, rule, tasks, key):
    return estimator(LOSS, rule, MILD, tasks, key)[0]


@pytest.fixture(scope="module")
def tasks():
    return draw(MILD, jax.random.key(1), 8)


@pytest.fixture(scope="module")
def exact(tasks):
    return estimated(Backprop(8), heavy_ball(), tasks, jax.random.key(0))


@pytest.fixture(scope="module")
def losses_of_pairs(tasks):
    """Return what the runs of all pairs lost, computed once: the broken estimators below differ in what they make of it."""
    kept = []
    with pytest.MonkeyPatch.context() as patch:
        whole = Antithetic._traced
        patch.setattr(Antithetic, "_traced", lambda *args: kept.append(eqx.filter_jit(whole)(*args)) or kept[0])
        HEAVY(LOSS, heavy_ball(), MILD, tasks, jax.random.key(2))
    return kept[0]


HEAVY = Antithetic(8, sigma=1e-2, pairs=64)


def sampled(monkeypatch, tasks, losses):
    monkeypatch.setattr(Antithetic, "_traced", lambda *args: losses)
    return HEAVY(LOSS, heavy_ball(), MILD, tasks, jax.random.key(2))[0]


def differs(estimator, rule, tasks, exact) -> float:
    """Return the largest relative difference between slopes along random directions and central differences of the loss."""
    worst = 0.0
    for seed in range(3):
        leaves, structure = jax.tree.flatten(trainable(rule)[0])
        keys = jax.random.split(jax.random.key(seed), len(leaves))
        along = jax.tree.unflatten(structure, [jax.random.normal(k, a.shape) for k, a in zip(keys, leaves, strict=True)])
        plus, minus = (
            estimated(estimator, eqx.apply_updates(rule, tree_scale(h, along)), tasks, jax.random.key(0)).loss for h in (1e-5, -1e-5)
        )
        difference = (plus - minus) / 2e-5
        worst = max(worst, abs(float(flat(exact.grad) @ flat(along) - difference)) / abs(float(difference)))
    return worst


def test_the_estimators_and_finite_differences_agree(tasks, exact, losses_of_pairs, monkeypatch):
    estimate = sampled(monkeypatch, tasks, losses_of_pairs)
    assert agree(estimate, exact.grad)
    np.testing.assert_allclose(estimate.loss, exact.loss, rtol=1e-2)
    assert differs(Backprop(8), heavy_ball(), tasks, exact) < 1e-5


@pytest.mark.slow  # the same for a rule of two weights is quick
def test_the_estimators_and_finite_differences_agree_for_the_learned_rule(tasks):
    rule = Span(width=2, key=jax.random.key(0))
    exact = estimated(Backprop(8), rule, tasks, jax.random.key(0))
    assert agree(estimated(Antithetic(8, sigma=1e-3, pairs=1024), rule, tasks, jax.random.key(2)), exact.grad)
    assert differs(Backprop(8), rule, tasks, exact) < 1e-4


def drop_the_sign(self, losses, noise):
    return losses.sum(-1)[..., None] / (2.0 * self.sigma) * noise


def forget_the_width(self, losses, noise):
    return (losses[..., 0] - losses[..., 1])[..., None] * noise


def forget_the_half(self, losses, noise):
    return (losses[..., 0] - losses[..., 1])[..., None] / self.sigma * noise


@pytest.mark.parametrize("broken", [drop_the_sign, forget_the_width, forget_the_half])
def test_a_broken_antithetic_estimator_is_caught(broken, tasks, exact, losses_of_pairs, monkeypatch):
    monkeypatch.setattr(Antithetic, "_slopes", broken)
    assert not agree(sampled(monkeypatch, tasks, losses_of_pairs), exact.grad)


class Stopped(AbstractRule):
    """A rule whose input carries no gradient: what truncation to one step would give."""

    rule: AbstractRule

    def init(self, evaluation):
        return self.rule.init(evaluation)

    def step(self, evaluation, state):
        return self.rule.step(*jax.lax.stop_gradient((evaluation, state)))


def test_a_backpropagation_that_stops_at_each_step_is_caught(tasks, losses_of_pairs, monkeypatch):
    whole = estimators.unroll
    monkeypatch.setattr(estimators, "unroll", lambda problem, rule, point, n: whole(problem, Stopped(rule), point, n))
    truncated = eqx.filter_jit(lambda rule: Backprop(8)(LOSS, rule, MILD, tasks, jax.random.key(0))[0])(heavy_ball())
    assert not agree(sampled(monkeypatch, tasks, losses_of_pairs), truncated.grad)
    assert differs(Backprop(8), heavy_ball(), tasks, truncated) > 1e-2


class Springs(AbstractProblem):
    """A quadratic with a wrong diagonal model, in NumPy on the host or in JAX."""

    stiffness: jax.Array | np.ndarray
    traceable: bool = eqx.field(static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key):
        start = jax.random.normal(key, (3,))
        return start if self.traceable else np.asarray(start)

    def evaluate(self, point):
        grad = self.stiffness * point
        return Evaluation(0.5 * (grad * point).sum(), grad, Diagonal(grad, 1.5 + 0.0 * grad))

    def retract(self, point, step):
        return point + step


class SpringFamily(AbstractFamily):
    traceable: bool = eqx.field(static=True)

    def sample(self, key):
        return jax.random.uniform(key, (3,), minval=0.5, maxval=1.5)

    def problem(self, mu):
        return Springs(mu if self.traceable else np.asarray(mu), self.traceable)


@pytest.mark.slow
def test_antithetic_is_the_same_on_the_host():
    rule = Span(width=2, key=jax.random.key(0))
    estimator, key = Antithetic(5, sigma=0.05, pairs=2), jax.random.key(3)
    results = [estimator(LogArea(), rule, f, draw(f, jax.random.key(4), 2), key)[0] for f in (SpringFamily(True), SpringFamily(False))]
    np.testing.assert_allclose(flat(results[0].grad), flat(results[1].grad), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(results[0].loss, results[1].loss, rtol=1e-12)


def test_backprop_through_a_host_problem_says_what_to_do():
    family = SpringFamily(False)
    with pytest.raises(TypeError, match="Antithetic"):
        Backprop(3)(LogArea(), heavy_ball(), family, draw(family, jax.random.key(0), 2), jax.random.key(0))


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
    good = np.array([2.0, 0.3, 1e-3, 1e-7, 0.0])
    np.testing.assert_allclose(loss(history(1e3 * good)), loss(history(good)), rtol=1e-10)
    assert loss(history(good)) < loss(history([2.0, 1.0, 0.5, 0.4, 0.3])) < loss(history([2.0, np.nan, np.inf, 4.0, 3.0]))
    for bad in ([np.nan] * 4, [np.inf, 1.0, 0.5, 0.1], [1.0, np.nan, np.nan, np.nan]):
        slope = jax.grad(lambda n: loss(History(n, n, n, n > 0, n, n)))(jnp.array(bad))
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
    settings = {"num_steps": 12, "key": jax.random.key(0), "tasks_per_step": 2}
    _, training = train(heavy_ball(), SpringFamily(False), Antithetic(8, pairs=2), optax.adam(0.1), **settings)
    assert training.loss[-3:].mean() < training.loss[0]
    assert training.cost[-1] == 12 * 2 * 2 * 2 * 9


@pytest.mark.slow
def test_weights_that_overflow_are_refused():
    with pytest.raises(FloatingPointError, match="apply_if_finite"):
        train(heavy_ball(), MILD, Backprop(3), optax.sgd(jnp.inf), num_steps=2, key=jax.random.key(0), tasks_per_step=2)


@pytest.mark.parametrize("arguments", [{"sigma": 0.0}, {"sigma": float("nan")}, {"pairs": 1}])
def test_an_antithetic_estimator_without_error_bars_is_refused(arguments):
    with pytest.raises(ValueError, match="pairs"):
        Antithetic(5, **arguments)


def test_a_family_of_one_dimension_is_refused():
    with pytest.raises(ValueError, match="dim=1"):
        Quadratics(dim=1)
