"""The classical rules are PySCF's, iterate by iterate; the model changes the path, never the end."""

import numpy as np
import pytest
from instances import HYDROXYL, WATER, molecule, sampled
from pyscf import dft, scf
from pyscf.scf import addons
from pyscf.scf.diis import adiis_minimize

from physopt import Stop, minimize
from physopt.rules.diis import DIIS, DynamicShift, StaticShift, adiis_cdiis, cdiis, response_diis
from physopt.rules.guard import Guard
from physopt.rules.lbfgs import LBFGS
from physopt.rules.mixers import AugmentedRoothaanHall, Commutator, EnergyInterpolation
from physopt.rules.model_step import ModelStep
from physopt.scf.kernel import ResponseKernel
from physopt.scf.problem import SCF

MEAN_FIELDS = {
    "rhf": lambda: scf.RHF(molecule(WATER)),
    "uhf": lambda: scf.UHF(molecule(HYDROXYL, spin=1)),
    "rks": lambda: dft.RKS(molecule(WATER), xc="pbe"),
    "uks": lambda: dft.UKS(molecule(WATER, charge=1, spin=1), xc="b3lyp"),
    "rsh": lambda: dft.RKS(molecule(WATER), xc="camb3lyp"),
    "df": lambda: scf.RHF(molecule(WATER)).density_fit(),
    "pcm": lambda: scf.RHF(molecule(WATER)).PCM(),
    "hydrogen": lambda: scf.UHF(molecule("H 0 0 0", spin=1)),
    "full": lambda: scf.RHF(molecule("He 0 0 0", basis="sto-3g")),
    "dependent": lambda: scf.RHF(molecule("H 0 0 0; H 0 0 0.3; H 0 0 0.6; H 0 0 0.9", basis="aug-cc-pvdz")),
    "ecp": lambda: scf.RHF(molecule("I 0 0 0; H 0 0 1.61", basis="def2-svp", ecp="def2-svp")),
    "ghost": lambda: scf.RHF(molecule("O 0 0 0; H 0 0.76 0.59; H 0 -0.76 0.59; ghost-O 0 0 3", basis={"default": "6-31g"})),
}


def pyscf_energies(mf):
    """Return the energy of each cycle of PySCF's own kernel."""
    energies = []
    mf.callback = lambda envs: energies.append(envs["e_tot"])
    mf.conv_check = False
    mf.kernel()
    return np.asarray(energies)


def our_energies(mf, rule, count):
    problem = SCF(mf)
    return minimize(problem, rule, problem.init(), stop=Stop(max_evaluations=count)).history.value


@pytest.mark.parametrize("name", sampled(["rhf", "uhf", "rks", "uks", "df"], ("rhf", "rks", "df")))
def test_cdiis_makes_pyscfs_iterates(name):
    expected = pyscf_energies(MEAN_FIELDS[name]())
    actual = our_energies(MEAN_FIELDS[name](), cdiis(), len(expected))
    np.testing.assert_allclose(actual, expected, atol=2e-8)


@pytest.mark.parametrize("name", ["rhf", "uhf"])
def test_roothaan_makes_pyscfs_iterates(name):
    expected = pyscf_energies(MEAN_FIELDS[name]().set(diis=None, max_cycle=12))
    actual = our_energies(MEAN_FIELDS[name](), DIIS(Commutator(), space=1), len(expected))
    np.testing.assert_allclose(actual, expected, atol=1e-8)


@pytest.mark.parametrize("name", ["rhf", "uhf"])
def test_damping_keeps_a_fraction_of_the_last_fock_matrix(name):
    problem, rule = SCF(MEAN_FIELDS[name]()), DIIS(Commutator(), space=1, damping=0.3)
    first = problem.evaluate(problem.init())
    move, state = rule.step(first, rule.init(first))
    second = problem.evaluate(move.step.point)
    move, state = rule.step(second, state)
    mixed = 0.7 * second.model.anchor.fock + 0.3 * first.model.anchor.fock
    np.testing.assert_allclose(state.anchors.fock[-1], mixed, atol=1e-12)
    # Its fixed point is PySCF's.
    reference = MEAN_FIELDS[name]().run()
    assert our_energies(MEAN_FIELDS[name](), rule, 60)[-1] == pytest.approx(reference.e_tot, abs=1e-8)


