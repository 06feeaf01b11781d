"""The law of verdicts: at saddles and minima alike they agree with the lowest eigenvalue of PySCF's own Hessian."""

import numpy as np
import pytest
from instances import molecule, sampled
from pyscf import scf

from benchmarks.determinants import SYSTEMS, determinants, lowest_eigenvalue, tightly
from physopt import accelerate
from physopt.scf.model import Orbitals
from physopt.scf.modes import ModeSearch
from physopt.scf.problem import SCF
from physopt.scf.stability import UNSTABLE, _decide, analyze

QUICK = {"F2 U", "Br2 U", "I2 R", "H2 1.20 U", "N2 2.00 R", "C2 R", "BN R", "oxygen, triplet U", "OH RO", "Ni atom U", "AgF U", "Pd atom R"}
CASES = {f"{system.name} {kind}": (system, kind) for system in SYSTEMS for kind in system.kinds.split()}


def model_at(mf):
    """Return the model at a determinant of plain PySCF, as it is."""
    problem = SCF.of(mf)
    density = problem.oracle.density_of_ao(np.asarray(mf.make_rdm1(mf.mo_coeff, mf.mo_occ)))
    point = Orbitals(problem.oracle.rotations.natural(density))
    problem = problem.at(point)
    return problem.evaluate(point).model


LONG = {"AgF U", "Ni atom U", "C2 R", "I2 R"}


@pytest.mark.parametrize("name", sampled(CASES, QUICK - LONG))
def test_the_verdict_never_contradicts_the_exact_hessian(name):
    system, kind = CASES[name]
    for _, mf in determinants(system, kind):
        lowest, residual, _ = lowest_eigenvalue(mf)
        found = analyze(model_at(mf))
        assert found.stable == (lowest >= -UNSTABLE)
        assert found.curvature >= lowest - max(2.0 * residual, 1e-5)  # a bound that holds
        assert found.products <= (6 if name in QUICK else 40)


TWINS = {("H", 1.19), ("H", 1.21), ("F", 1.21)}


@pytest.mark.parametrize("twin", sampled([(element, distance) for element in "HF" for distance in (1.19, 1.21, 1.4)], TWINS), ids=str)
def test_closed_shells_and_their_unrestricted_twins_agree(twin):
    element, distance = twin
    mol = molecule(f"{element} 0 0 0; {element} 0 0 {distance}", basis="6-31g")
    closed = tightly(scf.RHF(mol), None)
    restricted = analyze(model_at(closed))
    open_shell = closed.to_uhf()
    lowest, _, _ = lowest_eigenvalue(open_shell)
    assert restricted.stable and (restricted.external < 0.0) == (lowest < -UNSTABLE)
    assert analyze(model_at(open_shell)).stable == (restricted.external > 0.0)
    if restricted.external < 0.0:
        assert 0.5 * restricted.external == pytest.approx(lowest, abs=0.01)


@pytest.mark.parametrize("lift", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("element", ["H", "F", "N"])
def test_a_mode_that_the_model_hides_is_not_overlooked(element, lift):
    # Neither its symmetry nor its curvature is known to the model, which is made to put it high.
    mf = tightly(scf.UHF(molecule(f"{element} 0 0 0; {element} 0 0 2", basis="6-31g")), None)
    model, generator = model_at(mf), np.random.default_rng(5)
    gaps = np.concatenate([g.ravel() for g, *_ in model.frame().gaps()])
    hidden = generator.standard_normal(len(gaps)) / np.maximum(gaps, 0.1)
    hidden /= np.linalg.norm(hidden)
    exact = np.diag(2.0 * gaps) - (2.0 * hidden @ (gaps * hidden) + 0.2) * np.outer(hidden, hidden)
    cheap = exact + lift * np.outer(hidden, hidden)
    assert np.linalg.eigvalsh(exact)[0] < -0.1
    search = ModeSearch(lambda x: cheap @ x, 2.0 * gaps, lambda x: x[None])
    assert _decide(search, lambda x: exact @ x, lambda x: (x,), 0.1, UNSTABLE, 40, False)[0].stable is not True


@pytest.mark.parametrize("distance", [1.2, 1.6])
def test_without_a_model_the_verdict_is_right_or_not_given(distance):
    mf = tightly(scf.UHF(molecule(f"F 0 0 0; F 0 0 {distance}", basis="6-31g")), None)
    problem = SCF(mf)
    point = Orbitals(problem.oracle.rotations.natural(problem.oracle.density_of_ao(np.asarray(mf.make_rdm1()))))
    found = analyze(problem.evaluate(point).model)
    assert found.stable is not (lowest_eigenvalue(mf)[0] < -UNSTABLE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("element", "distance", "valence"), [("F", 1.41, {}), ("Cl", 2.4, {}), ("I", 3.1, {"basis": "lanl2dz", "ecp": "lanl2dz"})]
)
def test_instabilities_of_halogens_are_followed(element, distance, valence):
    mol = molecule(f"{element} 0 0 0; {element} 0 0 {distance}", **valence)
    saddle = tightly(scf.UHF(mol), None)
    assert lowest_eigenvalue(saddle)[0] < -UNSTABLE
    mf = accelerate(scf.UHF(mol), target="stable")
    mf.conv_tol_grad = 1e-5
    mf.kernel(saddle.make_rdm1())
    assert mf.converged and mf.state.stable and mf.e_tot < saddle.e_tot - 1e-3
    assert lowest_eigenvalue(mf.undo_accelerate())[0] > -UNSTABLE


@pytest.mark.slow
@pytest.mark.parametrize("target", ["stable", "lowest"])
def test_neodymium_oxide_ends_in_a_minimum(target):
    (system,) = (s for s in SYSTEMS if s.name == "NdO")
    mf = accelerate(system.mean_field("U"), target=target)
    mf.max_cycle = 100
    mf.kernel()
    assert mf.converged and mf.state.stable is not False
    if mf.state.stable:
        assert lowest_eigenvalue(mf.undo_accelerate())[0] > -UNSTABLE
