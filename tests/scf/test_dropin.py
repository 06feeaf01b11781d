"""Conversions, arguments, logs, signs, pickles, polishing: what plain PySCF does, the dressed object does."""

import copy
import io
import multiprocessing
import pickle

import numpy as np
import pytest
from instances import HYDROXYL, WATER, molecule, sampled
from pyscf import dft, lib, scf
from pyscf.scf import addons

from physopt import accelerate
from physopt.scf.meter import Meter

METHYL = "C 0 0 0; H 0 1.079 0; H 0.9344 -0.5395 0; H -0.9344 -0.5395 0"
AMINO = "N 0 0 0; H 0 0.8 0.6; H 0 -0.8 0.6"
AMINE = "N 0 0 0; H 0 0.9 0.3; H 0.8 -0.5 0.3; F -1.0 -0.9 0.4"  # without symmetry, hence without ties
CONVERSIONS = {
    scf.RHF: ("to_rhf", "to_uhf", "to_ghf", "to_rks", "to_uks", "to_gks", "to_ks", "remove_soscf"),
    scf.UHF: ("to_rhf", "to_uhf", "to_ghf", "to_rks", "to_uks", "to_gks", "to_ks"),
    scf.ROHF: ("to_uhf", "to_ghf", "to_uks", "to_ks"),
    dft.RKS: ("to_rhf", "to_uhf", "to_ghf", "to_hf", "to_rks", "to_uks", "to_gks"),
    dft.UKS: ("to_uhf", "to_ghf", "to_hf", "to_uks"),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow if k in (scf.ROHF, dft.RKS, dft.UKS) else (), id=k.__name__) for k in CONVERSIONS]
)
def test_conversions_run(kind):
    closed = kind in (scf.RHF, dft.RKS)
    mol = molecule("H 0 0 0; F 0 0 0.92", basis="sto-3g") if closed else molecule(AMINO, basis="sto-3g", spin=1)
    make = (lambda: kind(mol, xc="pbe")) if kind in (dft.RKS, dft.UKS) else (lambda: kind(mol))
    plain, fast = make().run(), accelerate(make()).run()
    for name in CONVERSIONS[kind]:
        theirs, ours = getattr(plain, name)(), getattr(fast, name)()
        assert isinstance(ours, type(theirs)), name
        assert ("Accelerated" in type(ours).__name__) == (not ours.istype("GHF")), name
        assert ours.kernel() == pytest.approx(theirs.kernel(), abs=2e-8), name
        assert ours.converged, name


def test_pyscfs_functions_convert_too():
    mol = molecule(HYDROXYL, basis="6-31g", spin=1)
    fast, reference = accelerate(scf.UHF(mol)).run(), scf.UHF(mol).kernel()
    general = addons.convert_to_ghf(fast)
    assert general.kernel() == pytest.approx(reference, abs=1e-8) and general.converged and general.solution is None
    assert addons.convert_to_uhf(fast).kernel() == pytest.approx(reference, abs=1e-8)
    restricted = addons.convert_to_rhf(fast)
    assert restricted.istype("ROHF") and restricted.kernel() == pytest.approx(scf.ROHF(mol).kernel(), abs=1e-8)
    assert fast.newton().remove_soscf().kernel() == pytest.approx(reference, abs=1e-8)
    assert fast.newton().to_ghf().kernel() == pytest.approx(reference, abs=1e-8)
    assert scf.UHF(mol).convert_from_(fast).kernel() == pytest.approx(reference, abs=1e-8)


def test_values_and_arguments_are_pyscfs(tmp_path):
    fast = accelerate(scf.UHF(molecule(METHYL, basis="6-31g", spin=1)))
    fast.chkfile = str(tmp_path / "none.chk")
    energy = fast.kernel(dump_chk=False)
    assert type(energy) is type(fast.e_tot) is np.float64
    assert not (tmp_path / "none.chk").exists()
    assert fast.kernel(dm0=None, dump_chk=True) == pytest.approx(energy, abs=1e-9)
    assert lib.chkfile.load(fast.chkfile, "scf/e_tot") == pytest.approx(energy, abs=1e-9)
    with pytest.raises(TypeError, match=r"mf\.conv_tol = "):
        fast.kernel(conv_tol=1e-12)
    scanner = accelerate(scf.RHF(molecule(WATER))).as_scanner()
    assert scanner(molecule(WATER), dump_chk=False) == pytest.approx(scf.RHF(molecule(WATER)).kernel(), abs=1e-8)


@pytest.mark.parametrize("shift", [np.nan, *(pytest.param(shift, marks=pytest.mark.slow) for shift in ((np.nan, np.nan), 1e-6))])
def test_a_level_shift_that_pyscf_does_not_see_is_not_seen(shift):
    make = lambda: scf.UHF(molecule(HYDROXYL, spin=1))  # noqa: E731
    fast, plain = accelerate(make()).set(level_shift=shift).run(), accelerate(make()).run()
    assert fast.converged and fast.cycles == plain.cycles and fast.e_tot == plain.e_tot


def test_the_log_holds_numbers():
    def log(run, verbose=4):
        fast = accelerate(scf.UHF(molecule(METHYL, basis="6-31g", spin=1)))
        fast.verbose, fast.stdout = verbose, io.StringIO()
        run(fast)
        return fast.stdout.getvalue()

    closed = scf.RHF(molecule(METHYL, basis="6-31g", charge=1)).run()
    runs = (
        lambda fast: fast.kernel(),
        lambda fast: fast.density_fit().kernel(),
        lambda fast: fast.kernel(closed.make_rdm1()),
        lambda fast: fast.set(conv_check=True).kernel(),
        lambda fast: (
            scanner := fast.as_scanner(),
            scanner(fast.mol),
            scanner(molecule(METHYL.replace("1.079", "1.08"), basis="6-31g", spin=1)),
        ),
    )
    for run in runs:
        text = log(run)
        assert "init E=" in text and "cycle= 1 E=" in text
        assert "nan" not in text


