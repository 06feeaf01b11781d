"""Rules as Optax transformations: the same steps in every loop."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from instances import ANCHORED_RULES, RULES, Rosenbrock, started
from jax.flatten_util import ravel_pytree

from physopt import AbstractRule, Euclidean, Evaluation, Move, Stop, minimize
from physopt.core.gauss_newton import GaussNewton
from physopt.core.tree import tree_scale
from physopt.rules import GradientDescent, Guard, ModelStep, Span, as_optax, soap
from physopt.rules.from_optax import FromOptax
from physopt.rules.lbfgs import LBFGS

PROBLEM, START = started(Rosenbrock())


class Fit(Rosenbrock):
    """A sum of squares with its model of Gauss and Newton, computed in another way than by `as_optax`."""

    def evaluate(self, point):
        flat, unravel = ravel_pytree(point)
        r, slope = residuals(point), jax.jacfwd(lambda theta: residuals(unravel(theta)))(flat)
        grad = unravel(slope.T @ r)
        return Evaluation(0.5 * r @ r, grad, GaussNewton(grad, slope.T @ slope, 0.01 * jnp.sqrt(r @ r)))


def residuals(params):
    z = jnp.concatenate([params["x"], params["y"]])
    return jnp.concatenate([3.0 * (z[1:] - z[:-1] ** 2), 1.0 - z])


GAUSS_NEWTON = [
    Guard(ModelStep(), GradientDescent()),
    *(pytest.param(rule, marks=pytest.mark.slow) for rule in (ModelStep(), LBFGS(), Span(key=jax.random.key(0)))),
]


def some(every):
    """Parametrize by all rules, of which the others than some are slow: each is a compilation or two."""
    marks = [[pytest.mark.slow] * (name not in every.split()) for name, _ in RULES]
    return pytest.mark.parametrize("rule", [pytest.param(rule, id=name, marks=m) for (name, rule), m in zip(RULES, marks, strict=True)])


def loss(params):
    return PROBLEM.evaluate(params).value


def train(transformation, params, steps, loss=loss, **extra):
    """Run a plain loop, as Optax's documentation writes it, and return the losses with the last parameters and state."""

    def step(carry, _):
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = transformation.update(grads, state, params, value=value, **extra)
        return (optax.apply_updates(params, updates), state), value

    (params, state), values = jax.jit(lambda p: jax.lax.scan(step, (p, transformation.init(p)), length=steps))(params)
    return values, params, state


@some("lbfgs")
def test_a_loop_of_optax_takes_the_steps_of_the_driver(rule):
    alone = minimize(PROBLEM, rule, START, stop=Stop(max_evaluations=15)).history
    values, _, state = train(as_optax(rule), START, 15)
    np.testing.assert_allclose(values, alone.value, rtol=1e-8)
    np.testing.assert_allclose(loss(optax.tree.get(state, "best")), values.min(), rtol=1e-12)


@some("guarded-lbfgs")
def test_as_optax_and_from_optax_are_inverse(rule):
    alone = minimize(PROBLEM, rule, START, stop=Stop(max_evaluations=15)).history
    there_and_back = minimize(PROBLEM, FromOptax(as_optax(rule)), START, stop=Stop(max_evaluations=15)).history
    np.testing.assert_allclose(there_and_back.value, alone.value, rtol=1e-8)


@pytest.mark.parametrize(
    "base", [optax.adam(3e-3), optax.sgd(1e-3, 0.9), optax.rmsprop(1e-3), pytest.param(soap(3e-3), marks=pytest.mark.slow)]
)
def test_from_optax_and_as_optax_are_inverse(base):
    plain, _, _ = train(optax.with_extra_args_support(base), START, 15)
    back, _, _ = train(as_optax(FromOptax(base)), START, 15)
    np.testing.assert_allclose(back, plain, rtol=1e-10)


