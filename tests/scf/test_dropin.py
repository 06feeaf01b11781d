"""Where plain PySCF runs, the dressed object runs or says what to write; and where PySCF refuses, so does it."""

import copy
import io
import multiprocessing
import pickle

import numpy as np
import pytest
from instances import HYDROXYL, WATER, molecule
from pyscf import ao2mo, dft, gto, lib, scf
from pyscf.scf import addons

from physopt import accelerate
from physopt.faces.scf_methods import Meter

METHYL = "C 0 0 0; H 0 1.079 0; H 0.9344 -0.5395 0; H -0.9344 -0.5395 0"
AMINO = "N 0 0 0; H 0 0.8 0.6; H 0 -0.8 0.6"
AMINE = "N 0 0 0; H 0 0.9 0.3; H 0.8 -0.5 0.3; F -1.0 -0.9 0.4"  # without symmetry, hence without ties
SMALL = [[0, [0.6, 1.0]]]


@pytest.mark.parametrize(
    "make",
    [
        lambda: scf.UHF(gto.M(atom="He", basis=SMALL, spin=2, verbose=0)),
        lambda: scf.RHF(gto.M(atom="Ne", basis="sto-3g", charge=-2, verbose=0)),
        lambda: scf.ROHF(gto.M(atom="He", basis="sto-3g", charge=-1, spin=1, verbose=0)),
        lambda: dft.RKS(gto.M(atom="He", basis="sto-3g", charge=-2, verbose=0), xc="pbe"),
        lambda: dft.UKS(gto.M(atom="H", basis="sto-3g", charge=-1, spin=2, verbose=0), xc="b3lyp"),
        lambda: dft.ROKS(gto.M(atom="Li", basis=[[0, [0.6, 1.0]], [0, [2.0, 1.0]]], spin=3, verbose=0), xc="pbe"),
        # Two functions, one of them removed as linearly dependent.
        lambda: scf.UHF(gto.M(atom="He", basis=[[0, [0.6, 1.0]], [0, [0.6000001, 1.0]]], spin=2, verbose=0)),
    ],
    ids=["uhf", "rhf", "rohf", "rks", "uks", "roks", "dependent"],
)
def test_electrons_without_an_orbital_are_refused_as_pyscf_does(make):
    with pytest.raises(RuntimeError, match="Failed to assign mo_occ"):
        make().kernel()
    with pytest.raises(RuntimeError, match=r"only [125] basis functions.*Take a larger basis") as refusal:
        accelerate(make()).kernel()
    assert type(make()).__name__ in str(refusal.value) and "Accelerated" not in str(refusal.value)


def test_electrons_are_counted_after_the_dressing_too():
    fast = accelerate(scf.RHF(molecule("H 0 0 0; H 0 0 0.7", basis="sto-3g")))
    fast.check_linear_dependency = lambda s, verbose=None: np.zeros((2, 0))
    with pytest.raises(RuntimeError, match="2 of 2 were removed"):
        fast.kernel()


def hubbard(n, u, kind=scf.RHF, spin=0):
    mol = gto.M(verbose=0)
    mol.nelectron, mol.spin, mol.incore_anyway = n, spin, True
    h, eri = np.zeros((n, n)), np.zeros((n,) * 4)
    for i in range(n):
        h[i, (i + 1) % n] = h[(i + 1) % n, i] = -1.0
        eri[i, i, i, i] = u
    mf = kind(mol)
    mf.get_hcore, mf.get_ovlp, mf._eri, mf.init_guess = lambda *a: h, lambda *a: np.eye(n), ao2mo.restore(8, eri, n), "1e"
    return mf


def shifted_core(mf):
    field = 0.05 * mf.mol.intor_symmetric("int1e_r")[2]
    core = mf.get_hcore() + field
    mf.get_hcore = lambda *a: core
    return mf


def screened(mf):
    full = mf.get_veff
    mf.get_veff = lambda *a, **k: 0.9 * np.asarray(full(*a, **k))
    return mf


def orthonormal_water():
    """Water in its orthonormalized functions: every array is by hand, and none is on the molecule's own functions."""
    mol = molecule(WATER, basis="sto-3g")
    x = scf.addons.canonical_orth_(mol.intor("int1e_ovlp"))
    mf = scf.RHF(mol)
    core, eri = x.T @ mf.get_hcore() @ x, ao2mo.kernel(mol, x)
    mf.get_hcore, mf.get_ovlp, mf._eri, mf.init_guess = lambda *a: core, lambda *a: np.eye(len(core)), eri, "1e"
    return mf


