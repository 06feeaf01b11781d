"""Fields from stored integrals against PySCF's, their derivatives against differences, and FCIDUMP files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pyscf import gto, scf
from pyscf.tools import fcidump

import physopt
from physopt.scf import incore
from physopt.scf.incore.fcidump import FCIDUMPError

WATER = "O 0 0 0.1; H 0 0.76 0.69; H 0 -0.76 0.69"
MOLECULES = {
    "water": (WATER, 0, "sto-3g"),
    "nitrogen, degenerate orbitals": ("N 0 0 0; N 0 0 1.1", 0, "sto-3g"),
    "oxygen, a triplet": ("O 0 0 0; O 0 0 1.2", 2, "sto-3g"),
    "methyl, a radical": ("C 0 0 0; H 0 1.08 0; H 0.93 -0.54 0; H -0.93 -0.54 0.1", 1, "6-31g"),
    "formaldehyde": ("C 0 0 0; O 0 0 1.2; H 0 0.94 -0.59; H 0 -0.94 -0.59", 0, "6-31g*"),
    "lithium, an atom": ("Li 0 0 0", 1, "6-31g"),
    "silver's ion, with a core potential": ("Ag 0 0 0; H 0 0 1.7", 0, "lanl2dz"),
}
QUICK = ("water", "oxygen, a triplet")
CASES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow, id=name) for name in MOLECULES]


def molecule(name, moved=0.0):
    """Build a molecule, with its second atom, if any, moved by `moved` bohr."""
    atoms, spin, basis = MOLECULES[name]
    mol = gto.M(atom=atoms, spin=spin, basis=basis, ecp=basis if "Ag" in atoms else {}, verbose=0)
    places = mol.atom_coords()
    places[-1] += moved * np.array([0.3, 0.5, 0.8])
    return mol.set_geom_(places, unit="Bohr") if moved else mol


def reference(mol, unrestricted=False):
    mf = (scf.UHF if mol.spin or unrestricted else scf.RHF)(mol)
    mf.conv_tol, mf.conv_tol_grad = 1e-13, 1e-9
    mf.kernel()
    return mf


@pytest.mark.parametrize("name", CASES)
def test_fields_are_those_of_pyscf(name):
    mol = molecule(name)
    field, mf = incore.solve(incore.Integrals.of(mol)), reference(mol)
    assert field.converged and field.residual < 1e-9
    assert float(field.energy) == pytest.approx(mf.e_tot, abs=1e-9)
    total = mf.make_rdm1() if mf.mo_coeff[0].ndim == 2 else mf.make_rdm1() / 2
    np.testing.assert_allclose(field.density, np.reshape(total, field.density.shape), atol=1e-6)
    np.testing.assert_allclose(field.orbital_energies, np.reshape(mf.mo_energy, field.orbital_energies.shape), atol=1e-6)


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == "water" else pytest.mark.slow) for n in MOLECULES if "atom" not in n])
def test_the_derivative_of_the_energy_is_the_nuclear_gradient(name):
    step = 1e-4
    ends = [incore.Integrals.of(molecule(name, moved)) for moved in (step, -step)]
    tangent = jax.tree.map(lambda a, b: (a - b) / (2 * step), *ends)
    slope = jax.jit(jax.grad(lambda integrals: incore.solve(integrals).energy))(incore.Integrals.of(molecule(name)))
    found = sum(float((a * b).sum()) for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(tangent), strict=True))
    forces = reference(molecule(name)).nuc_grad_method().kernel()
    assert found == pytest.approx(float(forces[-1] @ [0.3, 0.5, 0.8]), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["water", "oxygen, a triplet", "nitrogen, degenerate orbitals"])
def test_the_density_and_the_second_derivative_respond(name):
    mol = molecule(name)
    integrals, dipole = incore.Integrals.of(mol), jnp.asarray(mol.intor("int1e_r")[2])

    def energy(strength):
        return incore.solve(integrals_with(integrals, strength * dipole)).energy

    def finite(strength):
        mf = reference(mol)
        core = mf.get_hcore() + strength * np.asarray(dipole)
        mf.get_hcore = lambda *args: core
        return mf.kernel()

    step = 2e-3
    second = (finite(step) - 2.0 * finite(0.0) + finite(-step)) / step**2
    assert float(jax.jit(jax.grad(jax.grad(energy)))(0.0)) == pytest.approx(second, rel=1e-3)
    assert float(jax.jit(jax.jacfwd(jax.grad(energy)))(0.0)) == pytest.approx(second, rel=1e-3)


def integrals_with(integrals, more):
    """Add a one-electron operator."""
    return incore.Integrals(
        integrals.overlap, integrals.core + more, integrals.two, integrals.constant, integrals.guess, electrons=integrals.electrons
    )


@pytest.mark.slow
def test_many_geometries_are_solved_at_once():
    many = [molecule("water", moved) for moved in (0.0, 0.1, -0.2)]
    batch = jax.jit(jax.vmap(incore.solve))(incore.stacked([incore.Integrals.of(mol) for mol in many]))
    np.testing.assert_allclose(batch.energy, [reference(mol).e_tot for mol in many], atol=1e-9)
    with pytest.raises(ValueError, match="same basis functions and electrons"):
        incore.stacked([incore.Integrals.of(molecule(name)) for name in ("water", "oxygen, a triplet")])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["water", "oxygen, a triplet"])
def test_a_rule_of_the_core_finds_the_same_energy(name):
    mol = molecule(name)
    problem = incore.Determinant(incore.Integrals.of(mol), unrestricted=mol.spin > 0)
    start = problem.init()
    step = [jnp.asarray(0.01 * np.random.default_rng(0).normal(size=g.shape)) for g in problem.evaluate(start).grad]
    ask = jax.jit(lambda s: problem.evaluate(problem.retract(start, jax.tree.map(lambda x: s * x, step))).value)
    change = (ask(1e-4) - ask(-1e-4)) / 2e-4
    assert float(change) == pytest.approx(
        sum(float((g * x).sum()) for g, x in zip(problem.evaluate(start).grad, step, strict=True)), rel=1e-6
    )
    found = physopt.minimize(problem, physopt.rules.LBFGS(), start, stop=physopt.Stop(grad_norm=1e-7, max_evaluations=200))
    assert float(found.evaluation.value) == pytest.approx(reference(mol).e_tot, abs=1e-9)


@pytest.mark.slow
def test_a_broken_symmetry_is_kept():
    mol = gto.M(atom="H 0 0 0; H 0 0 3.0", basis="6-31g", verbose=0)
    integrals = incore.Integrals.of(mol)
    guess = jnp.zeros((2, 4, 4)).at[0, 0, 0].set(1.0).at[1, 2, 2].set(1.0)
    field = incore.solve(integrals, unrestricted=True, guess=guess)
    mf = scf.UHF(mol)
    mf.conv_tol = 1e-13
    mf.kernel(np.asarray(guess))
    assert float(field.energy) == pytest.approx(mf.e_tot, abs=1e-9)
    assert float(field.energy) < float(incore.solve(integrals).energy) - 0.05


def test_an_fcidump_file_is_read(tmp_path):
    mol, file = molecule("water"), tmp_path / "FCIDUMP"
    mf = reference(mol)
    fcidump.from_mo(mol, file, mf.mo_coeff)
    field = incore.solve(incore.read_fcidump(file))
    assert field.converged and float(field.energy) == pytest.approx(mf.e_tot, abs=1e-9)


HEAD = "&FCI NORB=2,NELEC=2,MS2=0,\n ORBSYM=1,1,\n ISYM=1,\n&END\n"
BODY = "0.7 1 1 1 1\n0.2 2 1 2 1\n0.6 2 2 1 1\n0.65 2 2 2 2\n-1.2 1 1 0 0\n-0.5 2 2 0 0\n-0.4 1 0 0 0\n0.7 0 0 0 0\n"


def test_an_fcidump_file_by_hand(tmp_path):
    file = tmp_path / "FCIDUMP"
    file.write_text(HEAD.replace("&END", "/") + BODY.replace("0.7 1", "0.7D+00 1"))
    read = incore.read_fcidump(file)
    assert read.electrons == (1, 1)
    assert (float(read.two[0, 1, 1, 0]), float(read.two[0, 0, 1, 1]), float(read.core[1, 1]), float(read.constant)) == (0.2, 0.6, -0.5, 0.7)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "begins with ''"),
        ("NORB=2\n" + BODY, "begins with 'NORB=2'"),
        (HEAD.replace("&END", ""), "header does not end"),
        (HEAD.replace("NORB=2", "NORB=two") + BODY, "NORB = two"),
        (HEAD.replace("NELEC=2", "NELEC=5") + BODY, "5 electrons"),
        (HEAD.replace("MS2=0", "MS2=1") + BODY, "MS2 = 1"),
        (HEAD.replace("ISYM=1", "ISYM=1, UHF=.TRUE.") + BODY, "UHF"),
        (HEAD.replace("NORB=2", "NORB=900") + BODY, "GiB"),
        (HEAD + BODY + "0.1 3 1 1 1\n", "line 13: .* from 0 to NORB = 2"),
        (HEAD + BODY + "nan 1 1 1 1\n", "line 13"),
        (HEAD + BODY + "(0.1,0.2) 1 1 1 1\n", "line 13"),
        (HEAD + BODY + "0.1 1 1 1\n", "line 13"),
        (HEAD + BODY + "0.1 1 1 1 0\n", "zero among its indices"),
        (HEAD + BODY + "0.1 1 2 2 1\n", "again, which was 0.2"),
        (HEAD, "no one-electron integrals"),
    ],
)
def test_what_is_no_fcidump_file_is_refused(tmp_path, text, named):
    file = tmp_path / "FCIDUMP"
    file.write_text(text)
    with pytest.raises(ValueError, match=named):
        incore.read_fcidump(file)
    assert issubclass(FCIDUMPError, ValueError)


def test_what_has_no_field_is_refused():
    integrals = incore.Integrals.of(molecule("lithium, an atom"))
    with pytest.raises(ValueError, match="unrestricted=True"):
        incore.solve(integrals, unrestricted=False)
    with pytest.raises(ValueError, match="one density for each spin"):
        incore.solve(integrals, guess=jnp.zeros((1, 9, 9)))
    with pytest.raises(ValueError, match=r"jax.vmap\(solve\)"):
        incore.solve(incore.stacked([integrals, integrals]))
    with pytest.raises(TypeError, match=r"mf\.mol"):
        incore.Integrals.of(scf.RHF(molecule("water")))
    with pytest.raises(ValueError, match="jax_enable_x64"):
        incore.solve(jax.tree.map(lambda x: x.astype(jnp.float32), integrals))
