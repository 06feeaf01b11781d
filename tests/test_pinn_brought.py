"""More equations that people ask about, each with another equation, geometry or condition than the others."""

# ruff: noqa: E731  (a reference is one line, like the residuals)

import jax.numpy as jnp
import numpy as np
import pytest
from equations import Cases, check, integrated
from instances import sampled
from scipy.integrate import solve_bvp
from scipy.linalg import eigh_tridiagonal
from scipy.special import j0, j1, jn_zeros
from scipy.stats import norm

from physopt.pinn import Ball, Boundary, Box, Cloud, Data, Integral, Problem, Start, solve

pi, line, square, CASES = np.pi, Box(x=(0, 1)), Box(x=(0, 1), y=(0, 1)), Cases()
case, zero = CASES.enter, Boundary(lambda u: u)


@case(1e-6, slow=True)
def elastic_square():
    equation = lambda u, v, x, y: (
        3 * u.xx + u.yy + 2 * v.xy - 2 + 4 * pi**2 * jnp.sin(pi * x) * jnp.sin(pi * y),
        3 * v.yy + v.xx + 2 * u.xy - 2 * pi**2 * jnp.cos(pi * x) * jnp.cos(pi * y),
    )
    edge = Boundary(lambda u, v, x, y: (u, v - x * y))
    return Problem(square, equation, [edge], fields="u v", reference=lambda x, y: (np.sin(pi * x) * np.sin(pi * y), x * y))


@case(1e-6)
def stokes_with_a_pressure_of_mean_zero():
    flow = lambda x, y: (20 * x * y**3, 5 * x**4 - 5 * y**4, 60 * x**2 * y - 20 * y**3)
    equation = lambda u, v, p: (u.laplacian - p.x, v.laplacian - p.y, u.x + v.y)
    edge = Boundary(lambda u, v, x, y: (u - flow(x, y)[0], v - flow(x, y)[1]))
    return Problem(Box(x=(-1, 1), y=(-1, 1)), equation, [edge, Integral(lambda p: p, 0)], fields="u v p", reference=flow)


@case(1e-5)
def cloud_of_points():
    rng, angle = np.random.default_rng(0), np.linspace(0, 2 * pi, 200, endpoint=False)
    inside = rng.uniform(-1, 1, (3000, 2))
    domain = Cloud(("x", "y"), inside[np.hypot(*inside.T) < 0.98], np.column_stack([np.cos(angle), np.sin(angle)]))
    return Problem(domain, lambda u: u.laplacian + 4, [zero], reference=lambda x, y: 1 - x**2 - y**2)


@case(1e-6, slow=True)
def density_that_relaxes():
    """Fokker and Planck's equation of a particle on a spring."""

    def reference(x, t, np=np):
        mean, width = np.exp(-t), 0.5 - 0.3 * np.exp(-2 * t)
        return np.exp(-((x - mean) ** 2) / (2 * width)) / np.sqrt(2 * pi * width)

    conditions = [Start(lambda u, x: u - reference(x, 0.0, jnp)), zero]
    return Problem(Box(x=(-6, 6)), lambda u, x: u.t - u - x * u.x - 0.5 * u.xx, conditions, time=(0, 1), reference=reference)


@case(1e-6, slow=True)
def ball_in_three_dimensions():
    conditions = [Boundary(lambda u, n_x, n_y, n_z: u.normal + u - n_x - 1)]  # a Robin condition
    reference = lambda x, y, z: (1 - x**2 - y**2 - z**2) / 6 + 4 / 3 + x / 2
    return Problem(Ball(1, x=0, y=0, z=0), lambda u: u.laplacian + 1, conditions, reference=reference)


@case(1e-6, slow=True)
def vortices_that_decay():
    """Taylor and Green's solution of Navier and Stokes' equations, in two dimensions and time."""

    def reference(x, y, t, np=np):
        fade = np.exp(-2 * 0.1 * t)
        pressure = (np.cos(2 * x) + np.cos(2 * y)) / 4 * fade**2
        return np.sin(x) * np.cos(y) * fade, -np.cos(x) * np.sin(y) * fade, pressure

    def equation(u, v, p):
        carried = lambda one: one.t + u * one.x + v * one.y - 0.1 * one.laplacian
        return carried(u) + p.x, carried(v) + p.y, u.x + v.y

    domain = Box(x=(0, 2 * pi), y=(0, 2 * pi), periodic="x y")
    start = Start(lambda u, v, x, y: (u - jnp.sin(x) * jnp.cos(y), v + jnp.cos(x) * jnp.sin(y)))
    return Problem(domain, equation, [start, Integral(lambda p: p)], fields="u v p", time=(0, 1), reference=reference)


