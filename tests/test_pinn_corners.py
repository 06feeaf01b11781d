"""Corners that point inwards: where they are found, the functions that hold them, and what is solved with these."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sparse
from scipy.sparse.linalg import spsolve

from physopt.pinn import Ball, Boundary, Box, Integral, Problem, solve
from physopt.pinn.corner_functions import CornerFunctions
from physopt.pinn.domain import Corner
from physopt.pinn.method.packed import packed, unpacked
from physopt.pinn.space import Products

square = Box(x=(-1, 1), y=(-1, 1))
ell = Box(x=(-1, 0), y=(-1, 1)) | Box(x=(-1, 1), y=(-1, 0))
hole = square - Box(x=(-0.25, 0.25), y=(-0.25, 0.25))
stairs = Box(x=(0, 3), y=(0, 1)) | Box(x=(0, 2), y=(0, 2)) | Box(x=(0, 1), y=(0, 3))
zero = Boundary(lambda u: u)


def pressed(u):
    return u.laplacian + 1


@pytest.mark.parametrize(
    ("domain", "corners"),
    [
        (square, []),
        (Box(x=(0, 1)), []),
        (Box(x=(0, 1), y=(0, 1), z=(0, 1)) - Box(x=(0, 0.5), y=(0, 0.5), z=(0, 0.5)), []),
        (square - Ball(0.5, x=0, y=0), []),
        (Box(x=(-1, 0), y=(-1, 0)) | Box(x=(0, 1), y=(-1, 0)), []),
        (ell, [(0, 0)]),
        (stairs, [(1, 2), (2, 1)]),
        (hole, [(-0.25, -0.25), (-0.25, 0.25), (0.25, -0.25), (0.25, 0.25)]),
        (Ball(1, x=0, y=0) - Box(x=(-0.5, 0.5), y=(0, 0.5)), [(-0.5, 0), (-0.5, 0.5), (0.5, 0), (0.5, 0.5)]),
        (Box(x=(-1, 1), y=(-1, 0)) | Box(x=(-0.3, 0.3), y=(-1, 1)), [(-0.3, 0), (0.3, 0)]),
    ],
)
def test_corners_that_point_inwards_are_found_and_their_poles_are_outside(domain, corners):
    found = [corner for corner in domain.corners() if corner.inward]
    assert [(corner.x, corner.y) for corner in found] == corners
    for corner in domain.corners():
        way = np.linspace(1e-6, 1.0, 300)[:, None]
        assert not domain.inside((1 - way) * corner[:2] + way * np.array(corner[2:4])).any()


def test_derivatives_of_corner_functions_are_derivatives():
    functions = CornerFunctions([Corner(0.1, 0.2, 0.5, 0.6, 2.0, True), Corner(-0.4, 0.0, -0.1, -0.3, 2.0, False)], 3)
    points, h = np.array([[-0.3, 0.4], [0.2, -0.7], [0.9, 0.1]]), 1e-4
    for in_x, in_y in ((1, 0), (0, 1), (2, 0), (1, 1), (2, 1), (1, 2), (0, 4)):
        step, lower = (np.array([h, 0.0]), (in_x - 1, in_y)) if in_x else (np.array([0.0, h]), (in_x, in_y - 1))
        ahead, behind = (functions.derivative(points + sign * step, *lower) for sign in (1, -1))
        slope = functions.derivative(points, in_x, in_y)
        np.testing.assert_allclose((ahead - behind) / (2 * h), slope, atol=3e-6 * np.abs(slope).max())


def test_a_space_with_corners_is_recorded():
    space = Products.of(Problem(ell, pressed, [zero]), None)
    read = unpacked(*packed(space))
    points, order = np.array([[-0.3, 0.4], [0.0, 0.0]]), [(0, 0)]
    drawn = np.random.default_rng(0).standard_normal((space.size, 1))
    np.testing.assert_array_equal(read.jets(points, order, drawn), space.jets(points, order, drawn))
    assert np.isfinite(read.jets(points, order, drawn)).all()  # at the corner too


def test_a_side_that_is_held_meets_one_that_is_free():
    def true(x, y, np=np):  # zero where x = 0, flat where y = 0
        return (x**2 + y**2) ** (1 / 6) * np.sin(np.mod(np.arctan2(y, x) - np.pi / 2, 2 * np.pi) / 3)

    free = Boundary(lambda u: u.normal, lambda x, y: (y == 0) & (x > 0))
    held = Boundary(lambda u, x, y: u - true(x, y, jnp), lambda x, y: (y != 0) | (x <= 0))
    answer = solve(Problem(ell, lambda u: u.laplacian, [free, held]), 1e-5)
    points = ell.scattered(np.random.default_rng(0), 1000)
    error = answer(*points.T) - true(*points.T)
    assert answer.converged and np.linalg.norm(error) < 1e-5 * np.linalg.norm(true(*points.T))


def test_the_lowest_frequency_of_an_l_shaped_membrane():
    conditions = [zero, Integral(lambda u: u**2, 1.0)]
    problem = Problem(ell, lambda u, E: u.laplacian + E * u, conditions, unknowns={"E": 9.0}, guess=lambda x, y: jnp.ones_like(x))
    answer = solve(problem, 1e-5)
    assert answer.converged
    assert abs(answer.unknowns["E"] - 9.6397238440219) < 1e-3  # Betcke and Trefethen (2005)


def test_outer_corners_are_those_of_boxes_that_do_not_repeat():
    outer = [(corner.x, corner.y) for corner in ell.corners() if not corner.inward]
    assert outer == [(-1, -1), (-1, 1), (0, 1), (1, -1), (1, 0)]
    assert not Box(x=(0, 1), y=(0, 1), periodic="x").corners() and not Ball(1, x=0, y=0).corners()


def test_a_pressed_square_is_that_of_its_series():
    n = np.arange(1, 400, 2)
    true = 0.5 - 16 / np.pi**3 * np.sum((-1.0) ** ((n - 1) // 2) / (n**3 * np.cosh(np.minimum(n * np.pi / 2, 700.0))))  # in the middle
    answer = solve(Problem(square, pressed, [zero]), 1e-9)
    assert answer.converged and abs(answer(0.0, 0.0) - true) < 1e-10


def differences(inside, size, number):
    """Return points inside of a square, and the solution of a pressed membrane there, by differences of second order."""
    h, axis = 2 * size / number, np.linspace(-size, size, number + 1)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    within = inside(x, y)
    index = np.full(x.shape, -1)
    index[within] = np.arange(within.sum())
    places = np.argwhere(within)
    matrix = sparse.identity(len(places), format="lil") * 4.0
    for step in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        there = index[tuple((places + step).T)]
        matrix[np.flatnonzero(there >= 0), there[there >= 0]] = -1.0
    return np.stack([x[within], y[within]], axis=1), spsolve(matrix.tocsc(), np.full(len(places), h * h))


INSIDES = {
    "L": (ell, lambda x, y: (np.maximum(abs(x), abs(y)) < 1 - 1e-9) & ((x < -1e-9) | (y < -1e-9)), 1e-4),
    "square hole": (hole, lambda x, y: (np.maximum(abs(x), abs(y)) < 1 - 1e-9) & (np.maximum(abs(x), abs(y)) > 0.25 + 1e-9), 1e-3),
}


@pytest.mark.parametrize(("domain", "inside", "tol"), INSIDES.values(), ids=INSIDES)
@pytest.mark.slow
def test_a_pressed_membrane_is_that_of_differences(domain, inside, tol):
    answer = solve(Problem(domain, pressed, [zero]), tol)
    (points, coarse), fine = (differences(inside, 1.0, number) for number in (160, 320))
    fine = dict(zip(map(tuple, np.round(fine[0], 9)), fine[1], strict=True))
    there = np.array([fine[place] for place in map(tuple, np.round(points, 9))])
    far = np.min([np.hypot(*(points - corner[:2]).T) for corner in domain.corners() if corner.inward], axis=0) > 0.1
    true = there + (there - coarse) / (2 ** (4 / 3) - 1)  # the error falls like h^(4/3)
    error = np.linalg.norm((answer(*points.T) - true)[far]) / np.linalg.norm(true[far])
    assert answer.converged and error < tol
