"""Equations that people bring, written as they would write them, against closed forms, sums of modes and integrators of their own."""

# ruff: noqa: E731  (a reference is one line, like the residuals)

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from equations import Cases, check, errors, integrated
from instances import sampled
from scipy.special import erfc

from physopt.pinn import Ball, Boundary, Box, Data, Integral, Problem, Start, solve

pi, line, square, CASES = np.pi, Box(x=(0, 1)), Box(x=(0, 1), y=(0, 1)), Cases()
case = CASES.enter


@case(1e-5, 1e-4, slow=True)
def oscillation_far_from_its_start():
    reference = lambda t: np.cos(np.sqrt(2) * t)
    return Problem(None, lambda u: 0.5 * u.tt + u, [Start(lambda u: u - 1), Start(lambda u: u.t)], time=(0, 60), reference=reference)


def sides_that_disagree():
    def one(a, b):  # 1 on the side a = 0, 0 on the others
        return sum(
            4 / (n * pi) * np.sin(n * pi * b) * (np.exp(-n * pi * a) - np.exp(n * pi * (a - 2))) / (1 - np.exp(-2 * n * pi))
            for n in range(1, 400, 2)
        )

    sides = [(lambda x, y: x == 0, 0.0), (lambda x, y: x == 1, 1.0), (lambda x, y: y == 0, 2.0), (lambda x, y: y == 1, 5.0)]
    hold = lambda value: lambda u: u - value
    conditions = [Boundary(hold(value), where) for where, value in sides]
    return Problem(square, lambda u: u.laplacian, conditions, reference=lambda x, y: one(1 - x, y) + 2 * one(y, x) + 5 * one(1 - y, x))


def beam(end):
    omega, rho, n = 20 * pi, 3.14e-3, np.arange(1, 60, 2)[:, None]
    own = np.sqrt(2 / 3 * (n * pi) ** 4 / rho)
    high = 5 / (rho * (own**2 - omega**2)) * 4 / (n * pi)
    reference = lambda x, t: np.sum(np.sin(n * pi * x) * high * (np.sin(omega * t) - omega / own * np.sin(own * t)), axis=0)
    conditions = [Start(lambda u: u), Start(lambda u: u.t), Boundary(lambda u: u), Boundary(lambda u: u.xx)]
    return Problem(
        line, lambda u, t: 2 / 3 * u.xxxx + 3.14e-3 * u.tt - 5 * jnp.sin(20 * pi * t), conditions, time=(0, end), reference=reference
    )


@case(1e-4, 1e-3)
def vibrating_beam():
    return beam(0.1)


@case(1e-4, 1e-3, slow=True)
def vibrating_beam_for_ten_times_as_long():
    return beam(1.0)


@case(1e-4, 1e-3, slow=True)
def rod_in_metres_and_seconds(length=0.1, end=1000.0, diffusivity=1.2e-5):
    def reference(x, t):
        width = 2 * np.sqrt(diffusivity * np.maximum(t, 1e-300))
        return 300 + 500 * sum(erfc((2 * k * length + x) / width) - erfc((2 * (k + 1) * length - x) / width) for k in range(8))

    hot, cold = Boundary(lambda u: u - 800, lambda x: x == 0), Boundary(lambda u: u - 300, lambda x: x == length)
    equation = lambda u: u.t - diffusivity * u.xx
    return Problem(Box(x=(0, length)), equation, [Start(lambda u: u - 300), hot, cold], time=(0, end), reference=reference)


@case(1e-4, 1e-3, slow=True)
def rod_in_natural_units():
    return rod_in_metres_and_seconds(1.0, 1.2, 1.0)


@case(3e-4, 1e-3, slow=True, beyond="the load contradicts the start: right to 1e-6 from t = 1e-5 on, but estimated with the first moment")
def consolidation():
    def reference(x, t):
        n, width = (np.arange(300)[:, None] + 0.5) * pi, 2 * np.sqrt(np.maximum(t, 1e-300) / 1.001)
        drop = sum((-1) ** k * (erfc((2 * k + x) / width) + erfc((2 * k + 2 - x) / width)) for k in range(8))
        return 1 - x - np.sum(2 / n**2 * np.cos(n * x) * np.exp(-(n**2) * t / 1.001), axis=0) / 1.001, (1 - drop) / 1.001

    drained, sealed = Boundary(lambda u, p: (p, u.x + 1), lambda x: x == 0), Boundary(lambda u, p: (p.x, u), lambda x: x == 1)
    equation = lambda u, p: (u.xx - p.x, u.xt + 1e-3 * p.t - p.xx)
    return Problem(line, equation, [drained, sealed, Start(lambda u, p: u.x + 1e-3 * p)], fields="u p", time=(0, 1), reference=reference)


