"""Laws of stiffness: their ends, their slopes, and a run with each."""

import numpy as np
import pytest

from physopt.topopt import Power, Ramp
from physopt.topopt.definition import changed
from physopt.topopt.gallery import cantilever
from physopt.topopt.method.methods import solve

LAWS = [Power(), Ramp()]


@pytest.mark.parametrize("law", LAWS, ids=["power", "ramp"])
@pytest.mark.parametrize("penal", [1.0, 3.0, 8.0])
def test_laws_join_void_and_solid_by_a_convex_curve(law, penal):
    density, step = np.linspace(0.0, 1.0, 101), 1e-6
    stiffness, slope = law.stiffness(density, penal, 2.0), law.slope(density, penal, 2.0)
    np.testing.assert_allclose(stiffness[[0, -1]], [0.0, 2.0])
    ahead, behind = law.stiffness(density + step, penal, 2.0), law.stiffness(np.abs(density - step), penal, 2.0)
    np.testing.assert_allclose((ahead - behind)[1:] / (2.0 * step), slope[1:], rtol=1e-6, atol=1e-9)
    assert (np.diff(slope) >= 0.0).all()


def test_the_slope_of_ramp_does_not_vanish_in_void():
    assert Ramp().slope(np.zeros(1), 3.0, 1.0) == 0.25 and Power().slope(np.zeros(1), 3.0, 1.0) == 0.0


@pytest.mark.parametrize("method", ["oc", *(pytest.param(method, marks=pytest.mark.slow) for method in ("physopt", "mma-multilevel"))])
def test_files_may_ask_for_ramp(method):
    definition = changed(cantilever((24, 12)), {"interpolation": "ramp", "penal": 6.0, "rmin": 2.4})
    design = solve(definition, method, solutions=30)
    assert isinstance(design.problem.interpolation, Ramp) and design.problem.penal == 6.0
    first = design.problem.evaluate(design.problem.init()).value
    assert design.solution.evaluation.value < 0.6 * first
    with pytest.raises(ValueError, match="interpolation"):
        changed(definition, {"interpolation": "wood"})
