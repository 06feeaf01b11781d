"""What every problem and every model owes to every rule."""

import equinox as eqx
import jax
import numpy as np
import pytest
from instances import PROBLEMS

from physopt import Evaluation
from physopt.core.tree import tree_dot, tree_norm, tree_scale


@eqx.filter_jit
def compiled(problem, point):
    return problem.evaluate(point)


def evaluated(problem, point):
    return (compiled if problem.traceable else type(problem).evaluate)(problem, point)


@pytest.fixture(params=PROBLEMS, ids=[p.name for p in PROBLEMS], scope="module")
def case(request):
    problem, point = request.param.make()
    return problem, point, evaluated(problem, point), request.param.difference


def random_like(tangent, seed=0):
    rng = np.random.default_rng(seed)
    leaves, structure = jax.tree.flatten(tangent)
    return jax.tree.unflatten(structure, [rng.normal(size=np.shape(leaf)) for leaf in leaves])


def test_gradient_is_the_derivative_along_the_retraction(case):
    problem, point, evaluation, h = case
    for seed in range(3):
        direction = random_like(evaluation.grad, seed)
        direction = tree_scale(1.0 / tree_norm(direction), direction)

        def along(t, direction=direction):
            return float(evaluated(problem, problem.retract(point, tree_scale(t, direction))).value)

        # Fourth-order central difference.
        slope = (8.0 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12.0 * h)
        assert slope == pytest.approx(float(tree_dot(evaluation.grad, direction)), rel=2e-6, abs=2e-6 * float(tree_norm(evaluation.grad)))


def test_no_step_is_no_move(case):
    problem, point, evaluation, _ = case
    stayed = problem.retract(point, tree_scale(0.0, evaluation.grad))
    for a, b in zip(jax.tree.leaves(stayed), jax.tree.leaves(point), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_the_oracle_repeats_itself(case):
    problem, point, evaluation, _ = case
    again = evaluated(problem, point)
    assert isinstance(again, Evaluation)
    np.testing.assert_allclose(again.value, evaluation.value, rtol=1e-12)
    for a, b in zip(jax.tree.leaves(again.grad), jax.tree.leaves(evaluation.grad), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_a_model_without_force_proposes_no_move(case):
    _, _, evaluation, _ = case
    step = evaluation.model.minimize(tree_scale(-1.0, evaluation.grad))
    assert float(tree_norm(step)) <= 1e-10 * max(1.0, float(tree_norm(evaluation.grad)))


def test_a_model_descends(case):
    _, _, evaluation, _ = case
    assert float(tree_dot(evaluation.grad, evaluation.model.minimize())) < 0.0


@pytest.mark.parametrize("radius", [1e-3, 1e-1])
def test_a_model_keeps_to_the_radius(case, radius):
    _, _, evaluation, _ = case
    step = evaluation.model.minimize(None, radius)
    assert float(tree_norm(step)) <= radius * (1.0 + 1e-9)
    assert float(tree_dot(evaluation.grad, step)) < 0.0
