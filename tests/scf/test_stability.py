"""The verdict on a state agrees with the whole exact Hessian, at the price of a few products."""

import numpy as np
import pytest
import scipy.optimize
from instances import HYDROXYL, WATER, molecule, sampled
from pyscf import dft, scf

from physopt import accelerate
from physopt.core.tree import tree_norm
from physopt.scf.meter import Meter
from physopt.scf.modes import ModeSearch
from physopt.scf.problem import SCF
from physopt.scf.stability import UNSTABLE, analyze, exact_curve

NITROGEN = "N 0 0 0; N 0 0 2"
CARBON = "C 0 0 0; C 0 0 1.2425"
OXYGEN = "O 0 0 0; O 0 0 1.2075"
FLUORINE = "F 0 0 0; F 0 0 2.5"
BORON_NITRIDE = "B 0 0 0; N 0 0 1.2745"
NITRIC_OXIDE = "N 0 0 0; O 0 0.8 0.827"  # linear, but along no axis of the frame


def converged(mf):
    plain = mf.run()
    mf = accelerate(mf)
    mf.conv_tol_grad = 1e-5
    mf.kernel(plain.make_rdm1())  # the state PySCF finds, saddle or not
    assert mf.converged
    return mf


def spectrum(mf):
    """Return all eigenvalues of the exact Hessian, column by column."""
    model = mf.solution.evaluation.model
    curve, shapes = exact_curve(model), [g.shape for g, *_ in model.frame().gaps()]
    ends = np.cumsum([a * b for a, b in shapes])
    columns = []
    for unit in np.eye(ends[-1]):
        image = curve(tuple(x.reshape(s) for x, s in zip(np.split(unit, ends[:-1]), shapes, strict=True)))
        columns.append(np.concatenate([x.ravel() for x in image]))
    matrix = np.array(columns)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-7)
    return np.linalg.eigvalsh(matrix)


CASES = {
    "water": (lambda: scf.RHF(molecule(WATER)), True),
    "nitrogen-stretched": (lambda: scf.RHF(molecule(NITROGEN)), False),
    "carbon": (lambda: scf.RHF(molecule(CARBON)), False),
    "boron-nitride": (lambda: scf.RHF(molecule(BORON_NITRIDE)), True),
    "fluorine-stretched": (lambda: scf.RHF(molecule(FLUORINE)), True),
    "fluorine-stretched-uhf": (lambda: scf.UHF(molecule(FLUORINE)), False),
    "oxygen": (lambda: scf.UHF(molecule(OXYGEN, spin=2)), True),
    "oxygen-rohf": (lambda: scf.ROHF(molecule(OXYGEN, spin=2)), False),
    "oxygen-roks": (lambda: dft.ROKS(molecule(OXYGEN, basis="sto-3g", spin=2), xc="pbe0").set(grids_level=0), True),
    "carbon-uks": (lambda: dft.UKS(molecule(CARBON, basis="sto-3g"), xc="pbe0").set(grids_level=0), False),
}


@pytest.mark.parametrize("name", sampled(CASES, ("water", "carbon", "fluorine-stretched-uhf", "oxygen-rohf")))
def test_the_verdict_is_that_of_the_whole_hessian(name):
    make, stable = CASES[name]
    mf = converged(make())
    found, lowest = analyze(mf.solution.evaluation.model), spectrum(mf)[0]
    assert found.stable == stable == (lowest > -UNSTABLE)
    assert found.curvature >= lowest - 1e-6  # a Ritz value
    assert abs(found.curvature - lowest) <= found.error + 1e-6 or not stable
    assert tree_norm(found.mode) == pytest.approx(1.0)
    assert 1 <= found.products <= 4