@case(1e-4, 1e-3, slow=True)
def convection_from_a_cold_start():
    domain, equation = Box(x=(0, 2 * pi), periodic="x"), lambda u, beta: u.t + beta * u.x
    start = Start(lambda u, x: u - jnp.sin(x))
    return Problem(domain, equation, [start], time=(0, 1), beta=50, reference=lambda x, t, beta: np.sin(x - beta * t))


@case(1e-4, 1e-3)
def steep_layer():
    reference = lambda x: x - (np.exp((x - 1) / 1e-3) - np.exp(-1e3))
    return Problem(line, lambda u: -1e-3 * u.xx + u.x - 1, [Boundary(lambda u: u)], reference=reference)


@case(1e-4, 1e-3, slow=True)
def travelling_pulse():
    pulse = lambda x: np.exp(-((x / 0.1) ** 2) / 2) / 2
    reference = lambda x, t: (pulse(x - t) + pulse(x + t), pulse(x + t) - pulse(x - t))
    start = Start(lambda E, H, x: (E - jnp.exp(-((x / 0.1) ** 2) / 2), H))
    return Problem(
        Box(x=(-2, 2)), lambda E, H: (E.t - H.x, H.t - E.x), [start, Boundary(lambda E: E)], fields="E H", time=(0, 1), reference=reference
    )


@case(1e-6)
def corner_that_points_inwards():
    def reference(x, y, np=np):
        return (x**2 + y**2) ** (1 / 3) * np.sin(2 / 3 * np.mod(np.arctan2(y, x) - pi / 2, 2 * pi))

    domain = Box(x=(-1, 0), y=(-1, 1)) | Box(x=(-1, 1), y=(-1, 0))
    return Problem(domain, lambda u: u.laplacian, [Boundary(lambda u, x, y: u - reference(x, y, jnp))], reference=reference)


@case(1e-6, slow=True, beyond="right, but the error of 3.6e-8 is estimated 5.8 times too high")
def ring_with_robin_and_neumann():
    slope = lambda x, y, n_x, n_y: n_x * (x / (x**2 + y**2) + 1) + n_y * y / (x**2 + y**2)
    inner = Boundary(lambda u, x, y, n_x, n_y: u.normal - slope(x, y, n_x, n_y), lambda x, y: x**2 + y**2 < 0.5)
    outer = Boundary(lambda u, x, y, n_x, n_y: u.normal + 2 * u - slope(x, y, n_x, n_y) - 2 * x, lambda x, y: x**2 + y**2 > 0.5)
    reference = lambda x, y: np.log(x**2 + y**2) / 2 + x
    return Problem(Ball(1, x=0, y=0) - Ball(0.4, x=0, y=0), lambda u: u.laplacian, [inner, outer], reference=reference)


@case(1e-6)
def bratu():
    theta = 1.5171645990507542  # theta = sqrt(2) cosh(theta / 4)
    reference = lambda x: -2 * np.log(np.cosh((x - 0.5) * theta / 2) / np.cosh(theta / 4))
    return Problem(line, lambda u: u.xx + jnp.exp(u.value), [Boundary(lambda u: u)], reference=reference)


@case(1e-6)
def lane_emden():
    start = [Start(lambda u: u - 1), Start(lambda u: u.t)]
    return Problem(None, lambda u, t: u.tt + 2 / t * u.t + u**5, start, time=(0, 5), reference=lambda t: 1 / np.sqrt(1 + t**2 / 3))