@pytest.mark.parametrize("rule", GAUSS_NEWTON)
def test_gauss_newton_takes_residuals(rule):
    def step(carry, _):
        params, state = carry
        r, slopes = residuals(params), jax.jacobian(residuals)(params)
        value, grads = jax.value_and_grad(lambda p: jnp.mean(residuals(p) ** 2))(params)
        updates, state = transformation.update(grads, state, params, value=value, residuals=r, jacobian=slopes)
        return (optax.apply_updates(params, updates), state), value

    alone = minimize(Fit(), rule, START, stop=Stop(max_evaluations=8)).history.value
    transformation = as_optax(rule, damping=0.01)
    values, _, _ = train(transformation, START, 8, lambda p: 0.5 * jnp.sum(residuals(p) ** 2), residuals=residuals)
    np.testing.assert_allclose(values, alone, rtol=1e-8)
    # The mean of squares is another multiple of the same sum, and a jacobian of one's own the same model.
    _, means = jax.jit(lambda p: jax.lax.scan(step, (p, transformation.init(p)), length=8))(START)
    if not isinstance(rule, LBFGS):  # whose first step is bounded in the loss' own unit
        np.testing.assert_allclose(means, alone * 2.0 / 7, rtol=1e-8)


def test_a_rejected_trial_is_left_for_a_shorter_step_from_the_base():
    rule = GradientDescent(first_step=100.0)
    transformation, params = as_optax(rule), jnp.asarray([1.0, -2.0])
    state, trials = transformation.init(params), []
    for _ in range(4):
        updates, state = transformation.update(2.0 * params, state, params, value=jnp.sum(params**2))
        params = params + updates
        trials.append(np.linalg.norm(params - jnp.asarray([1.0, -2.0])))
    np.testing.assert_allclose(trials, [100.0, 50.0, 25.0, 12.5])
    np.testing.assert_array_equal(state.best, [1.0, -2.0])


@pytest.mark.parametrize(
    "rule",
    [
        LBFGS(memory=4),
        *(pytest.param(rule, marks=pytest.mark.slow) for rule in (Guard(LBFGS(memory=3), GradientDescent()), FromOptax(optax.adam(0.1)))),
    ],
)
@pytest.mark.parametrize("bad", [np.nan, pytest.param(np.inf, marks=pytest.mark.slow)])
def test_a_broken_loss_is_survived_inside_and_out(rule, bad):
    def broken(p):
        return jnp.where(jnp.abs(p).max() > 1.9, bad, jnp.sum((p - 1.0) ** 2))

    class Walled(Rosenbrock):
        def evaluate(self, point):
            value, grad = jax.value_and_grad(broken)(point)
            return Evaluation(value, grad, Euclidean(grad))

    begin = jnp.asarray([-1.8, 1.8])
    values, _, _ = train(as_optax(rule), begin, 60, broken)
    assert np.nanmin(values) < 1e-2
    solution = minimize(Walled(), FromOptax(as_optax(rule)), begin, stop=Stop(max_evaluations=60))
    assert np.nanmin(solution.history.value) < 1e-2


@some("lbfgs")
def test_in_a_chain_under_vmap(rule):
    chained = optax.chain(optax.clip_by_global_norm(0.5), optax.add_decayed_weights(1e-3), as_optax(rule), optax.scale(0.9))
    starts = jax.tree.map(lambda leaf: leaf + 0.1 * jnp.arange(3.0)[:, None], START)
    best = jax.jit(lambda p: train(chained, p, 40)[2][2].best_value)
    values = jax.vmap(best)(starts)
    alone = [best(jax.tree.map(lambda leaf, k=k: leaf[k], starts)) for k in range(3)]
    np.testing.assert_allclose(values, alone, rtol=1e-6)
    assert (values < jax.vmap(loss)(starts)).all()


MIXED = {"w": jnp.ones((3, 2), jnp.float32), "b": [jnp.zeros(2), None, jnp.asarray(1.5, jnp.bfloat16)], "frozen": jnp.ones(4)}


def mixed_loss(p):
    hidden = p["w"] @ p["b"][0] - p["b"][2].astype(float)
    return jnp.sum((hidden * p["frozen"][:3] - jnp.arange(3.0)) ** 2) + jnp.sum((p["w"] - 2.0) ** 2)


@some("span")
def test_parameters_may_be_nested_mixed_and_partly_frozen(rule):
    mask = {"w": True, "b": [True, None, True], "frozen": False}
    frozen = optax.chain(optax.masked(as_optax(rule), mask), optax.masked(optax.set_to_zero(), {"w": False, "b": False, "frozen": True}))
    values, params, _ = train(frozen, MIXED, 20, mixed_loss)
    assert np.min(values) < values[0]
    assert [leaf.dtype for leaf in jax.tree.leaves(params)] == [leaf.dtype for leaf in jax.tree.leaves(MIXED)]
    np.testing.assert_array_equal(params["frozen"], MIXED["frozen"])