@case(1e-3, slow=True)
def price_of_an_option():
    """Black and Scholes' equation for a call, in time to expiry and units of the strike."""
    rate, sigma = 0.05, 0.3

    def reference(s, t):
        width = sigma * np.sqrt(np.maximum(t, 1e-300))
        d = (np.log(np.maximum(s, 1e-300)) + (rate + sigma**2 / 2) * t) / width
        return s * norm.cdf(d) - np.exp(-rate * t) * norm.cdf(d - width)

    equation = lambda u, s: u.t - sigma**2 / 2 * s**2 * u.ss - rate * s * u.s + rate * u
    far = Boundary(lambda u, s, t: u - s + jnp.exp(-rate * t), lambda s: s == 4)
    worthless = Boundary(lambda u: u, lambda s: s == 0)
    payoff = Start(lambda u, s: u - jnp.maximum(s - 1, 0))
    return Problem(Box(s=(0, 4)), equation, [payoff, far, worthless], time=(0, 1), reference=reference)


@case(1e-5, slow=True)
def fisher_front():
    def front(x, t, np=np):
        return 1 / (1 + np.exp((x - 5 / np.sqrt(6.0) * t) / np.sqrt(6.0))) ** 2

    conditions = [Start(lambda u, x: u - front(x, 0, jnp)), Boundary(lambda u, x, t: u - front(x, t, jnp))]
    return Problem(Box(x=(-20, 40)), lambda u: u.t - u.xx - u * (1 - u), conditions, time=(0, 5), reference=front)


@case(1e-5, slow=True)
def sine_gordon_breather():
    root = np.sqrt(0.5)
    conditions = [Start(lambda u: u), Start(lambda u, x: u.t - 4 * root / jnp.cosh(root * x)), zero]
    reference = lambda x, t: 4 * np.arctan(np.sin(root * t) / np.cosh(root * x))
    return Problem(Box(x=(-30, 30)), lambda u: u.tt - u.xx + jnp.sin(u.value), conditions, time=(0, 10), reference=reference)


@case(1e-5, slow=True)
def moving_source():
    n, nodes = np.arange(1, 65)[:, None] * pi, (np.arange(512) + 0.5) / 512
    source = lambda t: 2 * np.sin(n * nodes) @ np.exp(-(((nodes - 0.2 - 0.6 * t) / 0.05) ** 2)) / 512
    modes = integrated(lambda t, a: source(t) - n[:, 0] ** 2 * a, np.zeros(64), (0, 1))
    reference = lambda x, t: np.sum(np.sin(n * x) * np.array(modes(t)), axis=0)
    equation = lambda u, x, t: u.t - u.xx - jnp.exp(-(((x - 0.2 - 0.6 * t) / 0.05) ** 2))
    return Problem(line, equation, [Start(lambda u: u), zero], time=(0, 1), reference=reference)


@case(1e-3, slow=True)
def disk_that_cools():  # from a start whose second derivatives do not vanish on the edge
    zeros = jn_zeros(0, 200)[:, None]
    modes = lambda x, y: 8 / (zeros**3 * j1(zeros)) * j0(zeros * np.hypot(x, y))
    reference = lambda x, y, t: np.sum(modes(x, y) * np.exp(-(zeros**2) * t), axis=0)
    start = Start(lambda u, x, y: u - 1 + x**2 + y**2)
    return Problem(Ball(1.0, x=0, y=0), lambda u: u.t - u.laplacian, [start, zero], time=(0, 0.2), reference=reference)


@case(1e-4, slow=True)
def disk_with_a_warm_edge():
    exact = lambda x, y, t, of=jnp: of.exp(-5 * t) * of.sin(2 * x) * of.cos(y)
    edges = [Start(lambda u, x, y: u - exact(x, y, 0)), Boundary(lambda u, x, y, t: u - exact(x, y, t))]
    reference = lambda x, y, t: exact(x, y, t, np)
    return Problem(Ball(1.0, x=0, y=0), lambda u: u.t - u.laplacian, edges, time=(0, 0.3), reference=reference)


