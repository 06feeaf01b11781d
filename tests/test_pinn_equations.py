"""Laws of the list of equations: references solve what they say they solve, and `solve` finds them."""

import functools
import inspect
import math
import sys

import numpy as np
import pytest
from instances import sampled

from physopt import pinn
from physopt.pinn.equations import EQUATIONS
from physopt.pinn.references import cole_hopf
from physopt.pinn.space import Products

REACH = 5  # points of a stencil to each side
# Their references are marched: by how much half the steps on three quarters of the points may change them. The method is of fourth order
# or better, so that the errors of the references are about sixteen times smaller.
MARCHED = {"allen-cahn": 1e-6, "kdv": 1e-7, "kuramoto-sivashinsky": 2e-8, "schroedinger": 3e-5, "gray-scott": 1e-9}
KNOWN = [name for name in EQUATIONS if name not in ("cavity", "schroedinger")]  # a reference, with derivatives that a stencil can see


@functools.cache
def problem_of(name, **given):
    return EQUATIONS[name](**given)


def module_of(name):
    return sys.modules[EQUATIONS[name].__module__]


def jets_of(problem, points, orders):
    """Return derivatives of the reference by differences of tenth order, with steps that grow with the order of the derivative."""
    ends = [*zip(problem.domain.low, problem.domain.high, strict=True)] + ([problem.time] if problem.time else [])
    offsets = np.arange(-REACH, REACH + 1.0)
    powers = np.vander(offsets, increasing=True).T
    jets = []
    for order in orders:
        (axis, times), *others = [(i, k) for i, k in enumerate(order) if k] or [(0, 0)]
        assert not others, "a mixed derivative"
        if times == 0:
            jets.append(problem.exact(points))
            continue
        step = times * (ends[axis][1] - ends[axis][0]) / 4000
        weights = np.linalg.solve(powers, np.eye(len(offsets))[times] * math.factorial(times)) / step**times
        shifted = np.repeat(points, len(offsets), axis=0)
        shifted[:, axis] += np.tile(offsets * step, len(points))
        jets.append(np.einsum("nof,o->nf", problem.exact(shifted).reshape(len(points), len(offsets), -1), weights))
    return np.stack(jets, axis=-1)


def relative_residual(problem, block, points, normals=None):
    """Return the residuals of the reference over the sums of their terms' sizes."""
    jets = jets_of(problem, points, block.orders)
    residual, slopes, _ = block.linearize(problem, jets, points, normals, np.zeros(0))
    terms = np.abs(slopes * jets[:, None]).sum(axis=(2, 3))
    return np.abs(residual).max(axis=0) / terms.max(axis=0)


@pytest.mark.parametrize("name", sampled(KNOWN, {*KNOWN} - {"allen-cahn", "kdv", "kuramoto-sivashinsky"}))
def test_a_reference_fulfils_its_equation(name):
    problem = problem_of(name)
    low, high = [np.r_[end, problem.time[i]] if problem.time else end for i, end in enumerate((problem.domain.low, problem.domain.high))]
    unit = np.random.default_rng(0).uniform(0.2, 0.95, (40, len(low)))
    unit[:, -1] = unit[:, -1].repeat(8)[:40]  # few times: each of them costs a step
    points = low + (high - low) * unit
    assert relative_residual(problem, problem.block, points).max() < 1e-6


@pytest.mark.parametrize("dim", [1, 3, 5])
def test_poissons_reference_fulfils_its_equation_in_any_dimension(dim):
    problem = EQUATIONS["poisson"](dim)
    assert problem.coordinates == (("x", "y", "z")[:dim] if dim <= 3 else ("x1", "x2", "x3", "x4", "x5"))
    points = np.random.default_rng(0).uniform(0.05, 0.95, (40, dim))
    assert relative_residual(problem, problem.block, points).max() < 1e-6
    assert EQUATIONS["poisson"](dim).equation is problem.equation  # what is compiled once is shared


def test_poisson_has_a_dimension():
    with pytest.raises(ValueError, match="0 dimensions; write at least 1"):
        EQUATIONS["poisson"](0)


@pytest.mark.parametrize("name", sampled([*KNOWN, "schroedinger"], {*KNOWN} - {"allen-cahn"}))
def test_a_reference_fulfils_its_conditions(name):
    problem = problem_of(name)
    axes = Products.of(problem, problem.time).axes()
    for condition, block in zip(problem.conditions, problem.blocks, strict=True):
        places = condition.places(problem.domain, problem.time, axes)
        residual = block.linearize(problem, jets_of(problem, places.points, block.orders), places.points, places.normals, np.zeros(0))[0]
        assert np.abs(residual).max() < 1e-9


