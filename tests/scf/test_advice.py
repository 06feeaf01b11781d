"""Every refusal says what to write instead: here it is written, to the letter, and runs."""

import io

import numpy as np
import pytest
from instances import HYDROXYL, WATER, molecule
from pyscf import scf
from pyscf.scf import addons

import physopt
from physopt import accelerate

WATER_MOL = molecule(WATER, basis="sto-3g")
RADICAL = molecule("N 0 0 0; H 0 0.8 0.6; H 0 -0.8 0.6", basis="sto-3g", spin=1)


def smeared(mf):
    return addons.smearing_(mf, sigma=0.05)


def following(mf):
    """Maximum overlap with the ground state of the same mean field."""
    done = mf.undo_accelerate().run() if "Accelerated" in type(mf).__name__ else mf.copy().run()
    return addons.mom_occ_(mf, done.mo_coeff, done.mo_occ)


def orthogonalized(mf):
    return addons.remove_linear_dep_(mf, force_pivoted_cholesky=True)


@pytest.mark.parametrize("kind", [scf.RHF, pytest.param(scf.UHF, marks=pytest.mark.slow)], ids=["rhf", "uhf"])
@pytest.mark.parametrize("change", [smeared, addons.frac_occ_, following, orthogonalized])
def test_response_diis_follows_a_change_after_the_dressing(kind, change):
    mol = WATER_MOL if kind is scf.RHF else RADICAL
    reference = change(kind(mol)).kernel()
    for mf in (change(accelerate(kind(mol))), change(kind(mol))):
        mf.DIIS = physopt.scf.ResponseDIIS
        assert mf.kernel() == pytest.approx(reference, abs=1e-7)
        assert mf.converged


@pytest.mark.parametrize("kind", [scf.RHF, scf.ROHF], ids=["rhf", "rohf"])
@pytest.mark.parametrize("change", [smeared, addons.frac_occ_, orthogonalized])
def test_what_is_no_longer_served_runs_as_pyscf_has_it_or_not_at_all(kind, change):
    mol = WATER_MOL if kind is scf.RHF else RADICAL
    reference, mf = change(kind(mol)).kernel(), change(accelerate(kind(mol)))
    mf.verbose, mf.stdout = 3, io.StringIO()
    assert mf.kernel() == pytest.approx(reference, abs=1e-9)
    assert "PySCF's own kernel runs. " in mf.stdout.getvalue() and "has its own" in mf.stdout.getvalue()
    assert mf.solution is None and mf.state is None
    mf.target = "stable"
    with pytest.raises(TypeError, match=r"needs the accelerated run. .*F has its own .* (mf\.DIIS = |mf\.undo_accelerate\(\)\.kernel\(\))"):
        mf.kernel()
    assert mf.undo_accelerate().kernel() == pytest.approx(reference, abs=1e-8)


@pytest.mark.parametrize(
    ("refused", "advice", "followed", "reference"),
    [
        (lambda: scf.ROHF(molecule(HYDROXYL, spin=-1)), "mol.spin to 1", lambda: scf.ROHF(molecule(HYDROXYL, spin=1)), None),
        (lambda: scf.hf.RHF(RADICAL), "Use ROHF, UHF", lambda: scf.ROHF(RADICAL), None),
        (lambda: scf.GHF(WATER_MOL), "as RHF, UHF", lambda: scf.UHF(WATER_MOL), scf.RHF),
        (lambda: scf.RHF(molecule(WATER, basis="sto-3g", symmetry=True)), "symmetry=False", lambda: scf.RHF(WATER_MOL), None),
        (lambda: scf.RHF(WATER_MOL).newton(), r"mf.undo_newton\(\)", lambda: scf.RHF(WATER_MOL).newton().undo_newton(), scf.RHF),
        (lambda: WATER_MOL, r"such as scf.RHF\(mol\)", lambda: scf.RHF(WATER_MOL), None),
    ],
    ids=["beta", "open", "general", "symmetry", "newton", "molecule"],
)
def test_what_to_dress_instead(refused, advice, followed, reference):
    with pytest.raises(TypeError, match=advice):
        accelerate(refused())
    plain = followed() if reference is None else reference(followed().mol)
    assert accelerate(followed()).kernel() == pytest.approx(plain.kernel(), abs=1e-8)


def test_smeared_open_shells_keep_one_set_of_orbitals():
    mf = smeared(accelerate(scf.ROHF(RADICAL)))  # PySCF makes it an RHF
    mf.DIIS = physopt.scf.ResponseDIIS
    assert mf.kernel() == pytest.approx(smeared(scf.ROHF(RADICAL)).kernel(), abs=1e-7)


def test_symmetry_turned_on_later_and_off_again():
    mf = accelerate(scf.RHF(molecule(WATER, basis="sto-3g", symmetry=True).build(symmetry=False)))
    assert mf.kernel() == pytest.approx(scf.RHF(WATER_MOL).kernel(), abs=1e-8)


def test_response_diis_says_where_it_does_not_serve():
    from pyscf import scf as pyscf_scf

    mf = scf.ROHF(RADICAL)
    mf.DIIS = physopt.scf.ResponseDIIS
    with pytest.raises(TypeError, match=r"not ROHF. Set mf\.DIIS = pyscf\.scf\.diis\.CDIIS"):
        mf.kernel()
    mf.DIIS = pyscf_scf.diis.CDIIS
    assert mf.kernel() == pytest.approx(scf.ROHF(RADICAL).kernel(), abs=1e-8)
    # A current that it cannot follow.
    mf = scf.RHF(WATER_MOL)
    mf.DIIS = physopt.scf.ResponseDIIS
    core = mf.get_hcore() + 1e-3j * WATER_MOL.intor("int1e_cg_irxp", comp=3)[0]
    mf.get_hcore = lambda *a: core
    with pytest.raises(TypeError, match="not a complex RHF"):
        mf.kernel()
    mf.DIIS = pyscf_scf.diis.CDIIS
    assert np.isfinite(mf.kernel()) and mf.converged


def test_a_target_and_pyscfs_kernel_exclude_each_other():
    mf = accelerate(scf.RHF(WATER_MOL), target="stable")
    mf.DIIS = physopt.scf.ResponseDIIS
    with pytest.raises(TypeError, match=r"needs the accelerated run\. DIIS = ResponseDIIS asks"):
        mf.kernel()
    mf.target = "nearest"
    assert mf.kernel() == pytest.approx(scf.RHF(WATER_MOL).kernel(), abs=1e-8)