@pytest.mark.parametrize(("make", "tol", "limit"), CASES.values())
def test_what_people_bring_is_solved_and_the_estimated_error_is_true(make, tol, limit):
    check(make, tol, limit)


def test_wall_stress_of_a_boundary_layer():
    wall, far = Boundary(lambda f: (f, f.x), lambda x: x == 0), Boundary(lambda f: f.x - 1, lambda x: x == 10)
    answer = solve(Problem(Box(x=(0, 10)), lambda f: f.xxx + f * f.xx / 2, [wall, far], fields="f"), 1e-6)
    assert answer.converged and answer.derivative("xx", 0.0) == pytest.approx(0.332057336, rel=1e-5)  # Blasius; Boyd (2008)


LEVELS = {
    "oscillator, low": (8, lambda x: x**2 / 2, 0.6),
    "oscillator": (8, lambda x: x**2 / 2, 3.6),
    "oscillator, from between": (8, lambda x: x**2 / 2, 4.2),
    "oscillator, high": (8, lambda x: x**2 / 2, 7.6),
    "quartic": (5, lambda x: x**4 / 2, 1.8),
    "two wells, lower": (4, lambda x: (x**2 - 2) ** 2, 1.5),
    "two wells, upper": (4, lambda x: (x**2 - 2) ** 2, 1.9),
}


@pytest.mark.parametrize("name", sampled(LEVELS, {"oscillator", "two wells, lower"}))
def test_the_level_nearest_to_the_beginning_is_found(name):
    wide, potential, begun = LEVELS[name]
    equation = lambda u, x, E: -u.xx / 2 + potential(x) * u - E * u
    answer = solve(Problem(Box(x=(-wide, wide)), equation, [zero, Integral(lambda u: u**2, 1)], unknowns={"E": begun}), 1e-6)
    x = np.linspace(-wide, wide, 4001)[1:-1]
    step = x[1] - x[0]
    levels = eigh_tridiagonal(1 / step**2 + potential(x), np.full(len(x) - 1, -0.5 / step**2), eigvals_only=True)
    assert answer.converged and answer.unknowns["E"] == pytest.approx(min(levels, key=lambda level: abs(level - begun)), rel=1e-4)


@pytest.mark.parametrize("strength", sampled([1.0, 10.0, 100.0], {10.0}))
def test_particles_that_repel_each_other_are_found_in_their_lowest_state(strength):
    slopes = lambda x, y, p: np.stack([y[1], (x**2 + 2 * strength * y[0] ** 2 - 2 * p[0]) * y[0], y[0] ** 2])
    ends = lambda left, right, p: np.array([left[1], right[0], left[2], right[2] - 0.5])  # even, and half of a particle on one side
    x, level = np.linspace(0, 16, 400), 0.5 * (1.5 * strength) ** (2 / 3) + 0.3  # nearly, if repulsion is all
    cloud = np.sqrt(np.maximum(level - x**2 / 2, 1e-6 * np.exp(-x)) / strength)
    bound = solve_bvp(slopes, ends, x, np.stack([cloud, np.gradient(cloud, x), np.cumsum(cloud**2) * x[1]]), [level], tol=1e-7)
    equation = lambda u, x, E, g: -u.xx / 2 + x**2 / 2 * u + g * u**3 - E * u
    conditions = [zero, Integral(lambda u: u**2, 1)]
    answer = solve(Problem(Box(x=(-16, 16)), equation, conditions, unknowns={"E": 0.97 * bound.p[0]}, g=strength), 1e-6)
    assert bound.success and answer.converged and answer.unknowns["E"] == pytest.approx(bound.p[0], rel=1e-5)


def test_strength_of_a_source():
    x, n, nodes = np.linspace(0.05, 0.95, 19), np.arange(1, 200), (np.arange(4000) + 0.5) / 4000
    load = 2 * np.mean(np.sin(pi * np.outer(n, nodes)) * np.exp(-(((nodes - 0.4) / 0.1) ** 2)), axis=1)
    readings = 3 * np.sin(pi * np.outer(x, n)) @ (load / (n * pi) ** 2)
    equation = lambda u, x, q: u.xx + q * jnp.exp(-(((x - 0.4) / 0.1) ** 2))
    answer = solve(Problem(line, equation, [zero, Data(lambda u: u, readings, x=x)], unknowns={"q": 1.0}))
    assert answer.converged and abs(answer.unknowns["q"] - 3) <= 1e-4
