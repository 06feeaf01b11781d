"""The learned rule's symmetries are tests, not hopes."""

import equinox as eqx
import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from instances import Diagonal, HostQuadratic, Rosenbrock, sampled

from physopt import AbstractModel, AbstractProblem, AbstractRule, Evaluation, History, Stop, minimize, unroll
from physopt.meta.quadratics import Metric, Quadratics, Well, log_cosh
from physopt.rules.learned import Span
from physopt.rules.model_step import ModelStep


def shaken(seed: int = 0, size: float = 0.03) -> Span:
    """Return a Span with weights that are not zero, so that every tangent takes part."""
    rule = Span(key=jax.random.key(seed))
    leaves, structure = jax.tree.flatten(rule.head)
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    head = jax.tree.unflatten(structure, [a + size * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys, strict=True)])
    return eqx.tree_at(lambda r: r.head, rule, head)


@pytest.fixture(scope="module")
def well() -> Well:
    return Quadratics(dim=6, shape=log_cosh).problem(jnp.array([2.0, 1.0, 0.1, 7.0]))


@eqx.filter_jit
def run(problem: AbstractProblem, rule: AbstractRule, point: jax.Array, steps: int) -> History:
    return unroll(problem, rule, point, steps)[1]


def values(problem: AbstractProblem, rule: Span, point: jax.Array) -> np.ndarray:
    history = run(problem, rule, point, 15)
    assert history.value[-1] < 0.5 * history.value[0]
    return np.asarray(history.value)


def test_units_of_the_value_do_not_matter(well):
    point = well.init(jax.random.key(0))
    scaled = Well(well.axes, 1e3 * well.curvatures, well.bottom, well.inverse / 1e3, well.shape)
    np.testing.assert_allclose(values(scaled, shaken(), point) / 1e3, values(well, shaken(), point), rtol=1e-10)


def test_units_of_the_tangent_do_not_matter():
    well = Quadratics(dim=6).problem(jnp.array([2.0, 1.0, 0.1, 7.0]))
    point = well.init(jax.random.key(0))
    stretched = Well(well.axes, well.curvatures, 1e3 * well.bottom, well.inverse, well.shape)
    np.testing.assert_allclose(values(stretched, shaken(), 1e3 * point) / 1e6, values(well, shaken(), point), rtol=1e-10)


def test_rotations_of_the_frame_do_not_matter(well):
    point = well.init(jax.random.key(0))
    turn = jnp.linalg.qr(jax.random.normal(jax.random.key(1), (6, 6)))[0]
    turned = Well(turn @ well.axes, well.curvatures, turn @ well.bottom, turn @ well.inverse @ turn.T, well.shape)
    np.testing.assert_allclose(values(turned, shaken(), turn @ point), values(well, shaken(), point), rtol=1e-10)


class Split(AbstractProblem):
    """The same well with its point and tangents cut into two leaves of different shapes."""

    well: Well
    traceable: bool = eqx.field(default=True, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key):
        return cut(self.well.init(key))

    def evaluate(self, point):
        evaluation = self.well.evaluate(join(point))
        return Evaluation(evaluation.value, cut(evaluation.grad), CutMetric(evaluation.model))

    def retract(self, point, step):
        return jax.tree.map(jnp.add, point, step)


class CutMetric(AbstractModel):
    whole: Metric

    def minimize(self, tilt=None, radius=None):
        return cut(self.whole.minimize(None if tilt is None else join(tilt), radius))


def cut(x):
    return {"a": x[:2], "b": x[2:].reshape(2, 2)}


def join(tree):
    return jnp.concatenate([tree["a"], tree["b"].ravel()])


def test_the_shape_of_the_tangent_does_not_matter(well):
    point = well.init(jax.random.key(0))
    np.testing.assert_allclose(values(Split(well), shaken(), cut(point)), values(well, shaken(), point), rtol=1e-10)


def test_untrained_it_is_the_model_step(well):
    point = well.init(jax.random.key(0))
    spanned, stepped = (run(well, rule, point, 30) for rule in (Span(key=jax.random.key(3)), ModelStep()))
    np.testing.assert_allclose(spanned.value, stepped.value, rtol=1e-12)
    np.testing.assert_array_equal(spanned.accept, stepped.accept)


def test_a_host_problem_runs_without_compiling(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("JAX was asked to compute inside a host run")

    rule, problem = shaken(), HostQuadratic()
    point = problem.init(None)
    monkeypatch.setattr(jax.extend.core.Primitive, "bind", refuse)
    solution = minimize(problem, rule, point, stop=Stop(grad_norm=1e-8, max_evaluations=200))
    monkeypatch.undo()
    assert solution.converged
    assert isinstance(solution.point, np.ndarray)


class TracedQuadratic(HostQuadratic):
    traceable: bool = eqx.field(default=True, static=True)

    def evaluate(self, point):
        curvature = jnp.array([1.0, 4.0, 20.0, 100.0])
        grad = curvature * point
        return Evaluation(0.5 * grad @ point, grad, Diagonal(grad, jnp.array([2.0, 3.0, 30.0, 60.0])))

    def retract(self, point, step):
        return point + step


def test_host_and_traced_steps_agree():
    point = HostQuadratic().init(None)
    hosted = minimize(HostQuadratic(), shaken(), point, stop=Stop(max_evaluations=16)).history
    np.testing.assert_allclose(hosted.value, values(TracedQuadratic(), shaken(), jnp.asarray(point)), rtol=1e-10)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("hosted", [False, True])
def test_a_bad_evaluation_is_declined_and_the_step_shortened(bad, hosted):
    problem = HostQuadratic() if hosted else Rosenbrock()
    rule, point = shaken(), problem.init(None)
    evaluation = problem.evaluate(point)
    first, state = rule.step(evaluation, rule.init(evaluation))
    broken = jax.tree.map(lambda a: a * bad, evaluation)
    move, _ = rule.step(broken, state)
    assert not move.accept
    jax.tree.map(lambda new, old: np.testing.assert_allclose(new, 0.5 * old), move.step, first.step)


@pytest.mark.parametrize("size", sampled([1.0, 30.0, 1e6], 3))
def test_no_weights_make_it_end_worse_than_it_began(size):
    problem = HostQuadratic()
    for seed in range(3):
        history = minimize(problem, shaken(seed, size), problem.init(None), stop=Stop(max_evaluations=60)).history
        accepted = history.value[:-1][history.accept[1:]]
        assert np.isfinite(accepted).all()
        assert (np.diff(accepted) <= 1e-12 * abs(accepted[:-1])).all()
