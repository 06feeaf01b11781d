"""The solver of differential equations: whether its estimates and its verdicts are true."""

import jax.numpy as jnp
import numpy as np
import pytest

from physopt.pinn import At, Ball, Boundary, Box, Cloud, Data, Integral, Problem, Start, solve

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
    return {name: solve(problem, tol) for name, (problem, tol) in SOLVED.items()}


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


@pytest.mark.parametrize("name", SOLVED)
def test_what_is_called_converged_is_as_accurate_as_was_asked_for(answers, name):
    answer, tol = answers[name], SOLVED[name][1]
    assert answer.converged, answer.why
    assert answer.error <= tol and answer.true_error() <= tol


@pytest.mark.parametrize("name", SOLVED)
def test_the_estimated_error_is_the_error(answers, name):
    answer = answers[name]
    true = uncorrected_error(answer)
    assert true < 1e-11 or answer.error / 5 < true < 5 * answer.error


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


VAGUE = {
    "constant": Problem(Box(x=(0, 1), y=(0, 1)), lambda u: u.laplacian, [Boundary(lambda u: u.normal)]),
    "nothing": Problem(Box(x=(0, 1)), lambda u: u.xx - 1),
    "one end": Problem(Box(x=(0, 1)), lambda u: u.xx - 1, [Boundary(lambda u: u, where=lambda x: x == 0)]),
}


@pytest.mark.parametrize("name", VAGUE)
def test_missing_conditions_are_noticed(name):
    answer = solve(VAGUE[name])
    assert not answer.converged and "more than one solution" in answer.why


def test_contradictory_conditions_are_noticed():
    answer = solve(Problem(Box(x=(0, 1)), lambda u: u.xx, [Boundary(lambda u: u), Boundary(lambda u: u - 1)]))
    assert not answer.converged and "missed" in answer.why


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
    answer = answers["wave"]
    x, t = np.linspace(0, 1, 5)[:, None], np.linspace(0, 0.3, 4)
    np.testing.assert_array_equal(answer(x, t), answer(t=t, x=x))
    np.testing.assert_allclose(answer(x, t), standing(x, t), atol=1e-5)
    np.testing.assert_allclose(answer.derivative("xx", 0.5, 0.1), -(PI**2) * np.sin(PI / 2) * np.cos(0.2 * PI) - 8 * PI**2 * 0.0, rtol=1e-3)
    assert set(answers["pair"](t=0.001)) == {"u", "v"}


def test_what_lies_between_the_points_is_seen():
    kick = Problem(None, lambda u, t: u.t - jnp.exp(-(((t - 0.4321) / 1e-3) ** 2)) / 1e-3, [Start(lambda u: u)], time=(0, 1))
    answer = solve(kick, 1e-4)
    assert answer.converged and answer(t=1.0) == pytest.approx(PI**0.5, rel=1e-4)
    spot = Problem(Box(x=(0, 1)), lambda u, x: u.xx + jnp.exp(-(((x - 0.3333) / 1e-3) ** 2)) / 1e-3, [Boundary(lambda u: u)])
    answer = solve(spot, 1e-4)
    assert answer.converged and answer(x=0.3333) == pytest.approx(PI**0.5 * 0.3333 * 0.6667, rel=5e-3)


REFUSED = {
    "no start": (lambda: Problem(None, lambda u: u.t + u, time=(0, 1)), "the start has 0 conditions"),
    "one start": (lambda: Problem(None, lambda u: u.tt + u, [Start(lambda u: u - 1)], time=(0, 1)), "order 2 in time"),
    "complex": (lambda: Problem(Box(x=(0, 1)), lambda u: u.xx + 1j * u), "two real ones"),
    "names with commas": (lambda: Problem(Box(x=(0, 1)), lambda u: u.xx, fields="u,v"), "in one string"),
    "empty ring": (lambda: solve(Problem(Ball(0.3, x=0, y=0) - Ball(0.5, x=0, y=0), lambda u: u.laplacian)), "empty"),
    "function of a field": (lambda: Problem(Box(x=(0, 1)), lambda u: u.xx - jnp.sin(u)), "u.value"),
    "function of NumPy": (lambda: Problem(Box(x=(0, 1)), lambda u: u.xx - np.sin(u)), "u.value"),
    "blow-up": (
        lambda: solve(Problem(None, lambda u: u.t - u * u, [Start(lambda u: u - 1)], time=(0, 2))),
        "beyond t = 0.99999|beyond t = 1",
    ),
    "empty box": (lambda: Box(x=(1, 0)), "smaller one first"),
    "no overlap": (lambda: Ball(1, x=0, y=0) & Ball(1, x=9, y=0), "do not overlap"),
    "other names": (lambda: Ball(1, x=0, y=0) | Ball(1, x=9, z=0), "must be the same"),
    "no coordinates": (lambda: Problem(None, lambda u: u), "no coordinates"),
    "time backwards": (lambda: Problem(None, lambda u: u.t, time=(1, 0)), "the earlier first"),
    "argument": (lambda: Problem(Box(x=(0, 1)), lambda u, mu: u.xx - mu), "asks for 'mu'"),
    "coordinate": (lambda: Problem(Box(x=(0, 1)), lambda u: u.xy), "none of the coordinates x"),
    "two meanings": (lambda: Problem(Box(x=(0, 1)), lambda u: u.xx, u=1.0), "two meanings"),
    "numpy": (lambda: Problem(Box(x=(0, 1)), lambda u, x: u.xx - np.sin(x)), "jax.numpy"),
    "start without time": (lambda: solve(Problem(Box(x=(0, 1)), lambda u: u.xx, [Start(lambda u: u)])), "needs a time"),
    "nowhere": (lambda: solve(Problem(Box(x=(0, 1)), lambda u: u.xx, [Boundary(lambda u: u, where=lambda x: x == 3)])), "no points"),
    "nan": (lambda: solve(Problem(Box(x=(0, 1)), lambda u, x: u.xx - jnp.log(-x), [Boundary(lambda u: u)])), "not finite"),
    "tolerance": (lambda: solve(SOLVED["layer"][0], 0.0), "1e-6"),
    "readings": (lambda: Data(lambda u: u, [1.0, np.nan], x=[0.0, 1.0]), "finite number each"),
    "place": (lambda: solve(Problem(Box(x=(0, 1)), lambda u: u.xx, [At(lambda u: u, y=0.0)])), "no coordinate"),
    "parameter": (lambda: SOLVED["layer"][0].at(nu=1.0), "no parameter"),
    "text": (lambda: Problem(Box(x=(0, 1)), lambda u, k: k * u.xx, k="thick"), "no finite number"),
    "cloud": (lambda: Cloud(("x", "y"), np.zeros((3, 3)), np.zeros((3, 2))), "shape"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_with_what_to_write_instead(name):
    build, words = REFUSED[name]
    with pytest.raises((ValueError, TypeError, AttributeError, FloatingPointError), match=words):
        build()
