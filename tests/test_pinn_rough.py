"""Solutions with derivatives that are not bounded: loads that come suddenly, and sides that meet."""

# ruff: noqa: E731  (a residual is one line)

import collections

import numpy as np
import pytest
import scipy.sparse as sparse
from scipy.sparse.linalg import spsolve

from physopt.pinn import Ball, Boundary, Box, Problem, Start, solve

PI, line, square = np.pi, Box(x=(0, 1)), Box(x=(0, 1), y=(0, 1))
zero, rest, still = Boundary(lambda u: u), Start(lambda u: u), Start(lambda u: u.t)
hinged = Boundary(lambda u: u.xx)
n = np.arange(1, 400, 2)[:, None]


def modes(frequency, moved):
    """Return the answer of a body at rest to a load of one everywhere, from what its modes do."""
    return lambda x, t: np.sum(4 / (n * PI) * np.sin(n * PI * x) * moved(frequency(n * PI), t), axis=0)


def stepped(omega, t):
    return (1 - np.cos(omega * t)) / omega**2


def ramped(omega, t):
    return (t - np.sin(omega * t) / omega) / omega**2


def bent(k):
    return 0.5 * k**2


LOADED = {
    "string under a sudden load": ((lambda u: u.tt - u.xx - 1), [zero], modes(lambda k: k, stepped), 1),
    "string under a growing load": ((lambda u, t: u.tt - u.xx - t), [zero], modes(lambda k: k, ramped), 1),
    "beam under a sudden load": ((lambda u: u.tt + 0.25 * u.xxxx - 1), [zero, hinged], modes(bent, stepped), 0.1),
    "beam under a growing load": ((lambda u, t: u.tt + 0.25 * u.xxxx - t), [zero, hinged], modes(bent, ramped), 0.5),
}


@pytest.mark.parametrize("name", LOADED)
def test_what_begins_at_rest_is_not_solved_in_ever_shorter_windows(name):
    equation, conditions, reference, end = LOADED[name]
    windows = collections.Counter()
    problem = Problem(line, equation, [rest, still, *conditions], time=(0, end), reference=reference)
    answer = solve(problem, 1e-3, callback=lambda tried: windows.update([tried.window]))
    assert answer.converged and answer.true_error() < 1e-3
    assert len(windows) < 30


@pytest.mark.slow
def test_a_window_whose_knots_only_move_is_not_tried_for_ever():
    class Enough(Exception):
        pass

    windows = collections.Counter()

    def look(tried):
        windows[tried.window] += 1
        if windows.total() == 50:
            raise Enough

    pulled = [rest, still, Boundary(lambda u: u, lambda x: x == 0), Boundary(lambda u: u.x - 1, lambda x: x == 1)]
    with pytest.raises(Enough):
        solve(Problem(line, lambda u: u.tt - u.xx, pulled, time=(0, 1.5)), 1e-3, largest=300, callback=look)
    assert max(windows.values()) <= 8


def test_clamped_plate():
    plate = Problem(square, lambda u: u.xxxx + 2 * u.xxyy + u.yyyy - 1, [Boundary(lambda u: (u, u.normal))])
    answer = solve(plate, 1e-5)
    assert answer.converged and abs(answer(0.5, 0.5) / 0.001265319087 - 1) <= 1e-5  # Timoshenko's table, more digits by Meleshko


def test_plate_on_hinges():
    def navier(x, y):
        m, k = n[:30, :, None], n[None, :30, 0, None]
        return np.sum(16 / (PI**6 * m * k * (m**2 + k**2) ** 2) * np.sin(m * PI * x) * np.sin(k * PI * y), axis=(0, 1))

    edges = [zero, Boundary(lambda u: u.xx, lambda x: (x == 0) | (x == 1)), Boundary(lambda u: u.yy, lambda y: (y == 0) | (y == 1))]
    plate = Problem(square, lambda u: u.xxxx + 2 * u.xxyy + u.yyyy - 1, edges, reference=navier)
    answer = solve(plate, 1e-5)
    assert answer.converged and answer.true_error() <= 1e-5


SIDES = {
    "skew": (lambda u: u.xx + u.yy + u.xy + 1, (1.0, 1.0, 1.0)),
    "unlike": (lambda u: u.xx + 10 * u.yy + 1, (1.0, 10.0, 0.0)),
    "askew": (lambda u: 2 * u.xx + u.yy - 1.5 * u.xy + 1, (2.0, 1.0, -1.5)),
}


def differences(xx, yy, xy, cells):
    """Return the values at the inner nodes, by second-order differences."""
    step, count = 1 / cells, cells - 1
    second = sparse.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(count, count)) / step**2
    first = sparse.diags_array([-1.0, 1.0], offsets=[-1, 1], shape=(count, count)) / (2 * step)
    one = sparse.eye_array(count)
    matrix = xx * sparse.kron(second, one) + yy * sparse.kron(one, second) + xy * sparse.kron(first, first)
    return spsolve(matrix.tocsc(), -np.ones(count**2)).reshape(count, count)


@pytest.mark.parametrize("name", SIDES)
def test_membranes_that_pull_unlike_in_two_directions_are_those_of_differences(name):
    equation, pulls = SIDES[name]
    answer = solve(Problem(square, equation, [zero]), 1e-4)
    coarse, fine = differences(*pulls, 40), differences(*pulls, 80)
    x, y = np.meshgrid(*[np.arange(1, 40) / 40] * 2, indexing="ij")
    expected = fine[1::2, 1::2] + (fine[1::2, 1::2] - coarse) / 3
    assert answer.converged
    assert np.linalg.norm(answer(x.ravel(), y.ravel()) - expected.ravel()) <= 1e-3 * np.linalg.norm(expected)