@pytest.mark.parametrize("name", EQUATIONS)
def test_parameters_have_a_range_and_an_easy_choice(name):
    module, problem = module_of(name), problem_of(name)
    assert set(module.RANGE) == set(module.EASY) == set(problem.parameters)
    easy = problem.at(**module.EASY)
    for which in (problem.parameters, easy.parameters):
        assert all(low <= which[key] <= high for key, (low, high) in module.RANGE.items())
    assert set(module.RANGE) == set(inspect.signature(EQUATIONS[name]).parameters) - {"dim"}


def difference(problem, one, other):
    """Return how far two marched solutions are apart on a grid in the relative L2 norm, the worst field."""
    x, t = np.linspace(problem.domain.low[0], problem.domain.high[0], 65), np.linspace(problem.time[0], problem.time[1], 41)[:, None]
    a, b = (np.reshape(solution(x, t), (-1, 65 * 41)) for solution in (one, other))
    return np.max(np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1))


@pytest.mark.parametrize("name", [name if name == "gray-scott" else pytest.param(name, marks=pytest.mark.slow) for name in MARCHED])
def test_references_have_converged(name):
    problem, marched = problem_of(name), module_of(name).marched
    size, steps = (inspect.signature(marched).parameters[key].default for key in ("size", "steps"))
    mine = marched(**problem.parameters)
    assert difference(problem, marched.__wrapped__(**problem.parameters, size=3 * size // 4, steps=steps // 2), mine) < MARCHED[name]


def test_burgers_formula_has_converged():
    x, t = np.linspace(-1, 1, 201), np.linspace(0, 1, 41)[:, None]
    for nu in module_of("burgers").RANGE["nu"]:
        np.testing.assert_allclose(cole_hopf(x, t, nu, 200), cole_hopf(x, t, nu, 300), atol=1e-11)


def test_the_breather_is_the_known_one():
    # Satsuma and Yajima, Prog. Theor. Phys. Suppl. 55, 284 (1974): on a long interval the solution is that of the line.
    x, t = np.linspace(-8, 8, 101), np.linspace(0, np.pi / 2, 21)[:, None]
    exact = (
        4
        * np.exp(0.5j * t)
        * (np.cosh(3 * x) + 3 * np.exp(4j * t) * np.cosh(x))
        / (np.cosh(4 * x) + 4 * np.cosh(2 * x) + 3 * np.cos(4 * t))
    )
    np.testing.assert_allclose(module_of("schroedinger").marched(size=1024, steps=2000, half=20.0)(x, t)[0], exact, atol=1e-6)


def test_references_say_which_times_they_know():
    with pytest.raises(ValueError, match=r"from 0\.0 to 20\.0, not at 21\.0"):
        problem_of("gray-scott").exact(np.array([[0.5, 21.0]]))


def solved(name, tol, **given):
    answer = pinn.solve(problem_of(name, **given), tol)
    assert answer.converged, answer.why
    return answer


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("heat", {}),
        pytest.param("wave", {"c": 1.0}, marks=pytest.mark.slow),
        pytest.param("convection", {"beta": 50.0}, marks=pytest.mark.slow),
        ("poisson", {"dim": 1}),
        ("poisson", {}),
        ("helmholtz", {"k": 4.0}),
    ],
)
def test_easy_equations_are_solved_to_the_tolerance(name, given):
    assert solved(name, 1e-6, **given).true_error() < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "given", "tol"),
    [
        ("poisson", {"dim": 3}, 1e-6),
        ("helmholtz", {"k": 10.0}, 1e-5),
        ("reaction", {"rho": 5.0}, 1e-6),
        ("reaction", {"rho": 10.0}, 1e-6),
        ("burgers", {}, 1e-4),
        ("allen-cahn", {"eps": 1e-2}, 1e-3),
        ("kdv", {"eps": 0.05}, 1e-4),
        ("kdv", {"eps": 0.022}, 1e-3),
        ("kuramoto-sivashinsky", {"gamma": 0.05}, 1e-4),
        ("kuramoto-sivashinsky", {"gamma": 0.005}, 1e-3),
        ("gray-scott", {}, 1e-4),
        ("schroedinger", {}, 1e-2),
    ],
)
def test_hard_equations_are_solved_to_the_tolerance(name, given, tol):
    assert solved(name, tol, **given).true_error() < tol


@pytest.mark.slow
def test_the_flow_in_the_cavity_agrees_with_a_finer_one_and_conserves_mass():
    coarse, fine = solved("cavity", 1e-3), solved("cavity", 1e-4)
    x, y = np.meshgrid(np.linspace(0.0, 1.0, 41), np.linspace(0.0, 1.0, 41))
    for name, field in fine(x, y).items():
        assert np.linalg.norm(coarse(x, y)[name] - field) < 1e-3 * np.linalg.norm(field)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    assert abs(weights @ fine(np.full(20, 0.5), (nodes + 1.0) / 2.0)["u"]) < 1e-4
