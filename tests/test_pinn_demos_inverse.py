"""The published demonstrations of DeepXDE, inverse problems: with readings of our own, from closed forms and integrators."""

# ruff: noqa: E731  (a reference is one line, like the residuals)

import jax.numpy as jnp
import numpy as np
import pytest
from equations import chebyshev
from scipy.integrate import solve_ivp

from physopt.pinn import Boundary, Box, Data, Integral, Problem, Start, solve

pi, line, wide, zero = np.pi, Box(x=(0, 1)), Box(x=(-1, 1)), Boundary(lambda u: u)


def lorenz():
    slope = lambda t, s: (10 * (s[1] - s[0]), s[0] * (15 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2])
    t = np.linspace(0, 3, 25)
    readings = solve_ivp(slope, (0, 3), (-8, 7, 27), "DOP853", t, rtol=1e-11, atol=1e-11).y.T
    equation = lambda x, y, z, a, b, c: (x.t - a * (y - x), y.t - x * (b - z) + y, z.t - x * y + c * z)
    conditions = [Start(lambda x, y, z: (x + 8, y - 7, z - 27)), Data(lambda x, y, z: (x, y, z), readings, t=t)]
    unknowns = {"a": 1.0, "b": 1.0, "c": 1.0}
    return Problem(None, equation, conditions, fields="x y z", time=(0, 3), unknowns=unknowns), {"a": 10, "b": 15, "c": 8 / 3}


def brinkman_forchheimer(porosity=0.4, nu=1e-3, permeability=1e-3, viscosity=1e-3):
    x, rate = np.linspace(0.1, 0.9, 5), np.sqrt(nu * porosity / viscosity / permeability)
    readings = permeability / nu * (1 - np.cosh(rate * (x - 0.5)) / np.cosh(rate / 2))
    equation = lambda u, v, K: -1e-3 * v / porosity * u.xx + nu / (1e-3 * K) * u - 1
    problem = Problem(line, equation, [zero, Data(lambda u: u, readings, x=x)], unknowns={"v": 0.1, "K": 0.1})
    return problem, {"v": 1.0, "K": 1.0}


def diffusion():
    x = np.linspace(-1, 1, 10)
    equation = lambda u, x, t, C: u.t - C * u.xx + jnp.exp(-t) * (1 - pi**2) * jnp.sin(pi * x)
    conditions = [Start(lambda u, x: u - jnp.sin(pi * x)), zero, Data(lambda u: u, np.exp(-1) * np.sin(pi * x), x=x, t=1)]
    return Problem(wide, equation, conditions, time=(0, 1), unknowns={"C": 2.0}), {"C": 1.0}


def diffusion_reaction():
    x, d = chebyshev(81, 0, 1)
    second, held = d @ d, np.tile(np.arange(81) % 80 != 0, 2)

    def slope(t, s):
        a, b = np.split(s, 2)
        return held * np.r_[2e-3 * second @ a - 0.1 * a * b**2, 2e-3 * second @ b - 0.2 * a * b**2]

    start = np.exp(-20 * x)
    both = solve_ivp(slope, (0, 10), np.r_[start, start], "Radau", rtol=1e-9, atol=1e-11, t_eval=np.linspace(0, 10, 21)).y
    at, t = np.meshgrid(x[::4], np.linspace(0, 10, 21), indexing="ij")
    readings = np.stack([both[:81][::4], both[81:][::4]], -1).reshape(-1, 2)
    equation = lambda a, b, D, k: (a.t - 1e-3 * D * a.xx + k * a * b**2, b.t - 1e-3 * D * b.xx + 2 * k * a * b**2)
    ends = Boundary(lambda a, b, x: (a - jnp.exp(-20 * x), b - jnp.exp(-20 * x)))
    start = Start(lambda a, b, x: (a - jnp.exp(-20 * x), b - jnp.exp(-20 * x)))
    data = Data(lambda a, b: (a, b), readings, x=at.ravel(), t=t.ravel())
    unknowns = {"D": 1.0, "k": 0.05}
    return Problem(line, equation, [start, ends, data], fields="a b", time=(0, 10), unknowns=unknowns), {"D": 2.0, "k": 0.1}


def flow_of_unknown_viscosity():
    k = 10 - np.sqrt(100 + 4 * pi**2)
    x, y = np.random.default_rng(0).uniform([[-0.5], [-0.5]], [[1], [0.5]], (2, 60))
    wave = np.exp(k * x)
    readings = np.column_stack([1 - wave * np.cos(2 * pi * y), k / (2 * pi) * wave * np.sin(2 * pi * y)])

    def equation(u, v, p, C1, C2):
        carried = lambda one: C1 * (u * one.x + v * one.y) - C2 * one.laplacian
        return carried(u) + p.x, carried(v) + p.y, u.x + v.y

    edge = Boundary(
        lambda u, v, x, y: (u - 1 + jnp.exp(k * x) * jnp.cos(2 * pi * y), v - k / (2 * pi) * jnp.exp(k * x) * jnp.sin(2 * pi * y))
    )
    conditions = [edge, Data(lambda u, v: (u, v), readings, x=x, y=y), Integral(lambda p: p)]
    box = Box(x=(-0.5, 1), y=(-0.5, 0.5))
    return Problem(box, equation, conditions, fields="u v p", unknowns={"C2": 0.1}, C1=1.0), {"C2": 0.05}


def source_field():
    x = np.linspace(-1, 1, 100)
    conditions = [zero, Data(lambda u: u, np.sin(pi * x), x=x)]
    return Problem(wide, lambda u, q: u.xx - q, conditions, fields="u q")


CASES = {
    "lorenz": pytest.param(lorenz, 1e-4, 1e-3, marks=pytest.mark.slow),
    "brinkman and forchheimer": pytest.param(brinkman_forchheimer, 1e-6, 1e-6, marks=pytest.mark.slow),
    "diffusion": pytest.param(diffusion, 1e-6, 1e-6),
    "flow": pytest.param(flow_of_unknown_viscosity, 1e-5, 1e-5, marks=pytest.mark.slow),
    "two rates": pytest.param(
        diffusion_reaction,
        1e-4,
        1e-3,
        marks=[pytest.mark.slow, pytest.mark.xfail(reason="a poor space leads astray: docs/pinn.md, limits", strict=True)],
    ),
}


@pytest.mark.parametrize(("make", "tol", "limit"), CASES.values(), ids=CASES)
def test_unknown_numbers_of_the_demonstrations_are_found(make, tol, limit):
    problem, true = make()
    answer = solve(problem, tol)
    assert answer.converged, answer.why
    assert all(abs(answer.unknowns[number] / value - 1) <= limit for number, value in true.items()), answer.unknowns


def test_an_unknown_source_is_a_field_like_any_other():
    answer = solve(source_field(), 1e-6)
    x = np.linspace(-1, 1, 300)
    assert answer.converged
    np.testing.assert_allclose(answer(x)["q"], -(pi**2) * np.sin(pi * x), atol=1e-5)