@pytest.mark.parametrize("name", ["rhf", "uhf"])
def test_static_level_shift_makes_pyscfs_iterates(name):
    expected = pyscf_energies(MEAN_FIELDS[name]().set(level_shift=0.3, max_cycle=10))
    problem = SCF(MEAN_FIELDS[name]())
    # PySCF shifts its first diagonalization as well: start where that leads.
    guess = problem.oracle.mf.get_init_guess()
    first = MEAN_FIELDS[name]().set(level_shift=0.3, max_cycle=1)
    first.conv_check = False
    first.kernel(guess)
    coeff = np.atleast_3d(first.mo_coeff) if problem.oracle.restricted else first.mo_coeff
    coeff = [first.mo_coeff] if problem.oracle.restricted else list(coeff)
    point = type(problem.init())(tuple(problem.oracle.inverse @ c for c in coeff))
    rule = DIIS(Commutator(), shift=StaticShift(0.3))
    actual = minimize(problem, rule, point, stop=Stop(max_evaluations=len(expected))).history.value
    np.testing.assert_allclose(actual, expected, atol=2e-8)


def test_dynamic_level_shift_fades():
    reference = scf.RHF(molecule(WATER))
    addons.dynamic_level_shift_(reference, factor=0.5)
    reference.kernel()
    problem = SCF(scf.RHF(molecule(WATER)))
    solution = minimize(problem, DIIS(Commutator(), shift=DynamicShift(0.5)), problem.init(), stop=Stop(grad_norm=1e-5))
    assert solution.converged
    assert solution.evaluation.value == pytest.approx(reference.e_tot, abs=1e-8)
    assert DynamicShift(0.5).amount(-0.2) == pytest.approx(0.1)
    assert DynamicShift(0.5).amount(float("nan")) == 0.0


def anchors_of(name, count=4):
    """Return the models and values of a few fixed-point steps."""
    problem = SCF(MEAN_FIELDS[name]())
    point, seen = problem.init(), []
    for _ in range(count):
        evaluation = problem.evaluate(point)
        seen.append(evaluation)
        point = evaluation.model.target(respond=False).point
    values = np.asarray([float(e.value) for e in seen])
    pairings = np.asarray([[a.model.pairing(a.model.anchor, b.model.anchor) for b in seen] for a in seen])
    return problem, seen, values, pairings


@pytest.mark.parametrize("name", ["rhf", "uhf"])
def test_energy_interpolation_is_exact_for_hartree_fock(name):
    problem, seen, values, pairings = anchors_of(name)
    c = np.array([0.1, 0.2, 0.3, 0.4])
    diagonal = np.diag(pairings)
    gaps = diagonal[:, None] + diagonal - pairings - pairings.T
    dm = sum(w * np.asarray(problem.oracle.dm(e.model.orbitals.coeff)) for w, e in zip(c, seen, strict=True))
    assert c @ values - 0.25 * c @ gaps @ c == pytest.approx(MEAN_FIELDS[name]().energy_tot(dm), abs=1e-9)
    best = EnergyInterpolation().coefficients(np.zeros((4, 1)), values, pairings)
    assert best.sum() == pytest.approx(1.0)
    assert (best >= 0.0).all()
    interpolated = best @ values - 0.25 * best @ gaps @ best
    assert interpolated <= min(values.min(), c @ values - 0.25 * c @ gaps @ c) + 1e-10


def test_adiis_minimizes_pyscfs_function():
    problem, seen, values, pairings = anchors_of("rhf")
    ds = np.stack([2.0 * e.model.anchor.density[0] for e in seen])
    fs = np.stack([e.model.anchor.fock[0] for e in seen])
    theirs, _ = adiis_minimize(ds, fs, len(seen) - 1)
    c = AugmentedRoothaanHall().coefficients(np.zeros((4, 1)), values, pairings)
    linear = pairings[:, -1] - pairings[-1, -1]
    square = pairings - pairings[:, -1:] - pairings[-1] + pairings[-1, -1]
    # Theirs is twice the energy change.
    assert 2.0 * (c @ linear) + c @ square @ c <= theirs + 1e-8


