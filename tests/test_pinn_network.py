"""Networks on any problem: derivatives, rows, units, Gauss-Newton by any rule, and the estimate of their error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from physopt import Stop, minimize, pinn
from physopt.pinn.conditions import At
from physopt.pinn.equations import EQUATIONS
from physopt.pinn.method.levenberg import damped, levenberg
from physopt.pinn.network import jets
from physopt.pinn.sampling import interior, scattered, weighted
from physopt.rules.model_step import ModelStep


def decay(length=1.0, size=1.0):
    """Return u' + u / length = 0, u(0) = size, on three lengths: in other units it is the same problem."""
    start = pinn.Start(lambda u: u - size)
    reference = lambda t, rate: size * np.exp(-rate * t)  # noqa: E731
    return pinn.Problem(None, lambda u, rate: u.t + rate * u, [start], time=(0, 3 * length), reference=reference, rate=1.0 / length)


def error(network, problem, point):
    points = interior(problem, np.random.default_rng(5), 500)
    found = network.jets(point, jnp.asarray(points), ((0,) * points.shape[1],))[:, :, 0]
    exact = problem.exact(points)
    return np.linalg.norm(found - exact) / np.linalg.norm(exact)


def test_derivatives_of_any_order_are_right():
    function = lambda x: jnp.stack([jnp.sin(2.0 * x[0]) * jnp.exp(x[1]), x[0] ** 3 * x[1] ** 2])  # noqa: E731
    x, y = 0.3, 0.7
    found = jax.jit(lambda z: jets(function, z, [(0, 0), (3, 1), (0, 1), (1, 2), (2, 0)]))(jnp.array([x, y]))
    e = np.exp(y)
    first = [np.sin(2 * x) * e, -8 * np.cos(2 * x) * e, np.sin(2 * x) * e, 2 * np.cos(2 * x) * e, -4 * np.sin(2 * x) * e]
    second = [x**3 * y**2, 6 * 2 * y, x**3 * 2 * y, 3 * x**2 * 2, 6 * x * y**2]
    np.testing.assert_allclose(found, [first, second], rtol=1e-13)


def test_rows_are_the_residuals_in_units_of_their_terms():
    network = pinn.Network.of(EQUATIONS["burgers"](nu=0.05), width=5, depth=1, points=40, physics_weight=2.0, boundary_weight=3.0)
    point = network.init(jax.random.key(0))
    one = lambda z: network.jets(point, z[None], ((0, 0),))[0, 0, 0]  # noqa: E731
    inside, start, _ = (batch.points for batch in network.batches)
    value, slope, curvature = jax.jit(jax.vmap(lambda z: (one(z), jax.grad(one)(z), jax.hessian(one)(z))))(inside)
    equation = slope[:, 1] + value * slope[:, 0] - 0.05 * curvature[:, 0, 0]
    begun = network.jets(point, start, ((0, 0),))[:, 0, 0] + jnp.sin(jnp.pi * start[:, 0])
    rows = jax.jit(lambda at: network.residual(at))(point)
    np.testing.assert_allclose(rows[: len(inside)], 2.0 * network.scales.rows[0] * equation / len(inside) ** 0.5, rtol=1e-10, atol=1e-13)
    expected = 3.0 * network.scales.rows[1] * begun / len(start) ** 0.5
    np.testing.assert_allclose(rows[len(inside) : len(inside) + len(start)], expected, rtol=1e-10, atol=1e-13)


def test_the_jacobian_is_the_derivative_of_the_residual():
    system = lambda u, v, k: (u.t - k * v.x * u, v.t + u - v**2)  # noqa: E731
    conditions = [pinn.Start(lambda u, v: (u - 1.0, v)), pinn.Integral(lambda u: u, 2.0)]
    problem = pinn.Problem(pinn.Box("x", x=(-1, 1)), system, conditions, fields="u v", time=(0, 1), unknowns={"k": 0.3})
    network = pinn.Network.of(problem, width=3, depth=1, points=30)
    point = network.init(jax.random.key(1))
    flat, unravel = ravel_pytree(point)
    rows = lambda x: network.residual(unravel(x))  # noqa: E731

    @jax.jit
    def all_at_once(flat):
        point = unravel(flat)
        return network.evaluate(point), network.linearized(point), rows(flat), jax.jacfwd(rows)(flat), jax.grad(network.loss)(point)

    evaluation, (r, columns), expected, slope, grad = all_at_once(flat)
    np.testing.assert_allclose(r, expected, rtol=1e-12)
    np.testing.assert_allclose(columns.T, slope, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ravel_pytree(evaluation.grad)[0], ravel_pytree(grad)[0], rtol=1e-9, atol=1e-12)
    assert abs(columns[-1]).max() > 1e-3  # of the unknown number


def test_units_do_not_matter():
    base = pinn.Network.of(decay(), width=4, depth=1, points=60)
    other = pinn.Network.of(decay(length=2e5, size=3e-7), width=4, depth=1, points=60)
    point = base.init(jax.random.key(0))
    scaled, unscaled = jax.jit(lambda at: (other.residual(at), base.residual(at)))(point)
    np.testing.assert_allclose(scaled, unscaled, rtol=1e-6)
    assert 0.1 < base.scales.fields[0] < 1.0  # the solution falls from 1 to 0.05


