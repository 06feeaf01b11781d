"""Learned rules of first order: before training they are Adam or SOAP, and what they do does not depend on units, loops and forms."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from instances import sampled

from physopt.core.weights import WeightsError
from physopt.rules import soap
from physopt.rules.first_order import LEARNED, learned, untrained
from physopt.rules.first_order.shipped import file_of, provenance

STEPS = 24
RNG = np.random.default_rng(0)
# Nested, mixed and partly empty, as where a network has no unknown numbers.
GRADS = {
    "matrix": jnp.asarray(RNG.normal(size=(STEPS, 3, 2)), jnp.float32),
    "more": [jnp.asarray(0.1 * RNG.normal(size=(STEPS, 3)), jnp.float32), None, jnp.zeros((STEPS, 0), jnp.float32)],
    "number": jnp.asarray(RNG.normal(size=STEPS), jnp.float32),
    "half": jnp.asarray(RNG.normal(size=(STEPS, 2, 2)), jnp.bfloat16),
}
VALUES = jnp.asarray(np.exp(-0.1 * np.arange(STEPS) + 0.1 * RNG.normal(size=STEPS)), jnp.float32)
FOLLOWING = ("soap-mixture", "soap-schedule")  # the loss


@functools.cache
def running(name):
    """Return a compiled run of a rule, of its weights, gradients and losses."""

    def run(weights, grads, values):
        transformation = optax.with_extra_args_support(LEARNED[name].build(weights, STEPS))

        def step(state, now):
            updates, state = transformation.update(now[0], state, value=now[1])
            return state, updates

        return jax.lax.scan(step, transformation.init(jax.tree.map(lambda leaf: leaf[0], grads)), (grads, values))[1]

    return jax.jit(run)


@functools.cache
def classical(name):
    """Return the updates of the constant that a rule begins with."""
    transformation = soap(1.0) if "soap" in name else optax.adam(1.0)
    begun = transformation.init(jax.tree.map(lambda leaf: leaf[0], GRADS))
    return jax.lax.scan(lambda state, grads: transformation.update(grads, state)[::-1], begun, GRADS)[1]


def moved(name):
    """Return weights that are all other than those before training."""
    leaves, structure = jax.tree.flatten(untrained(name))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return structure.unflatten([leaf + 0.1 * jax.random.normal(k, leaf.shape, leaf.dtype) for leaf, k in zip(leaves, keys, strict=True)])


def close(found, expected, rtol=1e-4):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        near = 0.03 if one.dtype == jnp.bfloat16 else rtol
        np.testing.assert_allclose(one.astype(float), other.astype(float), rtol=near, atol=near)


@pytest.mark.parametrize("name", LEARNED)
def test_before_training_it_is_the_constant(name):
    close(running(name)(untrained(name), GRADS, VALUES), classical(name), 1e-4)


@pytest.mark.parametrize("name", LEARNED)
def test_the_unit_of_the_loss_does_not_matter(name):
    weights, run = moved(name), running(name)
    plain = run(weights, GRADS, VALUES)
    close(run(weights, jax.tree.map(lambda g: 1024.0 * g, GRADS), 1024.0 * VALUES), plain, 2e-3)
    assert jnp.abs(plain["matrix"] - classical(name)["matrix"]).max() > 0.05
    assert [leaf.dtype for leaf in jax.tree.leaves(plain)] == [leaf.dtype for leaf in jax.tree.leaves(GRADS)]


@pytest.mark.parametrize("name", [name for name in LEARNED if name not in FOLLOWING])
def test_the_length_of_a_step_is_that_of_the_constant(name):
    found, constant = running(name)(moved(name), GRADS, VALUES), classical(name)
    for key in ("matrix", "number"):
        length = lambda u: np.sqrt((np.asarray(u).reshape(STEPS, -1) ** 2).sum(axis=1))  # noqa: E731
        np.testing.assert_allclose(length(found[key]), length(constant[key]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", sampled(LEARNED, ("recurrent",)))
def test_many_trainings_at_once_are_each_of_them(name):
    weights = moved(name)
    many = jax.tree.map(lambda g: jnp.stack([g, g[::-1]]), (GRADS, VALUES))
    both = jax.vmap(running(name), (None, 0, 0))(weights, *many)
    alone = running(name)(weights, *jax.tree.map(lambda g: g[::-1], (GRADS, VALUES)))
    close(jax.tree.map(lambda leaf: leaf[1], both), alone, 1e-3)


def biased(weights, where, value):
    return eqx.tree_at(where, weights, jnp.asarray(value, jnp.float32))


def test_coefficients_of_a_mixture_are_what_the_formula_says():
    run, d = running("soap-mixture"), classical("soap-mixture")["matrix"]
    at = lambda h: run(biased(untrained("soap-mixture"), lambda w: w.head.bias, h), GRADS, VALUES)["matrix"]  # noqa: E731
    np.testing.assert_allclose(at([np.log(2.0), 0.0, 0.0, 0.0]), 2.0 * d, rtol=1e-4, atol=1e-6)
    lengths = np.linalg.norm(d, axis=(1, 2), keepdims=True)
    descent = -0.5 * lengths * GRADS["matrix"] / np.linalg.norm(GRADS["matrix"], axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(at([0.0, 0.0, 0.5, 0.0]) - d, descent, rtol=1e-4, atol=1e-5)
    mean = np.zeros_like(d)
    for k in range(1, STEPS):
        mean[k] = 0.9 * mean[k - 1] + 0.1 * np.asarray(GRADS["matrix"][k - 1])
    sizes = np.linalg.norm(mean, axis=(1, 2), keepdims=True)
    along = -0.5 * lengths * mean / np.where(sizes > 0.0, sizes, 1.0)
    np.testing.assert_allclose(at([0.0, 0.5, 0.0, 0.0]) - d, along, rtol=1e-3, atol=1e-5)
    heavy = np.zeros_like(d)
    for k in range(STEPS):
        heavy[k] = d[k] + 0.5 * heavy[k - 1] * (k > 0)
    np.testing.assert_allclose(at([0.0, 0.0, 0.0, 0.5]), heavy, rtol=1e-4, atol=1e-5)


def test_a_new_task_gets_its_rate_after_twenty_steps():
    weights = biased(untrained("soap-schedule"), lambda w: w.first.bias, [np.log(3.0)])
    found, d = running("soap-schedule")(weights, GRADS, VALUES)["matrix"], classical("soap-schedule")["matrix"]
    np.testing.assert_allclose(found[:19], d[:19], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[19:], 3.0 * d[19:], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", FOLLOWING)
def test_a_rule_that_follows_the_loss_asks_for_it(name):
    transformation = LEARNED[name].build(untrained(name), None)
    grads = {"x": jnp.ones(2)}
    with pytest.raises(TypeError, match="value=loss"):
        transformation.update(grads, transformation.init(grads), grads)


@pytest.mark.parametrize("name", LEARNED)
def test_what_is_shipped_was_no_worse_in_validation(name):
    losses = provenance(name)["losses"]
    assert min(losses) < losses[0]


@pytest.mark.parametrize("name", sampled(LEARNED, ("recurrent",)))
def test_what_is_shipped_takes_masks(name):
    mask = {"a": True, "b": False}
    rule = optax.masked(learned(name, horizon=10), mask)
    params = {"a": jnp.ones((2, 2)), "b": jnp.ones(3)}
    with jax.disable_jit():
        updates, _ = rule.update(params, rule.init(params), params, value=jnp.asarray(1.0))
    np.testing.assert_array_equal(updates["b"], params["b"])
    assert jnp.isfinite(updates["a"]).all()


def test_what_is_no_rule_is_refused():
    with pytest.raises(ValueError, match="soap-mixture"):
        learned("velo")
    with pytest.raises(ValueError, match="horizon is 0"):
        learned("soap-mixture", horizon=0)
    with pytest.raises(WeightsError, match="not of a Mixture"):
        learned("soap-mixture", file=file_of("recurrent"))
    with pytest.raises(ValueError, match="no learned rule"):
        untrained("")