class Network(eqx.Module):
    """Layers of which the first is not trained, and something that is no array."""

    first: eqx.nn.Linear
    last: eqx.nn.Linear
    activation: object = eqx.field(default=jnp.tanh)

    def __call__(self, x):
        return self.last(self.activation(self.first(x)))


@some("adam")
def test_an_equinox_loop(rule):
    one, two = jax.random.split(jax.random.key(0))
    model = Network(eqx.nn.Linear(1, 8, key=one), eqx.nn.Linear(8, 1, key=two))
    both = lambda m: (m.last.weight, m.last.bias)  # noqa: E731
    trained, fixed = eqx.partition(model, eqx.tree_at(both, jax.tree.map(lambda _: False, model), (True, True)))
    x = jnp.linspace(-1.0, 1.0, 20)[:, None]
    transformation = as_optax(rule)

    @eqx.filter_jit
    def step(trained, state):
        value, grads = eqx.filter_value_and_grad(lambda t: jnp.mean((jax.vmap(eqx.combine(t, fixed))(x) - jnp.sin(2.0 * x)) ** 2))(trained)
        updates, state = transformation.update(grads, state, trained, value=value)
        return eqx.apply_updates(trained, updates), state, value

    state, values = transformation.init(trained), []
    for _ in range(12):
        trained, state, value = step(trained, state)
        values.append(float(value))
    assert min(values) < values[0]


def test_flax_trains_by_its_own_state():
    train_state = pytest.importorskip("flax.training.train_state", reason="Flax is not installed")
    linen = pytest.importorskip("flax.linen", reason="Flax is not installed")
    network = linen.Sequential([linen.Dense(8), jnp.tanh, linen.Dense(1)])
    x = jnp.linspace(-1.0, 1.0, 20)[:, None]

    class TrainState(train_state.TrainState):
        def apply_gradients(self, *, grads, value):
            updates, opt_state = self.tx.update(grads, self.opt_state, self.params, value=value)
            return self.replace(step=self.step + 1, params=optax.apply_updates(self.params, updates), opt_state=opt_state)

    @jax.jit
    def step(state):
        value, grads = jax.value_and_grad(lambda p: jnp.mean((state.apply_fn(p, x) - jnp.sin(2.0 * x)) ** 2))(state.params)
        return state.apply_gradients(grads=grads, value=value), value

    state = TrainState.create(apply_fn=network.apply, params=network.init(jax.random.key(0), x), tx=as_optax(LBFGS()))
    values = []
    for _ in range(60):
        state, value = step(state)
        values.append(float(value))
    assert min(values) < 0.05 * values[0]


class Named(AbstractRule):
    """A rule that keeps a word in its state."""

    def init(self, evaluation):
        return {"name": "descent"}

    def step(self, evaluation, state):
        return Move(tree_scale(-0.1, evaluation.grad), True), state


@pytest.mark.parametrize("rule", [rule for _, rule in ANCHORED_RULES[:1]] + [Named()])
def test_rules_that_cannot_be_traced_are_refused_at_once(rule):
    with pytest.raises(TypeError, match=r"anchors|arrays only"):
        as_optax(rule).init(START)


def test_what_is_missing_is_named():
    transformation = as_optax(LBFGS())
    state, grads = transformation.init(START), jax.grad(loss)(START)
    with pytest.raises(TypeError, match="value=loss"):
        transformation.update(grads, state, START)
    with pytest.raises(ValueError, match=r"loss\.mean"):
        transformation.update(grads, state, START, value=jnp.ones(3))
    with pytest.raises(TypeError, match="residuals=function"):
        as_optax(LBFGS(), damping=1e-3).update(grads, state, START, value=1.0)
    with pytest.raises(TypeError, match="no parameters"):
        transformation.init({})
    with pytest.raises(TypeError, match="is_inexact_array"):
        transformation.init({"n": jnp.arange(3)})
    with pytest.raises(TypeError, match="no array"):
        transformation.init(eqx.nn.MLP(1, 1, 2, 1, key=jax.random.key(0)))
    with pytest.raises(ValueError, match="like the parameters"):
        transformation.update({"x": grads["x"]}, state, START, value=1.0)
    with pytest.raises(ValueError, match="at least 0"):
        as_optax(LBFGS(), damping=-1.0)
    by_function, _ = transformation.update(grads, state, START, value_fn=loss)
    by_value, _ = transformation.update(grads, state, START, value=loss(START))
    assert eqx.tree_equal(by_function, by_value)
