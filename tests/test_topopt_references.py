"""Mechanics and optima against programs that others wrote."""

import numpy as np
import pytest

from physopt.rules.oc import OptimalityCriteria
from physopt.topopt import SIMP, SensitivityFilter, Structure
from physopt.topopt.definition import Definition, Load, Spring, Support, Target, changed
from physopt.topopt.gallery import inverter
from physopt.topopt.method.stages import Stage, optimize

WIDE, HIGH = 12, 8
BOX = {"shape": [WIDE, HIGH], "volfrac": 0.5}
CLAMPED = [Support(region=[[0, 0], [0, HIGH]], fix="xy")]
TWO_LOADS = Definition(
    **BOX,
    support=CLAMPED,
    load=[
        Load(region=[[WIDE, HIGH], [WIDE, HIGH]], force=[0.0, 1.0]),
        Load(region=[[WIDE, 0], [WIDE, 0]], force=[0.0, -1.0], case=1),
    ],
)
HEAT = Definition(
    **BOX,
    physics="heat",
    Emin=1e-3,
    support=[Support(region=[[0, 3], [0, 5]], fix="T")],
    load=[Load(region=[[0, 0], [WIDE, HIGH]], force=[0.01 * (WIDE + 1) * (HIGH + 1)])],
)
MECHANISM = Definition(
    **BOX,
    objective="output",
    support=[Support(region=[[0, HIGH], [WIDE, HIGH]], fix="y"), Support(region=[[0, 0], [0, 1]], fix="xy")],
    load=[Load(region=[[0, HIGH], [0, HIGH]], force=[1.0, 0.0])],
    output=[Target(region=[[WIDE, HIGH], [WIDE, HIGH]], direction=[-1.0, 0.0])],
    spring=[Spring(region=[[x, HIGH], [x, HIGH]], stiffness=[0.1, 0.0]) for x in (0, WIDE)],
)


def uneven():
    x, y = np.meshgrid(np.arange(WIDE) + 0.5, np.arange(HIGH) + 0.5, indexing="ij")
    return 0.525 + 0.475 * np.sin(0.7 * x) * np.cos(0.45 * y + 0.1 * x)


# Work of each load on the displacements of each other, as pyMOTO 2.0.1 finds it with plane stress and SciPy's sparse solver.
@pytest.mark.parametrize(
    ("definition", "work"),
    [
        (TWO_LOADS, [[625.19729798, -352.51135843], [-352.51135843, 465.26328321]]),
        (HEAT, [[9.99380331]]),
        (MECHANISM, [[9.77003059, -0.03312446], [-0.03312446, 8.69775706]]),
    ],
    ids=["two-loads", "heat", "mechanism"],
)
@pytest.mark.parametrize("iterative", [False, True], ids=["direct", "multigrid"])
def test_work_of_loads(definition, work, iterative):
    problem = definition.problem(iterative=iterative)
    np.testing.assert_allclose(problem.equilibrium.work(problem.young(uneven())).matrix, work, rtol=1e-6 if iterative else 1e-8, atol=5e-9)


@pytest.mark.parametrize("definition", [TWO_LOADS, HEAT, MECHANISM], ids=["two-loads", "heat", "mechanism"])
@pytest.mark.parametrize("beta", [0.0, 4.0])
def test_slopes_are_derivatives_with_passive_elements_mirrors_and_projection(definition, beta):
    parts = {"beta": beta, "rmin": 1.7, "mirror": "y", "passive": [{"region": [[4, 3], [6, 5]], "density": 0.0}]}
    problem = changed(definition, parts).problem()
    point = problem.retract(problem.init(), np.random.default_rng(0).normal(size=(WIDE, HIGH)))
    program = problem.evaluate(point).model.program
    direction, h = np.random.default_rng(1).normal(size=point.shape), 1e-6
    ahead, behind = (problem.evaluate(point + sign * h * direction).model.program for sign in (1.0, -1.0))
    slope = (program.slopes * direction).sum()
    np.testing.assert_allclose((ahead.values - behind.values) / (2.0 * h), slope, rtol=1e-5)
    used = [problem.density(point + sign * h * direction).sum() for sign in (1.0, -1.0)]
    np.testing.assert_allclose((used[0] - used[1]) / (2.0 * h), program.used(direction), rtol=1e-5)


def optimized(problem, move=0.2, exponent=0.5):
    design = optimize([Stage(problem, OptimalityCriteria(exponent, move), 400)])
    assert design.solution.converged
    return float(design.solution.evaluation.value)


def beam(shape, volfrac, rmin, *loads):
    x, y = shape
    support = [Support(region=[[0, 0], [0, y]], fix="xy")]
    load = [Load(region=[[x, at], [x, at]], force=[0.0, force], case=case) for case, (at, force) in enumerate(loads)]
    return Definition(shape=[x, y], volfrac=volfrac, rmin=rmin, filter="sensitivity", support=support, load=load)


# Final values of topoptlab's tests, which count the sum of the compliances of all load cases.
@pytest.mark.parametrize(
    ("definition", "final"),
    [
        (beam((60, 20), 0.5, 2.4, (0, -1.0)), 208.44294),
        pytest.param(beam((160, 100), 0.4, 6.0, (0, -1.0)), 61.42825, marks=pytest.mark.slow),
        pytest.param(beam((60, 20), 0.5, 2.4, (20, 1.0), (0, -1.0)), 510.37278, marks=pytest.mark.slow),
        pytest.param(beam((150, 150), 0.4, 6.0, (150, 1.0), (0, -1.0)), 69.20374, marks=pytest.mark.slow),
    ],
    ids=["cantilever", "large-cantilever", "two-loads", "large-two-loads"],
)
def test_optimized_beams(definition, final):
    cases = max(load.case for load in definition.load) + 1
    assert cases * optimized(definition.problem()) == pytest.approx(final, rel=2e-3)


@pytest.mark.slow
def test_optimized_beam_with_a_hole():
    x, y = np.meshgrid(np.arange(60) + 1, np.arange(20) + 1, indexing="ij")
    hole = np.where(np.hypot(y - 10.0, x - 20.0) < 20.0 / 3.0, 0.0, np.nan)
    problem = SIMP(beam((60, 20), 0.5, 2.4, (0, -1.0)).structure(), 0.5, SensitivityFilter(2.4), passive=hole)
    assert optimized(problem) == pytest.approx(221.97206, rel=1e-2)


@pytest.mark.slow
def test_optimized_heat_sink():
    held, heat = np.zeros((1, 41, 41), bool), np.full((1, 1, 41, 41), 0.01)
    held[0, 0, 18:23] = True  # a tenth of one side
    assert optimized(SIMP(Structure((40, 40), heat, held), 0.4, SensitivityFilter(1.2))) == pytest.approx(473.7337, rel=1e-2)


@pytest.mark.slow
def test_optimized_inverter():
    assert optimized(changed(inverter(), {"filter": "sensitivity"}).problem(), 0.1, 0.3) == pytest.approx(-1.117, rel=1e-2)