def turned_apart(mf, angle):
    """Return the energy of H2 in two functions with the bonding orbitals of the spins turned apart, by PySCF."""
    plus, minus = (mf.get_ovlp()[0, 1] * sign + 1.0 for sign in (1.0, -1.0))
    bonding, antibonding = np.array([1.0, 1.0]) / np.sqrt(2.0 * plus), np.array([1.0, -1.0]) / np.sqrt(2.0 * minus)
    spins = [np.cos(x) * bonding + np.sin(x) * antibonding for x in (angle / np.sqrt(2.0), -angle / np.sqrt(2.0))]
    return mf.energy_tot(np.array([np.outer(c, c) for c in spins]))


def curvature_towards_unequal_spins(length, step=0.02):
    mf = scf.UHF(molecule(f"H 0 0 0; H 0 0 {length}", basis="sto-3g")).build()
    here, near, far = (turned_apart(mf, k * step) for k in range(3))
    return (16.0 * near - far - 15.0 * here) / (6.0 * step**2)  # the energy is even in the angle


@pytest.mark.parametrize("soft", sampled([-5e-4, -5e-5, 5e-5, 5e-4], 3))
def test_soft_modes_are_on_the_right_side(soft):
    length = scipy.optimize.brentq(lambda r: curvature_towards_unequal_spins(r) - soft, 0.9, 1.6, xtol=1e-12)
    closed = scf.RHF(molecule(f"H 0 0 0; H 0 0 {length}", basis="sto-3g")).run()
    mf = accelerate(scf.UHF(closed.mol))
    mf.conv_tol_grad = 1e-7
    mf.kernel(np.stack([0.5 * closed.make_rdm1()] * 2))
    found = analyze(mf.solution.evaluation.model)
    assert found.stable == (soft > 0.0)
    assert found.curvature == pytest.approx(soft, abs=2e-6)


@pytest.mark.parametrize(("atom", "spin"), [(HYDROXYL, 1), (NITRIC_OXIDE, 1), ("C 0 0 0", 2)])
def test_turning_an_open_shell_in_space_is_no_instability(atom, spin):
    mf = converged(scf.UHF(molecule(atom, spin=spin)))
    free = spectrum(mf)
    assert abs(free).min() < 1e-5  # the mode is there,
    found = analyze(mf.solution.evaluation.model)
    assert found.stable and found.curvature > 0.02  # and is not mistaken for the lowest
    assert found.products <= 3


def test_every_product_is_a_build_that_the_meter_sees():
    mf = converged(scf.RHF(molecule(CARBON)))
    meter = Meter()
    meter.watch(mf)
    assert analyze(mf.solution.evaluation.model).products == meter.builds


def test_the_way_down_goes_down():
    mf = converged(scf.RHF(molecule(CARBON)))
    found, problem = analyze(mf.solution.evaluation.model), SCF(mf)
    moved = problem.evaluate(problem.retract(mf.solution.point, tuple(0.05 * k for k in found.mode)))
    assert moved.value - mf.e_tot == pytest.approx(0.5 * found.curvature * 0.05**2, rel=0.05)


def test_the_model_tells_of_unequal_spins():
    for atom, apart in ((WATER, False), (FLUORINE, True)):
        external = analyze(converged(scf.RHF(molecule(atom))).solution.evaluation.model).external
        assert external is not None and (external < 0.0) == apart
    assert analyze(converged(scf.UHF(molecule(HYDROXYL, spin=1))).solution.evaluation.model).external is None


def test_a_mode_search_is_exact_where_it_was_asked():
    generator = np.random.default_rng(3)
    exact, cheap = (m + m.T + np.diag(np.arange(30.0)) for m in 0.3 * generator.standard_normal((2, 30, 30)))
    search = ModeSearch(lambda x: cheap @ x, np.diag(cheap), lambda x: x[None])
    ((value, vector),) = search.lowest(accuracy=1e-7)
    assert value == pytest.approx(np.linalg.eigvalsh(cheap)[0], abs=1e-6)
    while search.ask([vector], lambda x: exact @ x) is not None:
        ((value, vector),) = search.lowest(accuracy=1e-7)
    assert value == pytest.approx(np.linalg.eigvalsh(exact)[0], abs=1e-4)
    assert search.ritz()[0] == pytest.approx(value, abs=1e-4)