@pytest.mark.parametrize(
    "make",
    [
        lambda: hubbard(6, 2.0),
        lambda: hubbard(10, 1.0),
        lambda: hubbard(6, 1.0, scf.UHF, spin=2),
        lambda: hubbard(7, 1.0, scf.ROHF, spin=1),
        lambda: scf.RHF(gto.M(atom="ghost-He 0 0 0", basis={"ghost-He": gto.basis.load("6-31g", "He")}, charge=-2, verbose=0)),
        lambda: scf.RHF(gto.M(atom="He 0 0 0; ghost-Ne 0 0 2", basis={"He": "6-31g"}, verbose=0)),
        lambda: dft.RKS(gto.M(atom="He 0 0 0; ghost-Ne 0 0 2", basis={"He": "6-31g"}, verbose=0), xc="pbe"),
        orthonormal_water,
        lambda: shifted_core(scf.RHF(molecule(WATER))),
        lambda: shifted_core(dft.UKS(molecule(AMINO, spin=1), xc="pbe")),
        lambda: screened(scf.RHF(molecule(WATER))),
    ],
    ids=["hubbard", "ring", "uhf", "rohf", "only-ghosts", "bare-ghost", "bare-ghost-ks", "orthonormal", "field", "field-ks", "screened"],
)
def test_hamiltonians_by_hand_are_solved(make):
    plain, fast = make(), accelerate(make())
    plain.kernel()
    fast.kernel()
    assert fast.converged
    assert fast.e_tot == pytest.approx(plain.e_tot, abs=1e-8)


def test_a_hamiltonian_by_hand_is_said_in_the_log_and_may_be_searched():
    fast = accelerate(hubbard(6, 4.0, scf.UHF), target="lowest")
    fast.verbose, fast.stdout = 4, io.StringIO()
    fast.kernel()
    assert "no response model, classical rules" in fast.stdout.getvalue()
    # Spin waves lie below the symmetric solution, which plain PySCF keeps.
    assert fast.converged and fast.e_tot < hubbard(6, 4.0, scf.UHF).kernel() - 0.1


def test_complex_numbers_are_refused_with_a_way_out():
    mol = gto.M(atom="O", basis="6-31g", spin=2, verbose=0)
    x, y, _ = mol.search_ao_label("2p")
    dm = scf.UHF(mol).get_init_guess().astype(complex)
    dm[1, x, y], dm[1, y, x] = 0.25j, -0.25j
    mf = accelerate(scf.UHF(mol))
    with pytest.raises(TypeError, match=r"UHF has a complex density .*0\.25.* mf\.undo_accelerate\(\)\.kernel\(dm0\)"):
        mf.kernel(dm)
    plain = mf.undo_accelerate()
    assert plain.kernel(dm) == pytest.approx(-74.7800773, abs=1e-6) and plain.converged and np.iscomplexobj(plain.mo_coeff)
    with pytest.raises(TypeError, match="complex density"):
        accelerate(plain).kernel()  # from its orbitals
    assert accelerate(scf.UHF(mol)).kernel(dm.real.astype(complex)) == pytest.approx(scf.UHF(mol).kernel(), abs=1e-8)
    fast = accelerate(scf.RHF(molecule(WATER)))
    core = fast.get_hcore() + 1e-3j * fast.mol.intor("int1e_cg_irxp", comp=3)[0]
    fast.get_hcore = lambda *a: core
    with pytest.raises(TypeError, match="RHF has a complex core Hamiltonian"):
        fast.kernel()


CONVERSIONS = {
    scf.RHF: ("to_rhf", "to_uhf", "to_ghf", "to_rks", "to_uks", "to_gks", "to_ks", "remove_soscf"),
    scf.UHF: ("to_rhf", "to_uhf", "to_ghf", "to_rks", "to_uks", "to_gks", "to_ks"),
    scf.ROHF: ("to_uhf", "to_ghf", "to_uks", "to_ks"),
    dft.RKS: ("to_rhf", "to_uhf", "to_ghf", "to_hf", "to_rks", "to_uks", "to_gks"),
    dft.UKS: ("to_uhf", "to_ghf", "to_hf", "to_uks"),
}


@pytest.mark.parametrize("kind", CONVERSIONS, ids=lambda k: k.__name__)
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


@pytest.mark.parametrize("shift", [np.nan, (np.nan, np.nan), 1e-6])
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


@pytest.mark.parametrize("kind", [scf.RHF, scf.UHF, scf.ROHF, dft.RKS], ids=lambda k: k.__name__)
def test_orbitals_have_pyscfs_signs(kind):
    spin = int(kind in (scf.UHF, scf.ROHF))
    make = lambda: kind(molecule(AMINE, basis="6-31g", charge=spin, spin=spin))  # noqa: E731
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
        copy.copy,
        copy.deepcopy,
        lambda mf: mf.copy(),
    ],
    ids=["pickle", "copy", "deepcopy", "pyscf"],
)
@pytest.mark.parametrize("name", PICKLED)
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