@pytest.mark.parametrize("mixer", [EnergyInterpolation(), AugmentedRoothaanHall()], ids=["ediis", "adiis"])
def test_energy_based_mixers_converge(mixer):
    reference = scf.RHF(molecule(WATER)).run()
    assert our_energies(scf.RHF(molecule(WATER)), DIIS(mixer), 40).min() == pytest.approx(reference.e_tot, abs=1e-6)


@pytest.mark.parametrize("name", sampled(MEAN_FIELDS, ("rhf", "uks", "df", "hydrogen", "full", "ecp")))
def test_every_mean_field_reaches_pyscfs_energy(name):
    reference = MEAN_FIELDS[name]()
    reference.conv_tol = 1e-11
    reference.kernel()
    if name == "dependent":
        assert reference.mo_coeff.shape[1] < reference.mol.nao
    problem = SCF.of(MEAN_FIELDS[name]())
    stop = Stop(grad_norm=2e-5, decrease=1e-10, max_evaluations=40)
    solution = minimize(problem, Guard(response_diis(), adiis_cdiis()), problem.init(), stop=stop)
    assert solution.converged
    assert solution.evaluation.value == pytest.approx(reference.e_tot, abs=2e-9)


@pytest.mark.parametrize("rule", [LBFGS(), ModelStep(radius=0.5)], ids=["lbfgs", "model-step"])
def test_rules_of_the_core_solve_scf(rule):
    reference = scf.RHF(molecule(WATER)).run()
    problem = SCF.of(scf.RHF(molecule(WATER)))
    solution = minimize(problem, rule, problem.init(), stop=Stop(grad_norm=2e-5, decrease=1e-10, max_evaluations=40))
    assert solution.converged
    assert solution.evaluation.value == pytest.approx(reference.e_tot, abs=1e-9)


@pytest.mark.parametrize("scale", sampled([-3.0, 0.0, 30.0, 1e6, float("nan")], 2))
def test_the_fixed_point_is_exact_whatever_the_kernel(scale):
    """Adversarial kernels may cost builds; the guard's fallback still gets to the same state."""

    class Wrong(ResponseKernel):
        def __call__(self, orbitals, weights, electrons):
            return scale * super().__call__(orbitals, weights, electrons)

    reference = scf.RHF(molecule(WATER)).run()
    problem = SCF(scf.RHF(molecule(WATER)), Wrong(molecule(WATER), [(1.0, 0.0)]))
    solution = minimize(problem, Guard(response_diis(), adiis_cdiis()), problem.init(), stop=Stop(grad_norm=5e-5, max_evaluations=30))
    assert solution.converged
    assert solution.evaluation.value == pytest.approx(reference.e_tot, abs=1e-8)


def test_the_kernel_is_a_linear_symmetric_response():
    mol = molecule(WATER)
    kernel = ResponseKernel(mol, [(0.5, 0.0)])
    rng = np.random.default_rng(0)
    c, d = rng.normal(size=(2, mol.nao, 3))
    n = np.array([1.0, -0.5, 0.25])
    g_c, g_d = kernel([c], [n], 2.0)[0], kernel([d], [n], 2.0)[0]
    both = kernel([np.hstack([c, d])], [np.hstack([n, n])], 2.0)[0]
    np.testing.assert_allclose(both, g_c + g_d, atol=1e-9)
    np.testing.assert_allclose(np.vdot(g_c, (d * n) @ d.T), np.vdot(g_d, (c * n) @ c.T), rtol=1e-9)
    # Against the exact integrals: the functions resolve valence electrons to per cents.
    p = (c * n) @ c.T
    p = p / np.linalg.norm(p)
    j, k = scf.hf.get_jk(mol, p)
    fitted = kernel([c], [n / np.linalg.norm((c * n) @ c.T)], 2.0)[0]
    assert np.linalg.norm(fitted - (2.0 * j - 0.5 * k)) < 0.03 * np.linalg.norm(2.0 * j - 0.5 * k)
