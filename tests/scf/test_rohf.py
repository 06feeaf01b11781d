"""Restricted open shells: both spins share their orbitals, and PySCF's shapes and tags come out."""

import numpy as np
import pytest
from instances import HYDROXYL, WATER, displaced, molecule
from pyscf import dft, lib, scf

from physopt import accelerate
from physopt.core.tree import tree_dot, tree_scale
from physopt.scf.meter import Meter
from physopt.scf.problem import SCF
from physopt.scf.stability import exact_curve

OXYGEN = "O 0 0 0; O 0 0 1.21"
NITRIC_OXIDE = "N 0 0 0; O 0 0 1.15"
METHYLENE = "C 0 0 0; H 0 0.99 0.35; H 0 -0.99 0.35"


def builds_of(mf):
    meter = Meter()
    meter.watch(mf).kernel()
    return meter.builds


@pytest.mark.parametrize(
    "make",
    [
        lambda: scf.ROHF(molecule(OXYGEN, spin=2)),
        lambda: scf.RHF(molecule(NITRIC_OXIDE, spin=1)),
        lambda: scf.ROHF(molecule(METHYLENE, spin=2)).density_fit(),
        lambda: scf.ROHF(molecule("Cr 0 0 0", basis="def2-svp", spin=6)),
        lambda: scf.ROHF(molecule(WATER)),
        lambda: scf.ROHF(molecule("N 0 0 0", spin=3)),
        lambda: dft.ROKS(molecule(OXYGEN, spin=2), xc="b3lyp").set(grids_level=0),
        pytest.param(lambda: scf.ROHF(molecule(METHYLENE, spin=2)).PCM(), marks=pytest.mark.slow),
        lambda: scf.ROHF(molecule(HYDROXYL, spin=1)).x2c(),
    ],
    ids=[
        "oxygen",
        "nitric-oxide",
        "methylene-df",
        "chromium",
        "no-open-shell",
        "nitrogen",
        "oxygen-b3lyp",
        "methylene-pcm",
        "hydroxyl-x2c",
    ],
)
def test_it_needs_half_the_builds_and_agrees(make):
    plain, fast = make(), accelerate(make())
    spent = builds_of(plain)
    assert builds_of(fast) <= 0.6 * spent
    assert fast.converged
    assert fast.e_tot == pytest.approx(plain.e_tot, abs=2e-9)
    for name in ("mo_coeff", "mo_occ", "mo_energy"):
        assert np.shape(getattr(fast, name)) == np.shape(getattr(plain, name))
    assert sorted(fast.mo_occ) == sorted(plain.mo_occ)
    tags = [(mf.mo_energy, mf.mo_energy.mo_ea, mf.mo_energy.mo_eb) for mf in (fast, plain)]
    for ours, theirs in zip(*tags, strict=True):
        np.testing.assert_allclose(np.sort(ours), np.sort(theirs), atol=1e-4)
    np.testing.assert_allclose(fast.mo_coeff.T @ fast.get_ovlp() @ fast.mo_coeff, np.eye(len(fast.mo_occ)), atol=1e-10)
    assert fast.energy_tot(fast.make_rdm1()) == pytest.approx(fast.e_tot, abs=1e-8)


def test_a_hydrogen_atom_has_one_electron():
    fast = accelerate(scf.RHF(molecule("H 0 0 0", spin=1)))
    assert fast.kernel() == pytest.approx(scf.RHF(molecule("H 0 0 0", spin=1)).kernel(), abs=1e-9)


def test_residual_gradient_and_fock_matrix_are_pyscfs():
    problem, point = displaced(SCF.of(scf.ROHF(molecule(OXYGEN, spin=2))))
    evaluation, oracle = problem.evaluate(point), problem.oracle
    model, mf = evaluation.model, oracle.mf
    fock = mf.get_fock(dm=oracle.dm(point.coeff))
    norm = np.linalg.norm(mf.get_grad(oracle.mo_coeff(point.coeff), oracle.mo_occ(), fock))
    assert norm > 0.1
    assert np.linalg.norm(model.error()) == pytest.approx(norm, rel=1e-10)
    assert 0.5 * np.sqrt(tree_dot(evaluation.grad, evaluation.grad)) == pytest.approx(norm, rel=1e-10)
    effective = oracle.rotations.effective(model.anchor.fock, model.anchor.density)
    np.testing.assert_allclose(oracle.to_ao(effective)[0], fock, atol=1e-9)


