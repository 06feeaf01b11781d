"""How optimal designs move with the parameters of their problem: against designs that are optimized again."""

import numpy as np
import pytest
from instances import two_sided

from physopt import Stop, minimize
from physopt.core.boxed import boxed_program
from physopt.core.sensitivity import STENCIL
from physopt.rules import MMA
from physopt.topopt import SIMP, DensityFilter, MeanCompliance, PowerMean, SensitivityFilter, Structure, half_mbb, sensitivity
from physopt.topopt.curvature import curvature


def newton(problem, design):
    """Return the optimum near a design to the last digits, by Newton's method on the conditions with a dense matrix."""
    for _ in range(20):
        program = boxed_program(problem.evaluate(design))
        slope, weights = program.slope, program.weights
        free = (design > program.lower + 1e-9) & (design < program.upper - 1e-9)
        price = -(slope * weights)[free].sum() / (weights * weights)[free].sum()
        outward = np.where(design <= program.lower + 1e-9, 1.0, -1.0) * (slope + price * weights)
        free |= outward < -1e-9 * price
        if abs((slope + price * weights)[free]).max() < 1e-12 * price and abs(program.used(design) - program.volume) < 1e-12:
            return design
        units = np.eye(design.size)[free.ravel()].reshape(-1, *design.shape)
        product = curvature(problem, design)
        columns, w = np.stack([product(unit)[free] for unit in units]), weights[free]
        matrix = np.block([[columns, w[:, None]], [w[None], np.zeros((1, 1))]])
        right = -np.append(slope[free], program.used(design) - program.volume)
        design = design.copy()
        design[free] += np.linalg.solve(matrix, right)[:-1]
        design = np.clip(design, program.lower, program.upper)
    raise AssertionError("Newton's method did not end")


def optimal(problem):
    return newton(problem, minimize(problem, MMA(), problem.init(), stop=Stop(grad_norm=1e-8, max_evaluations=600)).point)


def beam(volfrac=0.5, filtering=DensityFilter(1.5), shape=(8, 4), **options):
    return SIMP(half_mbb(shape), volfrac, filtering, **{"softest": 1e-3, **options})


def pushed(angle):
    """Return a plate that is pushed from above at an angle."""
    force, held = np.zeros((1, 2, 9, 5)), np.zeros((2, 9, 5), bool)
    held[:, 0] = True
    force[0, :, -1, -1] = np.sin(angle), -np.cos(angle)
    return SIMP(Structure((8, 4), force, held), 0.5, DensityFilter(1.5), softest=1e-3)


def weighted(share):
    return two_sided(MeanCompliance((1.0 - share, share))).changed(softest=1e-3)


CASES = {
    "volume": (lambda volfrac: beam(volfrac, shape=(6, 3)), 0.5),
    "filter": (lambda rmin: beam(filtering=DensityFilter(rmin)), 1.5),
    "penalization": (lambda penal: beam(penal=penal), 3.0),
    "void": (lambda softest: beam(softest=softest), 1e-2),
    "projection": (lambda sharpness: beam(sharpness=sharpness), 1.0),
    "load": (pushed, 0.3),
    "weight": (weighted, 0.4),
    "power-mean": (lambda power: two_sided(PowerMean(power)).changed(softest=1e-3), 4.0),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "volume")) for n in CASES])
def test_the_optimum_moves_as_one_that_is_found_again(name):
    problem_of, mu = CASES[name]
    design, step = optimal(problem_of(mu)), 1e-4 * abs(mu)
    (found,) = sensitivity(problem_of, mu, design)
    again = [newton(problem_of(mu + t * step), np.clip(design + t * step * found.design, 1e-6, 1.0)) for t, _ in STENCIL]
    expected = sum(weight * one for (_, weight), one in zip(STENCIL, again, strict=True)) / step
    np.testing.assert_allclose(found.design, expected, atol=1e-6 * abs(expected).max())
    values = [float(problem_of(mu + t * step).evaluate(one).value) for (t, _), one in zip(STENCIL, again, strict=True)]
    assert found.value == pytest.approx(sum(w * v for (_, w), v in zip(STENCIL, values, strict=True)) / step, rel=1e-6)


@pytest.mark.parametrize(
    ("problem_of", "message"),
    [
        (beam, "not optimal"),
        (lambda volfrac: beam(volfrac, SensitivityFilter(1.5)), "DensityFilter"),
        (lambda volfrac: beam(volfrac, halvings=1), "halvings=0"),
    ],
)
def test_what_has_no_sensitivity_is_refused(problem_of, message):
    with pytest.raises(ValueError, match=message):
        sensitivity(problem_of, 0.5, problem_of(0.5).init(), tolerance=10.0 if "halvings" in message else 1e-6)


@pytest.mark.slow
def test_a_density_about_to_leave_its_bound_is_a_kink():
    design = optimal(beam())
    with pytest.raises(ValueError, match="kink"):
        sensitivity(beam, 0.5, design, tolerance=1e3)
