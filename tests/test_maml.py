"""MAML and Reptile against closed forms on parabolas, and on sinusoids from ten points."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from physopt.core.iterate import unroll
from physopt.core.problem import AbstractFamily
from physopt.meta import MAML, CommonStart, LogArea, Reptile, Tasks, draw, train
from physopt.meta.families import Sinusoids
from physopt.meta.quadratics import Well
from physopt.rules import FromOptax

CURVATURES, RATE, STEPS = np.array([1.0, 0.5, 0.1]), 0.6, 3
SGD = FromOptax(optax.sgd(RATE))
LEFT = (1.0 - RATE * CURVATURES) ** STEPS  # of the distance to the bottom


class Bowls(AbstractFamily):
    """Parabolas of equal curvatures whose bottoms are the tasks; the query is another parabola, whose bottom is moved."""

    moved: float = 0.0
    traceable: bool = eqx.field(default=True, static=True)

    def sample(self, key):
        return jax.random.normal(key, (3,)) + jnp.array([1.0, -2.0, 3.0])

    def problem(self, mu):
        return Well(axes=jnp.eye(3), curvatures=jnp.asarray(CURVATURES), bottom=mu, inverse=jnp.eye(3), shape=lambda z: 0.5 * z * z)

    def query(self, mu):
        return self.problem(mu + self.moved)


def estimated(estimator, family, start, tasks):
    return estimator(LogArea(), CommonStart(start), family, tasks, jax.random.key(0))[0]


@pytest.mark.parametrize("moved", [0.0, 0.7])
def test_directions_are_those_of_the_closed_form(moved):
    start, mus = jnp.array([0.3, 0.2, -0.4]), np.array([[1.0, 0.0, 2.0], [-1.0, 0.5, 0.3]])
    tasks, family = Tasks(jnp.asarray(mus), jax.random.split(jax.random.key(1), 2)), Bowls(moved=moved)
    off = LEFT * (np.asarray(start) - mus) - moved  # of the ends from the queries' bottoms
    value = (0.5 * CURVATURES * off**2).sum(1).mean()
    expected = {
        MAML(SGD, STEPS): LEFT * CURVATURES * off,
        MAML(SGD, STEPS, first_order=True): CURVATURES * off,
        Reptile(SGD, STEPS): (1.0 - LEFT) * (np.asarray(start) - mus),
    }
    for estimator, grads in expected.items():
        found = estimated(estimator, family, start, tasks)
        np.testing.assert_allclose(found.grad.point, grads.mean(0), rtol=1e-10)
        assert float(found.loss) == pytest.approx(value, rel=1e-12) and float(found.cost) == 2 * (STEPS + 1)


@pytest.mark.parametrize("estimator", [MAML(SGD, STEPS), Reptile(SGD, STEPS)])
def test_trainings_find_the_middle_of_the_tasks(estimator):
    start, training = train(
        CommonStart(jnp.zeros(3)), Bowls(), estimator, optax.adam(optax.cosine_decay_schedule(0.3, 150)), num_steps=150,
        key=jax.random.key(2), tasks_per_step=64,
    )  # fmt: skip
    np.testing.assert_allclose(start.point, [1.0, -2.0, 3.0], atol=0.15)
    assert training.loss[-20:].mean() < 0.3 * training.loss[0]


def judged(start, steps=5):
    """Return the mean error of whole curves after some steps from a start, on tasks that no training draws."""
    family, tasks = Sinusoids(hidden=(16,)), draw(Sinusoids(hidden=(16,)), jax.random.key(99), 32)

    def after(mu):
        end = unroll(family.problem(mu), FromOptax(optax.sgd(0.01)), start, steps)[0].best
        return family.query(mu).evaluate(end).value

    return float(jax.jit(jax.vmap(after))(tasks.mus).mean())


def test_a_start_for_sinusoids_is_worth_more_than_a_random_one():
    family, sgd = Sinusoids(hidden=(16,)), FromOptax(optax.sgd(0.01))
    random = family.problem(family.sample(jax.random.key(0))).init(jax.random.key(1))
    trained, _ = train(CommonStart(random), family, MAML(sgd, 5), optax.adam(0.01), num_steps=150, key=jax.random.key(3), tasks_per_step=16)
    assert judged(trained.point) < 0.8 * judged(random)


def test_what_is_no_start_and_what_runs_on_the_host_is_refused():
    tasks = draw(Bowls(), jax.random.key(0), 2)
    with pytest.raises(TypeError, match=r"give CommonStart\(point\)"):
        MAML(SGD, 2)(LogArea(), SGD, Bowls(), tasks, jax.random.key(0))
    with pytest.raises(TypeError, match="run on the host"):
        estimated(Reptile(SGD, 2), Bowls(traceable=False), jnp.zeros(3), tasks)
