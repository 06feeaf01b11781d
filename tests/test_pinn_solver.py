"""The solver of differential equations: whether its estimates and its verdicts are true."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from instances import sampled

from physopt.pinn import Ball, Boundary, Box, Data, Integral, Problem, Start, solve

PI = np.pi


DOMAINS = {
    "box": (Box(x=(0, 2), y=(-1, 1)), 4.0, 8.0),
    "annulus": (Ball(1.0, x=0, y=0) - Ball(0.4, x=0.2, y=0), PI * (1 - 0.16), 2 * PI * 1.4),
    "ell": (Box(x=(0, 2), y=(0, 1)) | Box(x=(0, 1), y=(1, 2)), 3.0, 8.0),
    "half disk": (Ball(1.0, x=0, y=0) & Box(x=(-1, 1), y=(0, 1)), PI / 2, 2 + PI),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_the_edge_bounds_the_domain(name):
    domain, area, _ = DOMAINS[name]
    axes = [np.linspace(low, high, 40) for low, high in zip(domain.low, domain.high, strict=True)]
    edge = domain.edge(axes)
    assert len(edge.points) > 40
    np.testing.assert_allclose(np.linalg.norm(edge.normals, axis=1), 1.0)
    assert domain.inside(edge.points - 1e-6 * edge.normals).all() and not domain.inside(edge.points + 1e-6 * edge.normals).any()
    cloud = np.random.default_rng(0).uniform(domain.low, domain.high, (40_000, 2))
    assert domain.inside(cloud).mean() * np.prod(domain.high - domain.low) == pytest.approx(area, rel=0.03)


def oscillator(t):
    return np.cos(np.sqrt(2) * t)


def layer(x):
    return x - (np.exp((x - 1) / 1e-2) - np.exp(-1e2)) / (1 - np.exp(-1e2))


def standing(x, t):
    return np.sin(PI * x) * np.cos(2 * PI * t) + 0.5 * np.sin(4 * PI * x) * np.cos(8 * PI * t)


SOLVED = {
    "oscillator": (
        Problem(None, lambda u: 0.5 * u.tt + u, [Start(lambda u: u - 1), Start(lambda u: u.t)], time=(0, 20), reference=oscillator),
        1e-6,
    ),
    "layer": (Problem(Box(x=(0, 1)), lambda u: -1e-2 * u.xx + u.x - 1, [Boundary(lambda u: u)], reference=layer), 1e-6),
    "wave": (
        Problem(
            Box(x=(0, 1)),
            lambda u: u.tt - 4 * u.xx,
            [Start(lambda u, x: u - jnp.sin(PI * x) - 0.5 * jnp.sin(4 * PI * x)), Start(lambda u: u.t), Boundary(lambda u: u)],
            time=(0, 0.3),
            reference=standing,
        ),
        1e-5,
    ),
    "hole": (
        Problem(
            DOMAINS["annulus"][0],
            lambda u: u.laplacian,
            [Boundary(lambda u, x, y: u - jnp.exp(3 * x) * jnp.cos(3 * y))],
            reference=lambda x, y: np.exp(3 * x) * np.cos(3 * y),
        ),
        1e-6,
    ),
    "robin": (
        Problem(
            Box(x=(0, 1), y=(0, 1)),
            lambda u: u.laplacian - u,
            [Boundary(lambda u, x, y, n_x, n_y: u.normal + u - (1 + n_x) * jnp.exp(x))],
            reference=lambda x, y: np.exp(x),
        ),
        1e-8,
    ),
    "logistic": (
        Problem(
            None,
            lambda u: u.t - 5 * u * (1 - u),
            [Start(lambda u: u - 0.01)],
            time=(0, 3),
            reference=lambda t: 1 / (1 + 99 * np.exp(-5 * t)),
        ),
        1e-7,
    ),
    "pair": (
        Problem(
            None,
            lambda u, v: (u.t - v, v.t + 1e6 * u),  # fields of unlike units
            [Start(lambda u, v: (u, v - 1e3))],
            fields="u v",
            time=(0, 0.01),
            reference=lambda t: (np.sin(1e3 * t), 1e3 * np.cos(1e3 * t)),
        ),
        1e-6,
    ),
}


@pytest.fixture(scope="module")
def answers():
    return functools.cache(lambda name: solve(*SOLVED[name]))


def uncorrected_error(answer):
    """Return the error of the fields before the correction, on points of our own."""
    errors, sizes = 0.0, 0.0
    for piece in answer.pieces:
        ends = np.stack([piece.space.low, piece.space.high])
        points = np.random.default_rng(0).uniform(*ends, (4000, ends.shape[1]))
        points = points[answer.problem.domain.inside(points[:, : len(answer.problem.domain.names)])]
        share = 1.0 if piece.window is None else piece.window[1] - piece.window[0]
        exact = answer.problem.exact(points)
        errors = errors + share * np.mean((piece.plain(points, [(0,) * points.shape[1]])[:, :, 0] - exact) ** 2, axis=0)
        sizes = sizes + share * np.mean(exact**2, axis=0)
    return float(np.sqrt(np.max(errors / sizes)))


@pytest.mark.parametrize("name", sampled(SOLVED, SOLVED.keys() - {"oscillator", "logistic"}))
def test_what_is_called_converged_is_as_accurate_as_was_asked_for(answers, name):
    answer, tol = answers(name), SOLVED[name][1]
    assert answer.converged, answer.why
    assert answer.error <= tol and answer.true_error() <= tol


@pytest.mark.parametrize("name", sampled(SOLVED, SOLVED.keys() - {"oscillator", "logistic"}))
def test_the_estimated_error_is_the_error(answers, name):
    answer = answers(name)
    true = uncorrected_error(answer)
    assert true < 1e-11 or answer.error / 5 < true < 5 * answer.error


@pytest.mark.slow
def test_an_eigenvalue_is_found_and_the_zero_function_is_not_taken_for_a_state():
    def equation(u, e):
        return -0.5 * u.xx - e * u

    found = [
        solve(Problem(Box(x=(0, 1)), equation, [Boundary(lambda u: u), Integral(lambda u: u**2, 1.0)], unknowns={"e": e}), 1e-8)
        for e in (4.0, 20.0, 44.0)
    ]
    np.testing.assert_allclose([answer.unknowns["e"] for answer in found], [k**2 * PI**2 / 2 for k in (1, 2, 3)], rtol=1e-8)
    assert all(answer.converged for answer in found)
    trivial = solve(Problem(Box(x=(0, 1)), lambda u: -0.5 * u.xx - PI**2 / 2 * u, [Boundary(lambda u: u)]))
    assert not trivial.converged and "more than one solution" in trivial.why


def test_a_first_guess_chooses_one_of_two_solutions():
    theta = {0.1: 1.5171645990507542, 14.0: 10.938702772122353}  # theta = sqrt(2) cosh(theta / 4)
    for height, one in theta.items():
        problem = Problem(
            Box(x=(0, 1)), lambda u: u.xx + jnp.exp(u.value), [Boundary(lambda u: u)], guess=lambda x, height=height: height * x * (1 - x)
        )
        assert solve(problem)(0.5) == pytest.approx(2 * np.log(np.cosh(one / 4)), rel=1e-6)


def test_several_readings_at_one_place():
    t = np.linspace(0, 2, 9)
    readings = np.column_stack([np.cos(3 * t), -3 * np.sin(3 * t)])
    spring = Problem(
        None,
        lambda u, v, k: (u.t - v, v.t + k * u),
        [Data(lambda u, v: (u, v), readings, t=t)],
        fields="u v",
        time=(0, 2),
        unknowns={"k": 5.0},
    )
    assert solve(spring).unknowns["k"] == pytest.approx(9.0, rel=1e-6)
    means = Integral(lambda u: (u, u.x), 0.0)
    answer = solve(Problem(Box(x=(0, 1)), lambda u: u.xx - 6, [means]))
    assert answer.converged and answer(0.0) == pytest.approx(0.5)


@pytest.mark.slow
def test_deviations_cover_the_truth():
    t, hits = np.linspace(0, 2, 30), 0
    decay, reading = (lambda u, k: u.t + k * u), (lambda u: u.value)  # compiled once
    for seed in range(20):
        readings = np.exp(-0.7 * t) + 0.02 * np.random.default_rng(seed).standard_normal(30)
        answer = solve(Problem(None, decay, [Data(reading, readings, t=t)], time=(0, 2), unknowns={"k": 0.1}), 1e-4)
        assert answer.converged
        hits += abs(answer.unknowns["k"] - 0.7) < 1.96 * answer.deviations["k"]
    assert 16 <= hits <= 20


def test_answers_take_places_by_order_and_by_name(answers):
    answer = answers("wave")
    x, t = np.linspace(0, 1, 5)[:, None], np.linspace(0, 0.3, 4)
    np.testing.assert_array_equal(answer(x, t), answer(t=t, x=x))
    np.testing.assert_allclose(answer(x, t), standing(x, t), atol=1e-5)
    np.testing.assert_allclose(answer.derivative("xx", 0.5, 0.1), -(PI**2) * np.sin(PI / 2) * np.cos(0.2 * PI) - 8 * PI**2 * 0.0, rtol=1e-3)
    assert set(answers("pair")(t=0.001)) == {"u", "v"}
    assert answer(np.zeros((0, 2)), 0.1).shape == answer.derivative("xt", [], []).reshape(0, 2).shape == (0, 2)
    assert np.isnan(answer(x, 99.0)).all()  # later than what was solved


@pytest.mark.slow
def test_what_lies_between_the_points_is_seen():
    kick = Problem(None, lambda u, t: u.t - jnp.exp(-(((t - 0.4321) / 1e-3) ** 2)) / 1e-3, [Start(lambda u: u)], time=(0, 1))
    answer = solve(kick, 1e-4)
    assert answer.converged and answer(t=1.0) == pytest.approx(PI**0.5, rel=1e-4)
    spot = Problem(Box(x=(0, 1)), lambda u, x: u.xx + jnp.exp(-(((x - 0.3333) / 1e-3) ** 2)) / 1e-3, [Boundary(lambda u: u)])
    answer = solve(spot, 1e-4)
    assert answer.converged and answer(x=0.3333) == pytest.approx(PI**0.5 * 0.3333 * 0.6667, rel=5e-3)
