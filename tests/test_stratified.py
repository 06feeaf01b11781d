"""Meta-training on trainings of several networks: the problems, the estimator over a union, the loss and its validation."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physopt import AbstractFamily, meta
from physopt.core.iterate import History
from physopt.meta.estimators import AbstractEstimator, Estimate
from physopt.meta.families import Trainings
from physopt.meta.families.networks import logistic
from physopt.rules import GradientDescent, Span

FAMILY = meta.Union((meta.Quadratics(dim=3), meta.Quadratics(dim=4)))


def history(values):
    nothing = jnp.zeros(len(values))
    return History(jnp.asarray(values), nothing, nothing, nothing == 0.0, nothing, nothing)


def test_the_fall_of_a_value():
    loss = meta.Fall(begin=0.5, width=1)
    falls = np.array([0.0, 1.0, 2.0, 3.0])
    assert float(loss(history(5.0 * np.exp(-falls)))) == pytest.approx(-np.log(3.0 * 4.0) / 2.0)
    assert float(loss(history([1.0, 1.0, 1.0, np.e]))) == pytest.approx(0.5)
    assert float(loss(history([1.0, 1.0, 0.1, np.nan]))) == pytest.approx((2.0 - np.log1p(np.log(10.0))) / 2.0)
    assert float(loss(history([np.nan, 1.0, 0.1, 0.1]))) == 2.0
    smooth = meta.Fall(begin=0.0, width=2)  # means 2, 3, 1
    assert float(smooth(history([1.0, 3.0, 3.0, -0.0 + 1e-9, 2.0]))) < float(smooth(history([1.0, 3.0, 3.0, 3.0, 3.0])))


class Line(AbstractFamily):
    """Task vectors between `low` and `low` + 1."""

    low: float
    traceable: bool = eqx.field(default=True, static=True)

    def sample(self, key):
        return self.low + jax.random.uniform(key, (1,))

    def problem(self, mu):
        return meta.Quadratics(dim=3).problem(jnp.concatenate([mu, jnp.ones(3)]))


class Told(AbstractEstimator):
    """Answers with what it is asked about, and counts its calls."""

    num_steps: int = 1

    def init(self, rule, family, num_tasks):
        return 10 * num_tasks

    def __call__(self, meta_loss, rule, family, tasks, key, state=None):
        found = {"w": tasks.mus.mean() * rule["w"]}
        return Estimate(tasks.mus.mean(), found, found, jnp.asarray(float(len(tasks.keys)))), state + 1


def test_the_mean_over_members_is_that_of_each_alone():
    family, tasks = meta.Union((Line(0.0), Line(5.0))), meta.draw(meta.Union((Line(0.0), Line(5.0))), jax.random.key(1), 6)
    found, states = meta.Stratified(Told())(meta.Fall(), {"w": jnp.ones(2)}, family, tasks, jax.random.key(2))
    low, high = (np.asarray(own.mus) for own in family.shares(tasks))
    assert low.max() < 1.0 and high.min() > 5.0 and len(set(low.ravel())) == len(set(high.ravel())) == 3
    assert float(found.loss) == pytest.approx((low.mean() + high.mean()) / 2.0) and float(found.cost) == 6.0
    np.testing.assert_allclose(found.grad["w"], (low.mean() + high.mean()) / 2.0)
    np.testing.assert_allclose(found.grad_std_error["w"], np.hypot(low.mean(), high.mean()) / 2.0)
    assert states == [31, 31]


@pytest.mark.slow
def test_the_mean_loss_of_a_union_is_that_of_its_estimates():
    rule, loss, tasks = Span(key=jax.random.key(0)), meta.LogArea(), meta.draw(FAMILY, jax.random.key(1), 4)
    found, _ = jax.jit(lambda: meta.Stratified(meta.Backprop(5))(loss, rule, FAMILY, tasks, jax.random.key(2)))()
    assert float(meta.mean_loss(loss, rule, FAMILY, 5, tasks)) == pytest.approx(float(found.loss))


def test_a_union_names_what_does_not_go():
    with pytest.raises(ValueError, match="cannot share 3 tasks"):
        FAMILY.shares(meta.draw(FAMILY, jax.random.key(0), 3))
    with pytest.raises(TypeError, match="Stratified"):
        jax.eval_shape(FAMILY.problem, jnp.zeros(5))
    with pytest.raises(TypeError, match="leave Stratified out"):
        meta.Stratified(meta.Antithetic(2)).init(GradientDescent(), meta.Quadratics(), 4)
    with pytest.raises(ValueError, match="same length"):
        meta.Union((meta.Quadratics(), Trainings(logistic("one", 3, 1.0))))
    one = meta.Union((Line(0.5), Line(2.5)))
    mu = one.sample(jax.random.key(0))
    assert one.problem(mu).curvatures[-1] == pytest.approx(10.0 ** -float(mu[1])) and int(mu[0]) == (mu[1] > 2.0)


def test_a_training_takes_other_rows_at_each_point_and_the_same_at_the_same():
    template = logistic("one", 3, 1.0)
    problem = Trainings(template, batch=16).problem(jnp.asarray([7.0]))
    start = problem.init(jax.random.key(0))
    again = problem.retract(start, jax.tree.map(jnp.zeros_like, start[0]))
    value = jax.jit(lambda point: problem.evaluate(point).value)
    values = [float(value(point)) for point in (start, start, again)]
    assert values[0] == values[1] != values[2]
    params, count = problem.retract(start, jax.tree.map(jnp.ones_like, start[0]))
    assert int(count) == 1
    np.testing.assert_array_equal(params[0]["bias"], start[0][0]["bias"] + 1.0)
    means = jax.jit(jax.vmap(lambda k: problem.evaluate((params, k)).value))(jnp.arange(200))
    error = np.std(means) / np.sqrt(len(means))
    assert abs(np.mean(means) - float(template.loss(params, problem.rows))) < 4.0 * error


def test_validation_keeps_the_best_and_stops():
    losses = {0.0: 5.0, 1.0: 4.0, 2.0: 6.0, 3.0: 4.5, 4.0: 3.0}
    validation = meta.Validation(lambda rule: losses[rule], 0.0, every=2, patience=2)
    stops = [validation(meta.TrainingProgress(k, rule, 0.0, 0.0, 0.0)) for k, rule in enumerate([9.0, 1.0, 9.0, 2.0, 9.0, 3.0])]
    assert stops == [False] * 5 + [True]
    assert validation.best == 1.0 and validation.losses == [5.0, 4.0, 6.0, 4.5]