def test_any_rule_trains_it():
    problem = decay()
    network = pinn.Network.of(problem, width=6, depth=1, points=60)
    solution = minimize(network, ModelStep(), network.init(jax.random.key(0)), stop=Stop(value=1e-8, max_evaluations=200))
    assert solution.converged
    assert error(network, problem, solution.point) < 1e-3


def test_levenbergs_method_at_fresh_places_finds_solution_and_unknown_numbers():
    t = np.linspace(0.0, 2.0, 9)
    readings = pinn.Data(lambda u: u, np.exp(-0.7 * t), t=t)
    problem = pinn.Problem(None, lambda u, k: u.t + k * u, [readings], time=(0, 2), unknowns={"k": 0.1})
    network = pinn.Network.of(problem, width=6, depth=1)
    steps = levenberg(problem, network, network.init(jax.random.key(0)))
    last = [next(steps) for _ in range(40)][-1]
    assert abs(float(last.point[1][0]) - 0.7) < 1e-4  # the readings have no noise


def test_the_damped_step_solves_the_normal_equations():
    rng = np.random.default_rng(0)
    columns, r = rng.standard_normal((4, 9)), rng.standard_normal(9)
    augmented = np.vstack([columns.T, np.sqrt(0.3) * np.eye(4)])
    expected = np.linalg.lstsq(augmented, -np.concatenate([r, np.zeros(4)]), rcond=None)[0]
    np.testing.assert_allclose(damped(columns, r, 0.3), expected, rtol=1e-10)


def test_random_places_lie_where_they_should():
    rng = np.random.default_rng(0)
    ring = pinn.Ball(1.0, x=0, y=0) - pinn.Ball(0.3, x=0.2, y=0)
    conditions = [pinn.Boundary(lambda u: u), pinn.Start(lambda u: u - 1)]
    problem = pinn.Problem(ring, lambda u: u.t - u.laplacian, conditions, time=(0, 2))
    inside, edge, start = scattered(problem, rng, 400)
    assert ring.inside(inside.points[:, :2]).all() and ring.inside(start.points[:, :2]).all() and not start.points[:, 2].any()
    outer, inner = np.hypot(*edge.points[:, :2].T), np.hypot(edge.points[:, 0] - 0.2, edge.points[:, 1])
    assert np.minimum(abs(outer - 1.0), abs(inner - 0.3)).max() < 1e-12
    assert np.ptp(edge.points[:, 2]) > 1.5 and edge.normals is not None
    cube = EQUATIONS["poisson"](dim=7)
    _, sides = scattered(cube, rng, 3000)
    faces = (sides.points == 0.0) | (sides.points == 1.0)
    assert faces.any(axis=1).all() and (faces.sum(axis=0) > 50).all()
    assert sides.normals is not None
    np.testing.assert_array_equal(np.sign(sides.points - 0.5)[faces], sides.normals[faces])


def test_one_side_of_a_box_gets_points_and_an_empty_choice_is_refused():
    problem = EQUATIONS["poisson"](dim=6)
    where = lambda x1, **_: x1 == 1.0  # noqa: E731
    places = pinn.Boundary(lambda u: u, where).scattered(problem.domain, None, np.random.default_rng(0), 50)
    assert len(places.points) == 50 and (places.points[:, 0] == 1.0).all()
    with pytest.raises(ValueError, match="chooses none"):
        pinn.Boundary(lambda u: u, lambda x1, **_: x1 > 2.0).scattered(problem.domain, None, np.random.default_rng(0), 50)


def test_weighted_points_are_dense_where_the_residual_is_large():
    problem = EQUATIONS["poisson"](dim=2)
    points = weighted(problem, np.random.default_rng(0), 2000, lambda points: 1.0 * (points[:, 0] < 0.1))
    assert np.mean(points[:, 0] < 0.1) == pytest.approx(0.4, abs=0.05)  # four times as many were drawn: all of them
    assert np.isfinite(weighted(problem, np.random.default_rng(0), 50, lambda points: np.full(len(points), np.nan))).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pinn.Network.of(decay(), width=0), "width 0"),
        (lambda: pinn.Network.of(decay(), points=3), "3 points"),
        (
            lambda: pinn.Network.of(pinn.Problem(None, lambda u, t: u.t + jnp.log(t - 1.0), [At(lambda u: u, t=2.0)], time=(0, 3))),
            "not finite",
        ),
    ],
)
def test_senseless_networks_are_refused(make, message):
    with pytest.raises((ValueError, FloatingPointError), match=message):
        make()


def test_float32_is_refused_with_the_line_to_write():
    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
        pinn.Network.of(decay())


@pytest.mark.slow
@pytest.mark.parametrize(("dim", "seed"), [(4, 0), (5, 1), (10, 0)])
def test_many_dimensions_are_solved_to_a_known_error(dim, seed):

    problem = EQUATIONS["poisson"](dim=dim)
    answer = pinn.train(problem, 1e-3, seed=seed).answer
    assert answer.converged and answer.error <= 1e-3
    points = interior(problem, np.random.default_rng(7), 4000)
    exact, plain = problem.exact(points), answer.pieces[0].plain(points, [(0,) * dim])[:, :, 0]
    true = np.linalg.norm(plain - exact) / np.linalg.norm(exact)
    assert true / 3 < answer.error < 3 * true  # the estimate is that of the network alone
    assert answer.true_error() < 1.5 * true  # the answer has the correction
