"""Families from physics: derivatives, symmetries, conservation, and ranges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pyscf import scf
from pyscf.data import nist

from physopt import Stop, minimize
from physopt.bench.scf_family import Molecule, shaped
from physopt.meta.families import Bratu, Cluster, Pulse, Reaction, Rod
from physopt.rules import LBFGS

FAMILIES = [Cluster(), Rod(links=4), Bratu(side=4), Reaction(), Pulse(slices=3), Molecule()]


COMPILED_LONG = (Reaction, Pulse)


@pytest.mark.parametrize(
    "family",
    [pytest.param(f, id=type(f).__name__, marks=pytest.mark.slow if isinstance(f, COMPILED_LONG) else ()) for f in FAMILIES],
)
def test_every_family_keeps_its_word(family):
    random, key = np.random.default_rng(0), jax.random.key(0)
    mu = family.drawn(random, 1.0)
    problem, point = family.problem(jnp.asarray(mu)), jnp.asarray(family.cold())
    assert point.shape == (family.unknowns,) and family.sample(key).shape == mu.shape
    ask, step = jax.jit(lambda x: problem.evaluate(x)), 1e-6 * random.normal(size=point.shape)
    answer, change = ask(point), ask(point + step).value - ask(point - step).value
    assert change == pytest.approx(2.0 * float(answer.grad @ step), rel=1e-4, abs=1e-10)
    np.testing.assert_array_equal(family.vector(dict(reversed(family.named(mu).items()))), mu)
    other = family.novel()
    assert other.unknowns == family.unknowns and other.ranges == family.ranges
    another = other.problem(jnp.asarray(mu))
    assert not np.isclose(float(jax.jit(lambda x: another.evaluate(x).value)(point + 0.1)), float(ask(point + 0.1).value), rtol=1e-3)


@pytest.mark.parametrize("family", [f for f in FAMILIES if not isinstance(f, Reaction)], ids=lambda family: type(family).__name__)
def test_related_tasks_lie_outside_of_the_ranges_and_inside_the_limits(family):
    random = np.random.default_rng(1)
    low, high = np.array(list(family.ranges.values())).T
    for _ in range(20):
        inside, outside = family.drawn(random, 1.0), family.drawn(random, 2.0)
        assert ((low <= inside) & (inside <= high)).all()
        assert (np.abs(outside - 0.5 * (low + high)) <= (high - low) * (1.0 + 1e-12)).all()
        for (name, number), each in zip(family.named(outside).items(), outside, strict=True):
            bounds = family.limits.get(name, (-np.inf, np.inf))
            assert number == each and bounds[0] <= number <= bounds[1]


def test_a_cluster_may_turn():
    family, mu = Cluster(), jnp.array([0.9, 1.2, 0.3])
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    atoms = jnp.asarray(family.cold().reshape(13, 3))
    assert family.value((atoms @ turn).ravel(), mu) == pytest.approx(float(family.value(atoms.ravel(), mu)), rel=1e-12)
    # Two equal atoms rest at a distance of 2^(1/6); of thirteen equal ones the icosahedron has the energy -44.326801.
    found = minimize(family.problem(jnp.array([1.0, 1.0, 0.0])), LBFGS(), jnp.asarray(family.cold()))
    assert float(found.evaluation.value) == pytest.approx(-44.326801, abs=1e-6)


@pytest.mark.slow
def test_a_rod_bends_as_beam_theory_says():
    family, n = Rod(links=8), 8
    # A small load at the end turns joint i of n, of stiffness B n, by F (n - i) / n / (B n): the end rises by the sum of lever times turn.
    mu = jnp.array([80.0, 1.0, 0.0, 1e-3, 0.0])
    x = minimize(family.problem(mu), LBFGS(memory=30), jnp.asarray(family.cold()), stop=Stop(grad_norm=1e-9)).point
    height = float((jnp.exp(x[n:]) * jnp.sin(x[:n])).sum() / n)
    assert height == pytest.approx(1e-3 * sum(m**2 for m in range(1, n + 1)) / n**3, rel=1e-4)


def test_a_reaction_keeps_its_matter():
    c = jax.jit(lambda x: Reaction().concentrations(x, 1.0, 0.4))(jnp.zeros(8)).reshape(12, 6)
    # The third substance with the first makes the fourth, which becomes the fifth, and two of the second make the sixth: these count twice.
    np.testing.assert_allclose(c @ np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0]), 1.4, rtol=1e-8)


def test_a_pulse_is_unitary_and_no_pulse_is_the_drift():
    family, mu = Pulse(slices=8), jnp.array([0.2, -0.1, 1.0, 3.0])
    whole = family.unitary(jnp.asarray(family.cold().reshape(4, 8)), mu)
    np.testing.assert_allclose(whole.conj().T @ whole, np.eye(4), atol=1e-8)
    z = np.array([1.0, -1.0])
    energies = 0.5 * 0.2 * np.kron(z, [1, 1]) - 0.5 * 0.1 * np.kron([1, 1], z) + np.kron(z, z)
    np.testing.assert_allclose(family.unitary(jnp.zeros((4, 8)), mu), np.diag(np.exp(-3j * energies)), atol=1e-8)


@pytest.mark.parametrize("field", [pytest.param(0.0, marks=pytest.mark.slow), 0.1])
def test_a_molecule_has_the_energy_that_pyscf_finds(field):
    family, mu, seen = Molecule(field=field), np.array([1.5, 0.92, 1.03, 97.0, 108.0, 80.0]), []
    ask = jax.jit(jax.value_and_grad(family.value))

    def stopped(x):
        value, grad = ask(x, family.prepared(mu))
        seen.append((float(value), float(jnp.linalg.norm(grad))))
        if seen[-1][1] < 1e-7:
            raise StopIteration

    with pytest.raises(StopIteration):
        family.own_rules()["diis"](stopped, family.prepared(mu), family.cold())
    mol = shaped(mu)
    mf = scf.RHF(mol)
    mf.get_hcore = lambda *_: scf.hf.get_hcore(mol) + field * mol.intor("int1e_r")[2]
    assert seen[-1][0] == pytest.approx(mf.kernel(), abs=1e-8)
    assert len(seen) < 2 * mf.cycles  # the start is the density of the atoms, in the middle of all shapes, and the end is ten times nearer
    first, other = mol.atom_coords()[0], mol.atom_coords()[1]
    apart = np.linalg.norm(mol.atom_coords() - first, axis=1) * nist.BOHR
    assert apart[1:3] == pytest.approx([1.5, 0.92]) and np.linalg.norm(mol.atom_coords()[3] - other) * nist.BOHR == pytest.approx(1.03)
    assert dihedral(mol.atom_coords()[[2, 0, 1, 3]]) == pytest.approx(80.0)


def dihedral(atoms):
    one, axis, two = np.diff(atoms, axis=0)
    return np.degrees(
        np.arccos(np.cross(one, axis) @ np.cross(axis, two) / np.linalg.norm(np.cross(one, axis)) / np.linalg.norm(np.cross(axis, two)))
    )
