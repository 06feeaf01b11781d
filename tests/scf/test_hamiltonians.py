"""What there is to solve: room for all electrons, Hamiltonians that are not a molecule's own, and real numbers."""

import io

import numpy as np
import pytest
from instances import WATER, molecule
from pyscf import ao2mo, dft, gto, scf

from physopt import accelerate

AMINO = "N 0 0 0; H 0 0.8 0.6; H 0 -0.8 0.6"
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
