"""Physics-informed networks: the equation, the Gauss-Newton model, and the accuracy reached."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bad_rules import Uphill
from instances import sampled
from jax.flatten_util import ravel_pytree

from physopt import Recording, Stop, minimize, unroll
from physopt.cli import main
from physopt.core.gauss_newton import GaussNewton
from physopt.pinn import Network, NetworkFamily, Poisson, Problem, Start, scatter, single_mode
from physopt.rules.guard import Guard
from physopt.rules.model_step import ModelStep


def tiny(modes=1):
    return Poisson(single_mode(modes), scatter(jax.random.key(1), 60), width=4, depth=1)


def test_the_source_is_minus_the_laplacian_of_the_exact_solution():
    problem = eqx.tree_at(lambda p: p.amplitude, tiny(), jax.random.normal(jax.random.key(0), (3, 2)))
    x = scatter(jax.random.key(2), 5)
    laplacian = jax.jit(jax.vmap(lambda z: jnp.trace(jax.hessian(problem.exact)(z))))(x)
    np.testing.assert_allclose(jax.jit(jax.vmap(problem.source))(x), -laplacian, rtol=1e-12)


def test_the_edge_is_held_exactly():
    problem = tiny()
    point = problem.init(jax.random.key(3))
    for x in ([0.0, 0.3], [1.0, 0.7], [0.2, 0.0], [0.9, 1.0]):
        assert problem.solution(point, jnp.array(x)) == 0.0


def test_the_value_is_half_the_mean_squared_residual():
    problem = tiny()
    point = problem.init(jax.random.key(0))

    def value(point):
        def residual(x):
            return jnp.trace(jax.hessian(lambda z: problem.solution(point, z))(x)) + problem.source(x)

        return 0.5 * jnp.mean(jax.vmap(residual)(problem.collocation) ** 2)

    expected, grad = jax.jit(jax.value_and_grad(value))(point)
    evaluation = jax.jit(lambda p: problem.evaluate(p))(point)
    np.testing.assert_allclose(evaluation.value, expected, rtol=1e-12)
    np.testing.assert_allclose(ravel_pytree(evaluation.grad)[0], ravel_pytree(grad)[0], rtol=1e-9, atol=1e-12)


def test_gauss_newton_solves_a_linear_least_squares_problem():
    matrix, right = jax.random.normal(jax.random.key(0), (9, 4)), jax.random.normal(jax.random.key(1), (9,))
    model = GaussNewton(-matrix.T @ right, matrix.T @ matrix, jnp.asarray(0.0))
    np.testing.assert_allclose(model.minimize(), jnp.linalg.lstsq(matrix, right)[0], rtol=1e-9)


def test_gauss_newton_survives_a_singular_gram_matrix():
    model = GaussNewton(jnp.array([1.0, 1.0, 0.0]), jnp.ones((3, 3)), jnp.asarray(0.0))
    step = model.minimize(None, 0.5)
    assert np.isfinite(step).all() and jnp.linalg.norm(step) <= 0.5 * (1.0 + 1e-12)


def test_poisson_reaches_five_digits():
    problem = Poisson(single_mode(1), scatter(jax.random.key(0), 200))
    measure = eqx.filter_jit(problem.error)
    point = problem.init(jax.random.key(1))
    stop = Stop(max_evaluations=150)
    solution = minimize(problem, ModelStep(), point, stop=stop, callback=lambda p: bool(measure(p.carry.trial) <= 1e-5))
    assert solution.reason == "callback"
    assert measure(solution.point) <= 1e-5


def test_the_scan_makes_the_same_steps_as_the_host_loop():
    problem = tiny()
    point = problem.init(jax.random.key(0))
    _, scanned = eqx.filter_jit(lambda p: unroll(problem, ModelStep(), p, 6))(point)
    looped = minimize(problem, ModelStep(), point, stop=Stop(max_evaluations=7))
    np.testing.assert_allclose(scanned.value, looped.history.value, rtol=1e-8)


def test_a_family_draws_parameters_and_is_differentiable_in_them():
    start = Start(lambda u: u - 1.0)
    decay = Problem(None, lambda u, rate, push: u.t + rate * u - push, [start], time=(0, 1), rate=1.0, push=0.0)
    low, high = jnp.array([0.01, -1.0]), jnp.array([1.0, 1.0])
    family = NetworkFamily(Network.of(decay, width=3, depth=1, points=20), low, high)
    keys = jax.random.split(jax.random.key(0), 400)
    drawn = jax.jit(jax.vmap(family.sample))(keys)
    assert (drawn >= low).all() and (drawn <= high).all()
    np.testing.assert_array_equal(drawn[0], family.sample(keys[0]))
    assert abs(jnp.median(drawn[:, 0]) - 0.1) < 0.03 and abs(jnp.median(drawn[:, 1])) < 0.15  # of 0.01 to 1 the middle is 0.1
    point, mu = family.template.init(jax.random.key(1)), drawn[0]
    value = jax.jit(lambda mu: family.problem(mu).loss(point))
    slope = jax.grad(value)(mu)
    np.testing.assert_allclose(slope, [(value(mu + step) - value(mu - step)) / 2e-5 for step in 1e-5 * jnp.eye(2)], rtol=1e-6)
    with pytest.raises(ValueError, match="2 parameters"):
        NetworkFamily(family.template, high, low)


@pytest.mark.parametrize("length", sampled([1e-2, np.nan], 2))
def test_a_guarded_bad_rule_costs_three_evaluations(length):
    problem, stop = tiny(), Stop(value=1e-2, max_evaluations=150)
    point = problem.init(jax.random.key(0))
    alone = minimize(problem, ModelStep(), point, stop=stop)
    guarded = minimize(problem, Guard(Uphill(length), ModelStep()), point, stop=stop)
    assert alone.converged and guarded.converged
    assert guarded.num_evaluations <= alone.num_evaluations + 3


def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    problem, stop = tiny(), Stop(max_evaluations=10)
    point = problem.init(jax.random.key(0))

    def die(progress):
        if progress.index == 4:
            raise InterruptedError

    whole = minimize(problem, ModelStep(), point, stop=stop)
    with pytest.raises(InterruptedError):
        minimize(problem, ModelStep(), point, stop=stop, record=tmp_path / "run", callback=die)
    resumed = minimize(problem, ModelStep(), point, stop=stop, record=Recording(tmp_path / "run", resume=True))
    np.testing.assert_array_equal(resumed.history.value, whole.history.value)
    np.testing.assert_array_equal(ravel_pytree(resumed.point)[0], ravel_pytree(whole.point)[0])


def test_float32_is_refused_with_the_line_to_write():
    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
        tiny()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: single_mode(0), "frequency"),
        (lambda: scatter(jax.random.key(0), 0), "collocation"),
        (lambda: Poisson(single_mode(1), scatter(jax.random.key(0), 5), width=0), "width"),
    ],
)
def test_senseless_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_command_line(tmp_path, capsys):
    picture, report = tmp_path / "u.png", tmp_path / "u.json"
    arguments = ["pinn", "network", "--width", "6", "--depth", "1", "--points", "40"]
    assert main([*arguments, "--target", "0.05", "--plot", str(picture), "--json", str(report), "--record", str(tmp_path / "run")]) == 0
    (result,) = json.loads(report.read_text())["records"]
    assert result["reached"] and f"{result['relative_error']:.3e}" in capsys.readouterr().out
    assert picture.stat().st_size > 5000
    assert main([*arguments, "--target", "1e-12", "--steps", "2"]) == 3
    assert main([*arguments, "--frequency", "0"]) == 2
    assert main([*arguments, "--resume"]) == 2