@case(1e-5, slow=True)
def robertson():
    def slope(t, s, stack=np.array):
        return stack([-0.04 * s[0] + 1e4 * s[1] * s[2], 0.04 * s[0] - 1e4 * s[1] * s[2] - 3e7 * s[1] ** 2, 3e7 * s[1] ** 2])

    equation = lambda a, b, c: jnp.stack([a.t, b.t, c.t]) - slope(0, [a, b, c], jnp.stack)
    start = [Start(lambda a, b, c: (a - 1, b, c))]
    return Problem(None, equation, start, fields="a b c", time=(0, 40), reference=integrated(slope, [1, 0, 0], (0, 40)))


@case(1e-6, slow=True)
def kovasznay():
    k = 10 - np.sqrt(100 + 4 * pi**2)

    def flow(x, y, np=np):
        return 1 - np.exp(k * x) * np.cos(2 * pi * y), k / (2 * pi) * np.exp(k * x) * np.sin(2 * pi * y), (1 - np.exp(2 * k * x)) / 2

    equation = lambda u, v, p: (u * u.x + v * u.y + p.x - u.laplacian / 20, u * v.x + v * v.y + p.y - v.laplacian / 20, u.x + v.y)
    edge = Boundary(lambda u, v, p, x, y: tuple(a - b for a, b in zip((u, v, p), flow(x, y, jnp), strict=True)))
    return Problem(Box(x=(-0.5, 1), y=(-0.5, 0.5)), equation, [edge], fields="u v p", reference=flow)


@pytest.mark.parametrize(("make", "tol", "limit"), CASES.values())
def test_what_is_called_converged_is_right(make, tol, limit):
    check(make, tol, limit)


def test_an_eigenfunction_without_a_size_is_refused():
    problem = Problem(line, lambda u, E: -0.5 * u.xx - E * u, [Boundary(lambda u: u)], E=pi**2 / 2)
    answer = solve(problem)
    assert not answer.converged and "zero" in answer.why


@pytest.mark.parametrize(
    ("begin", "level"), [(4.0, 1), pytest.param(20.0, 2, marks=pytest.mark.slow), pytest.param(44.0, 3, marks=pytest.mark.slow)]
)
def test_energies_in_a_box(begin, level):
    conditions = [Boundary(lambda u: u), Integral(lambda u: u**2, 1)]
    answer = solve(Problem(line, lambda u, E: -0.5 * u.xx - E * u, conditions, unknowns={"E": begin}))
    assert answer.converged, answer.why
    assert answer.unknowns["E"] == pytest.approx((level * pi) ** 2 / 2, rel=1e-6)


def test_sides_that_disagree_are_right_away_from_the_corners():
    answer = solve(sides_that_disagree(), 1e-8)
    assert answer.converged and answer(0.5, 0.5) == pytest.approx(2.0, abs=1e-8)
    assert errors(answer, lambda points: np.all(np.minimum(points, 1 - points) > 0.02, axis=1))[1] <= 1e-8
    assert all(f"contradict each other at (x = {x}, y = {y})" in answer.why for x in (0, 1) for y in (0, 1))