@pytest.mark.parametrize("kind", sampled([scf.RHF, scf.UHF, scf.ROHF], (scf.RHF, scf.UHF)), ids=lambda k: k.__name__)
def test_orbitals_have_pyscfs_signs(kind):
    spin = int(kind in (scf.UHF, scf.ROHF))
    make = lambda: kind(molecule(AMINE, basis="sto-3g", charge=spin, spin=spin))  # noqa: E731
    plain, fast = (mf.set(conv_tol=1e-12, conv_tol_grad=1e-8).run() for mf in (make(), accelerate(make())))
    np.testing.assert_allclose(fast.mo_coeff, plain.mo_coeff, atol=1e-5)


PICKLED = {
    "rhf": lambda: scf.RHF(molecule(WATER, basis="sto-3g")),
    "uhf": lambda: scf.UHF(molecule(HYDROXYL, basis="sto-3g", spin=1)),
    "rohf": lambda: scf.ROHF(molecule(HYDROXYL, basis="sto-3g", spin=1)),
    "rks": lambda: dft.RKS(molecule(WATER, basis="sto-3g"), xc="b3lyp"),
    "fitted": lambda: scf.RHF(molecule(WATER, basis="sto-3g")).density_fit(),
}


@pytest.mark.parametrize(
    "again",
    [
        lambda mf: pickle.loads(pickle.dumps(mf)),  # noqa: S301 - its own bytes
        pytest.param(copy.copy, marks=pytest.mark.slow),
        copy.deepcopy,
        lambda mf: mf.copy(),
    ],
    ids=["pickle", "copy", "deepcopy", "pyscf"],
)
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n != "rhf" else ()) for n in PICKLED])
def test_copies_and_pickles_are_dressed_run_or_not(name, again):
    fresh = accelerate(PICKLED[name](), target="stable")
    done = again(fresh)
    assert type(done) is type(fresh) and done.target == "stable"
    energy = fresh.kernel()
    assert done.kernel() == pytest.approx(energy, abs=1e-9) and done.state.stable
    done = again(fresh)
    assert done.e_tot == energy and done.state.stable and done.solution.num_evaluations == fresh.cycles
    assert done.kernel() == pytest.approx(energy, abs=1e-9) and done.cycles <= 2
    assert type(done.undo_accelerate()) is type(PICKLED[name]())


@pytest.mark.slow
def test_a_pool_of_spawned_processes_takes_and_returns_objects():
    jobs = [accelerate(scf.RHF(molecule(WATER.replace("0.757", x), basis="sto-3g"))) for x in ("0.75", "0.757", "0.76")]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        done = pool.map(_run, jobs)
    for job, result in zip(jobs, done, strict=True):
        assert type(result) is type(job) and result.e_tot == pytest.approx(job.kernel(), abs=1e-10)


def _run(mf):
    return mf.run()


def test_conv_check_set_by_the_user_polishes():
    make = lambda: scf.UHF(molecule(METHYL, basis="6-31g", spin=1)).set(conv_tol_grad=1e-3)  # noqa: E731
    meters = [Meter(), Meter()]
    rough, fine = accelerate(make()), accelerate(make())
    fine.conv_check = True
    for mf, meter in zip((rough, fine), meters, strict=True):
        mf.verbose, mf.stdout = 4, io.StringIO()
        meter.watch(mf).kernel()
    assert meters[1].builds == meters[0].builds + 1 == fine.state.evaluations and fine.cycles == rough.cycles
    assert "Extra cycle" in fine.stdout.getvalue() and "not used here" not in fine.stdout.getvalue()
    errors = [np.linalg.norm(mf.get_grad(mf.mo_coeff, mf.mo_occ)) for mf in (rough, fine)]
    assert errors[1] < 0.3 * errors[0]
    assert fine.energy_tot(fine.make_rdm1()) == pytest.approx(fine.e_tot, abs=1e-10)


@pytest.mark.slow
def test_conv_check_makes_finite_differences_as_good_as_pyscfs():
    mol = molecule(WATER, basis="6-31g")
    dipoles, step = mol.intor_symmetric("int1e_r"), 1e-3

    def polarizability(dress, check):
        def dipole(field):
            mf = dress(scf.RHF(mol))
            core = mf.get_hcore() + field * dipoles[1]
            mf.get_hcore = lambda *a: core
            if check:
                mf.conv_check = True
            mf.kernel()
            return -np.einsum("xij,ji->x", dipoles, mf.make_rdm1())[1]

        return (dipole(step) - dipole(-step)) / (2.0 * step)

    exact_mf = scf.RHF(mol).set(conv_tol=1e-14, conv_tol_grad=1e-9)
    exact = polarizability(lambda mf: mf.set(conv_tol=exact_mf.conv_tol, conv_tol_grad=exact_mf.conv_tol_grad), False)
    errors = {name: abs(polarizability(dress, check) - exact) for name, dress, check in (
        ("pyscf", lambda mf: mf, False), ("accelerated", accelerate, False), ("polished", accelerate, True))}  # fmt: skip
    assert errors["polished"] <= max(2.0 * errors["pyscf"], 1e-5)
