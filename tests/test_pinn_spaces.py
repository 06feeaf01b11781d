"""The functions that fields are combined from, and the least squares that combine them."""

import numpy as np
import pytest

from physopt.pinn import Ball, Box
from physopt.pinn.bases import Chebyshev, Fourier, Ring, Spline, knots
from physopt.pinn.least_squares import Factor, balance
from physopt.pinn.space import Products

BASES = [Fourier(-1.0, 2.0, 5), Chebyshev(-1.0, 2.0, 9), Spline(np.linspace(-1.0, 2.0, 6) ** 1.0), Ring(np.linspace(-1.0, 2.0, 14))]


@pytest.mark.parametrize("basis", BASES, ids=lambda b: type(b).__name__)
def test_derivatives_of_a_basis_are_derivatives(basis):
    x, h = np.linspace(-0.9, 1.9, 7) + 0.0123, 1e-4
    for times in range(3):
        ahead, behind = (basis.derivative(x + sign * h, times) for sign in (1, -1))
        slope = basis.derivative(x, times + 1)
        np.testing.assert_allclose((ahead - behind) / (2 * h), slope, atol=1e-5 * np.abs(slope).max())
        assert basis.derivative(np.zeros(0), times).shape == (0, basis.size)


@pytest.mark.parametrize("basis", [*BASES, *(basis.finer() for basis in BASES)], ids=lambda b: f"{type(b).__name__}{b.size}")
def test_the_points_of_a_basis_pin_its_functions_down(basis):
    x = basis.points(1.35)
    assert basis.size <= len(x) and basis.low <= x.min() and x.max() <= basis.high
    assert np.linalg.cond(basis.derivative(x, 0)) < 1e6


HOLE = Ball(1.0, x=0, y=0) - Ball(0.6, x=0.1, y=0)
PARTLY = {"disk": Ball(1.0, x=0, y=0), "hole": HOLE, "corner": Box(x=(-1, 1), y=(-1, 1)) - Box(x=(-0.5, 1), y=(-0.5, 1))}


@pytest.mark.parametrize("basis", [Chebyshev(-1.0, 1.0, 12), Spline(np.linspace(-1.0, 1.0, 10))], ids=["Chebyshev", "Spline"])
@pytest.mark.parametrize("times", [0, 1])
@pytest.mark.parametrize("name", PARTLY)
def test_points_are_as_many_where_a_domain_leaves_much_of_its_box_empty(name, times, basis):
    domain, space = PARTLY[name], Products([basis, basis, *[Chebyshev(0.0, 1.0, 5)] * times])
    points = space.points(domain)
    assert domain.inside(points[:, :2]).all()
    assert len(points) > 0.95 * len(space.points(Box(x=(-1, 1), y=(-1, 1))))


@pytest.mark.parametrize("basis", [BASES[0], BASES[3]], ids=["Fourier", "Ring"])
def test_periodic_functions_repeat(basis):
    for times in range(4):
        both = basis.derivative(np.array([basis.low, basis.high]), times)
        np.testing.assert_allclose(both[0], both[1], atol=1e-8 * np.abs(both).max())


def test_knots_gather_where_the_solution_bends_and_change_slowly():
    spans = np.diff(knots(lambda x, times: np.exp(-np.abs(x - 0.3) / 0.01), -1.0, 1.0, 60))
    narrow = spans.argmin()
    assert abs(-1.0 + spans[:narrow].sum() - 0.3) < 0.1 and spans.max() / spans.min() > 3.0
    ratios = spans[1:] / spans[:-1]
    assert ratios.max() < 2.0 and ratios.min() > 0.5


@pytest.mark.parametrize("band", [7, 40, 200])
def test_a_factor_solves_least_squares(band):
    rng, size = np.random.default_rng(band), 200
    matrix = np.zeros((420, size))
    for row, start in zip(matrix, rng.integers(0, size - band + 1, 420), strict=True):
        row[start : start + band] = rng.standard_normal(band)
    matrix[:size] += np.eye(size)
    matrix *= 10.0 ** rng.uniform(-6, 6, size)  # units of the columns do not matter
    right = rng.standard_normal(420)
    factor = Factor(matrix)
    scale = np.linalg.norm(matrix, axis=0)
    expected = np.linalg.lstsq(matrix / scale, -right, rcond=None)[0] / scale
    np.testing.assert_allclose(factor.solve(right) * scale, expected * scale, atol=1e-9 * np.abs(expected * scale).max())
    inverse = np.linalg.inv((matrix / scale).T @ (matrix / scale))[-3:, -3:] / np.outer(scale[-3:], scale[-3:])
    np.testing.assert_allclose(factor.inverse(3), inverse, rtol=1e-7)


def test_rows_are_balanced_whatever_their_units():
    rng = np.random.default_rng(0)
    sizes = rng.uniform(0.5, 2.0, (6, 3))
    rows, columns = 10.0 ** rng.uniform(-8, 8, 6), 10.0 ** rng.uniform(-8, 8, 3)
    ratio = balance(rows[:, None] * sizes * columns) * rows / balance(sizes)  # the units spread over 16 orders of magnitude
    assert ratio.max() / ratio.min() < 3.0


def test_a_space_holds_its_own_functions():
    space = Products([Chebyshev(0.0, 1.0, 6), Fourier(-1.0, 1.0, 3), Chebyshev(0.0, 2.0, 5)])
    coefficients = np.random.default_rng(0).standard_normal((space.size, 2))
    look = lambda points: space.jets(points, [(0, 0, 0)], coefficients)[:, :, 0]  # noqa: E731
    np.testing.assert_allclose(space.fitted(look), coefficients, atol=1e-10)
    points, order = np.random.default_rng(1).uniform(0.1, 0.9, (11, 3)), (2, 1, 0)
    rows = space.rows(points, {order: np.ones(11)})
    np.testing.assert_allclose(rows @ coefficients, space.jets(points, [order], coefficients)[:, :, 0], rtol=1e-9)


def test_a_band_that_begins_in_few_rows_is_solved():
    rng, columns, width = np.random.default_rng(0), 200, 12
    matrix, right = np.zeros((230, columns)), rng.standard_normal(230)
    for i in range(230):
        first = min(int(0.6 * i), columns - width)  # no row begins in the last third of the columns
        matrix[i, first : first + width] = rng.standard_normal(width)
    lengths = np.linalg.norm(matrix, axis=0)
    damped = np.vstack([matrix, 1e-6 * np.diag(np.where(lengths > 0.0, lengths, 1.0))])
    expected = np.linalg.lstsq(damped, -np.r_[right, np.zeros(columns)])[0]
    np.testing.assert_allclose(Factor(matrix, 1e-6).solve(right), expected, rtol=1e-6, atol=1e-9)