@functools.cache
def readings_of_a_cloud_of_smoke(num=24):
    """Return places and readings of the advected concentration: sines in both coordinates, classical Runge-Kutta in time."""
    n, nodes, steps = np.arange(1, num + 1), (np.arange(400) + 0.5) / 400, 600
    odd, gap = (n[:, None] + n) % 2, np.where(n[:, None] == n, 1, n[:, None] ** 2 - n**2)
    slope = 4 * odd * np.outer(n, n) / gap
    load = [2 * np.sin(pi * np.outer(n, nodes)) @ np.exp(-(((nodes - at) / 0.15) ** 2)) / 400 for at in (0.3, 0.5)]
    decay = 0.05 * pi**2 * (n[:, None] ** 2 + n**2)
    change = lambda t, c: np.outer(*load) - decay * c - 2 * slope @ c - 3 * np.cos(3 * pi * t) * c @ slope.T
    c, h, rng, history = np.zeros((num, num)), 0.5 / steps, np.random.default_rng(1), [np.zeros((num, num))]
    for t in h * np.arange(steps):
        k1 = change(t, c)
        k2 = change(t + h / 2, c + h / 2 * k1)
        k3 = change(t + h / 2, c + h / 2 * k2)
        c = c + h / 6 * (k1 + 2 * k2 + 2 * k3 + change(t + h, c + h * k3))
        history.append(c)
    x, y, at = rng.uniform(0.1, 0.9, 40), rng.uniform(0.1, 0.9, 40), rng.integers(steps // 5, steps, 40)
    values = [np.sin(pi * n * a) @ history[k] @ np.sin(pi * n * b) for a, b, k in zip(x, y, at, strict=True)]
    return x, y, at * h, np.array(values)


@pytest.mark.xfail(
    reason="Unknowns are found at all times together, which three coordinates at this speed do not allow: docs/pinn.md, limits", strict=True
)
@pytest.mark.slow
@pytest.mark.parametrize(("noise", "limit"), [(0.0, 0.01), (0.02, 0.03)])
def test_the_wind_that_carries_smoke(noise, limit):
    x, y, t, values = readings_of_a_cloud_of_smoke()
    values = values + noise * np.abs(values).max() * np.random.default_rng(0).standard_normal(40)
    source = lambda x, y: jnp.exp(-(((x - 0.3) / 0.15) ** 2) - ((y - 0.5) / 0.15) ** 2)
    equation = lambda c, v, x, y, t: c.t + v * c.x + 3 * jnp.cos(3 * pi * t) * c.y - 0.05 * c.laplacian - source(x, y)
    conditions = [Start(lambda c: c), Boundary(lambda c: c), Data(lambda c: c, values, x=x, y=y, t=t)]
    answer = solve(Problem(square, equation, conditions, fields="c", time=(0, 0.5), unknowns={"v": 1.0}), 1e-3)
    assert answer.unknowns["v"] == pytest.approx(2.0, rel=limit)
    assert abs(answer.unknowns["v"] - 2.0) <= 4 * answer.deviations["v"] + 2e-3


@pytest.mark.parametrize("seed", sampled(range(3), 3))
def test_damping_and_stiffness_of_unlike_size(seed):
    t, omega = np.linspace(0, 1, 40), np.sqrt(396)
    values = np.exp(-2 * t) * (np.cos(omega * t) + 2 / omega * np.sin(omega * t)) + 0.02 * np.random.default_rng(seed).standard_normal(40)
    equation, unknowns = lambda x, mu, k: x.tt + mu * x.t + k * x, {"mu": 1.0, "k": 100.0}
    answer = solve(Problem(None, equation, [Data(lambda x: x, values, t=t)], fields="x", time=(0, 1), unknowns=unknowns), 1e-4)
    for name, true in (("mu", 4.0), ("k", 400.0)):
        assert abs(answer.unknowns[name] - true) <= 4 * answer.deviations[name] and answer.deviations[name] <= 0.1 * true


def test_a_slope_at_the_end_of_a_beam():
    x = np.linspace(0.2, 1.0, 5)
    left = Boundary(lambda u, C: (u, u.x - C), lambda x: x == 0)
    right = Boundary(lambda u: (u.xx, u.xxx), lambda x: x == 1)
    data = Data(lambda u: u, 0.3 * x - x**4 / 24 + x**3 / 6 - x**2 / 4, x=x)
    answer = solve(Problem(line, lambda u: u.xxxx + 1, [left, right, data], unknowns={"C": 1.0}))
    assert answer.converged and answer.unknowns["C"] == pytest.approx(0.3, abs=1e-5)


def test_a_coefficient_that_is_a_function_of_the_solution():
    true = lambda u: (1 + u**2) / (1 + 2 * u**2)
    series = lambda u, *b: sum(one * u**k for k, one in enumerate(b))
    load = lambda x: (true(jnp.sin(pi * x)) * pi**2 + 1) * jnp.sin(pi * x)
    equation = lambda u, x, b0, b1, b2, b3, b4, b5: -series(u.value, b0, b1, b2, b3, b4, b5) * u.xx + u - load(x)
    x, unknowns = np.linspace(0.01, 0.99, 60), {f"b{k}": float(k == 0) for k in range(6)}
    answer = solve(Problem(line, equation, [Boundary(lambda u: u), Data(lambda u: u, np.sin(pi * x), x=x)], unknowns=unknowns), 1e-4)
    u = np.linspace(0.05, 0.95, 50)
    np.testing.assert_allclose(series(u, *answer.unknowns.values()), true(u), atol=1e-2)
