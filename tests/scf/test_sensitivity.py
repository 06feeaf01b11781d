"""How fields answer a change of the molecule or the Hamiltonian: against fields that are converged again."""

import numpy as np
import pytest
from pyscf import dft, gto, scf

from physopt.core.sensitivity import STENCIL
from physopt.scf import sensitivity

STEP = 2e-3


def tight(mf):
    return mf.set(conv_tol=1e-13, conv_tol_grad=1e-9, verbose=0)


def stretched(make, atom, **options):
    return lambda r: tight(make(gto.M(atom=atom.format(r), basis="sto-3g", verbose=0, **options)))


def in_field(make, atom, operator="int1e_z", **options):
    mol = gto.M(atom=atom, basis="sto-3g", verbose=0, **options)
    core, along = scf.hf.get_hcore(mol), mol.intor(operator).reshape(-1, mol.nao, mol.nao)[1 if operator == "int1e_rr" else 0]
    return lambda field: tight(make(mol)).set(get_hcore=lambda *_: core + field * along)


WATER = "O 0 0 0.117; H 0 0.757 -0.47; H 0 -0.757 -0.47"
CASES = {
    "rhf-distance": (stretched(scf.RHF, "F 0 0 0; H 0 0 {}"), 0.92),
    "rhf-field": (in_field(scf.RHF, WATER), 0.01),
    "uhf-distance": (stretched(scf.UHF, "N 0 0 0; H 0 0 {}", spin=2), 1.03),
    "rohf-distance": (stretched(scf.ROHF, "N 0 0 0; H 0 0 {}", spin=2), 1.03),
    "rks-distance": (stretched(lambda mol: dft.RKS(mol, xc="pbe").set(grids_level=0), "F 0 0 0; H 0 0 {}"), 0.92),
    "rks-field": (in_field(lambda mol: dft.RKS(mol, xc="b3lyp"), WATER), 0.01),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "rhf-distance")) for n in CASES])
def test_the_density_moves_as_that_of_a_field_converged_again(name):
    mf_of, mu = CASES[name]
    mf = mf_of(mu).run()
    (found,) = sensitivity(mf, mf_of, mu, step=STEP)
    expected = sum(weight * np.asarray(mf_of(mu + t * STEP).run(dm0=mf.make_rdm1()).make_rdm1()) for t, weight in STENCIL) / STEP
    assert found.dm.shape == expected.shape
    np.testing.assert_allclose(found.dm, expected, atol=1e-6 * abs(expected).max())


def test_what_has_no_sensitivity_is_refused():
    mf_of, mu = CASES["rhf-distance"]
    with pytest.raises(ValueError, match="no orbitals"):
        sensitivity(mf_of(mu), mf_of, mu)
    loose = mf_of(mu).set(max_cycle=1, verbose=0).run()
    with pytest.raises(ValueError, match="converged"):
        sensitivity(loose, mf_of, mu)
    with pytest.raises(ValueError, match="basis functions"):
        sensitivity(mf_of(mu).run(), lambda r: tight(scf.RHF(gto.M(atom=f"F 0 0 0; H 0 0 {r}", basis="6-31g", verbose=0))), mu)


@pytest.mark.slow
def test_an_atom_that_turns_at_no_cost_is_named():
    mf_of = in_field(scf.UHF, "B 0 0 0", operator="int1e_rr", spin=1)  # xy: turns a p orbital
    mf = mf_of(0.0)
    dm = np.asarray(mf.get_init_guess())
    dm[0][2:, 2:] = 0.0
    dm[0][2, 2] = 1.0
    dm[1][2:, 2:] = 0.0
    mf.kernel(dm0=dm)
    with pytest.raises(np.linalg.LinAlgError, match=r"singular|not positive definite"):
        sensitivity(mf, mf_of, 0.0)