@pytest.mark.parametrize("spin", [1, 3])
def test_the_hessian_is_the_second_derivative_of_the_energy(spin):
    problem, point = displaced(SCF.of(scf.ROHF(molecule(HYDROXYL, spin=spin))))
    evaluation, rng = problem.evaluate(point), np.random.default_rng(0)
    curve = exact_curve(evaluation.model)
    a, b = (tuple(rng.normal(size=g.shape) for g in evaluation.grad) for _ in range(2))
    a = tree_scale(1.0 / np.sqrt(tree_dot(a, a)), a)
    e = {t: float(problem.evaluate(problem.retract(point, tree_scale(0.01 * t, a))).value) for t in (-2, -1, 0, 1, 2)}
    slope = (16.0 * (e[1] + e[-1]) - e[2] - e[-2] - 30.0 * e[0]) / (12.0 * 0.01**2)
    assert tree_dot(a, curve(a)) == pytest.approx(slope, rel=1e-6)
    assert tree_dot(a, curve(b)) == pytest.approx(tree_dot(b, curve(a)), rel=1e-9)


def test_the_callback_and_the_checkpoint_file_are_pyscfs(tmp_path):
    seen, theirs = [], []
    fast, plain = accelerate(scf.ROHF(molecule(OXYGEN, spin=2))), scf.ROHF(molecule(OXYGEN, spin=2))
    fast.callback, plain.callback = (lambda envs: seen.append(dict(envs))), (lambda envs: theirs.append(dict(envs)))
    fast.chkfile = str(tmp_path / "oxygen.chk")
    fast.kernel()
    plain.kernel()
    for name in ("mo_coeff", "mo_occ", "dm", "fock", "vhf", "mo_energy"):
        assert np.shape(seen[-1][name]) == np.shape(theirs[-1][name]), name
    grad = fast.get_grad(seen[0]["mo_coeff"], seen[0]["mo_occ"], seen[0]["fock"])
    assert seen[0]["norm_gorb"] == pytest.approx(np.linalg.norm(grad), abs=1e-12)
    assert lib.chkfile.load(fast.chkfile, "scf")["e_tot"] == pytest.approx(fast.e_tot)
    again = accelerate(scf.ROHF(molecule(OXYGEN, spin=2))).set(chkfile=fast.chkfile, init_guess="chkfile")
    assert builds_of(again) <= 2


def test_a_scanner_forces_and_a_recording(tmp_path):
    from physopt.core.trajectory import load

    stretched = OXYGEN.replace("1.21", "1.23")
    scanner = accelerate(scf.ROHF(molecule(OXYGEN, spin=2)), record=tmp_path / "run").as_scanner()
    scanner(molecule(OXYGEN, spin=2))
    assert scanner(molecule(stretched, spin=2)) == pytest.approx(scf.ROHF(molecule(stretched, spin=2)).kernel(), abs=2e-9)
    assert load(tmp_path / "run-2").columns["value"][-1] == scanner.e_tot
    plain = scf.ROHF(molecule(stretched, spin=2)).run(conv_tol=1e-11)
    np.testing.assert_allclose(scanner.nuc_grad_method().kernel(), plain.nuc_grad_method().kernel(), atol=1e-4)


def test_level_shifts_change_the_path_only():
    shifted, plain = (accelerate(scf.ROHF(molecule(NITRIC_OXIDE, spin=1))) for _ in range(2))
    assert shifted.set(level_shift=0.3).kernel() == pytest.approx(plain.kernel(), abs=1e-8)
    assert shifted.cycles > plain.cycles


@pytest.mark.slow
def test_instabilities_are_followed_and_the_search_finds_no_higher_state():
    make = lambda: scf.ROHF(molecule("C 0 0 0; C 0 0 1.3", spin=2))  # noqa: E731
    saddle = make().run()
    stable = accelerate(make(), target="stable")
    assert stable.kernel(saddle.make_rdm1()) < saddle.e_tot - 5e-3
    assert stable.state.stable
    lowest = accelerate(make(), target="lowest").run()
    assert lowest.state.stable
    assert lowest.e_tot <= stable.e_tot + 1e-7