def supported(*conditions, box=square, equation=lambda u: u.laplacian + 1):
    return Problem(box, equation, conditions)


def test_motz_problem_has_its_known_coefficients():
    conditions = [
        Boundary(lambda u: u, lambda x, y: (y == 0) & (x <= 0)),
        Boundary(lambda u: u.y, lambda x, y: (y == 0) & (x > 0)),
        Boundary(lambda u: u.x, lambda x: x == -1),
        Boundary(lambda u: u.y, lambda y: y == 1),
        Boundary(lambda u: u - 500, lambda x: x == 1),
    ]
    answer = solve(supported(*conditions, box=Box(x=(-1, 1), y=(0, 1)), equation=lambda u: u.laplacian), 1e-5)
    known = [401.162453745, 87.6559201951, 17.2379150794, -8.0712152597, 1.4402727170]  # Li, Mathon, Sermer (1987)
    radius, angle = np.meshgrid([0.02, 0.1, 0.2], np.linspace(0.1, 3.0, 7))
    expected = sum(d * radius ** (k + 0.5) * np.cos((k + 0.5) * angle) for k, d in enumerate(known))
    assert answer.converged
    np.testing.assert_allclose(answer(radius * np.cos(angle), radius * np.sin(angle)), expected, rtol=1e-5, atol=1e-3)


MIXED = {
    "held in the middle of a side": (lambda x, y: (y == 0) & (abs(x - 0.45) <= 0.15), lambda u: u.normal, 1e-3),
    "held at the end of a side, Robin's elsewhere": (lambda x, y: (x == 0) & (y < 0.3), lambda u: u.normal + 2 * u, 1e-3),
    "free at two places": (lambda x, y: ~((y == 0) & (x > 0.25) | (x == 1) & (y > 0.75)), lambda u: u.normal, 1e-3),
}


def volumes(held, exchange, cells):
    """Return the values in the middles of square cells: fluxes through their sides balance a source of one."""
    width, middles = 1 / cells, (np.arange(cells) + 0.5) / cells
    one = sparse.diags_array([np.r_[1.0, np.full(cells - 2, 2.0), 1.0], -np.ones(cells - 1), -np.ones(cells - 1)], offsets=[0, 1, -1])
    matrix = sparse.kron(one, sparse.eye_array(cells)) + sparse.kron(sparse.eye_array(cells), one)
    extra, number = np.zeros((cells, cells)), np.full(cells, 0.0)
    for side, x, y in (
        ((0, slice(None)), number, middles),
        ((-1, slice(None)), number + 1, middles),
        ((slice(None), 0), middles, number),
        ((slice(None), -1), middles, number + 1),
    ):
        extra[side] += np.where(held(x, y), 2.0, exchange * width / (1 + exchange * width / 2))
    system = matrix + sparse.diags_array(extra.ravel())
    return spsolve(system.tocsc(), np.full(cells**2, width**2)).reshape(cells, cells)


@pytest.mark.parametrize("name", MIXED)
def test_conditions_that_change_on_a_side_are_those_of_finite_volumes(name):
    held, otherwise, tol = MIXED[name]
    conditions = [Boundary(lambda u: u, held), Boundary(otherwise, lambda x, y: ~held(x, y))]
    answer = solve(supported(*conditions), tol)
    exchange = 2.0 if "Robin" in name else 0.0
    coarse, fine = volumes(held, exchange, 80), volumes(held, exchange, 240)
    middles = (np.arange(80) + 0.5) / 80
    fine = fine[1::3, 1::3]  # their error halves with the cells' width: extrapolated
    expected = fine + (fine - coarse) / 2
    found = answer(*[axis.ravel() for axis in np.meshgrid(middles, middles, indexing="ij")]).reshape(80, 80)
    assert answer.converged
    assert np.linalg.norm(found - expected) <= 3e-3 * np.linalg.norm(expected)


def test_an_elastic_body_that_is_held_at_a_part_of_a_side_is_named():
    equation = lambda u, v: (3 * u.xx + u.yy + 2 * v.xy + 1, 3 * v.yy + v.xx + 2 * u.xy)
    held = Boundary(lambda u, v: (u, v), lambda x, y: (y == 0) & (x < 0.5) | (y > 0))
    free = Boundary(lambda u, v: (u.y + v.x, 3 * v.y + u.x), lambda x, y: (y == 0) & (x >= 0.5))
    answer = solve(Problem(square, equation, [held, free], fields="u v"), 1e-2, largest=600)
    assert not answer.converged and "conditions change near x = 0.475" in answer.why


def test_conditions_that_change_on_a_circle_are_named_and_not_called_converged():
    conditions = [Boundary(lambda u: u, lambda x: x < 0), Boundary(lambda u: u.normal, lambda x: x >= 0)]
    answer = solve(supported(*conditions, box=Ball(1, x=0, y=0)), 1e-2, largest=300)
    assert not answer.converged and "conditions change near" in answer.why
    whole = solve(supported(zero, box=Ball(1, x=0, y=0)), 1e-2)
    assert whole.converged and "change" not in whole.why
