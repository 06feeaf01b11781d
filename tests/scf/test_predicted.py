"""accelerate(mf, confirm="predicted") ends after one exact build where a corrected cheap surface knows the answer, and says so."""

import io
import pickle

import numpy as np
import pytest
from instances import HYDROXYL, WATER, molecule
from pyscf import dft, scf

from physopt import Recording, accelerate, rules, runs
from physopt.core.tree import tree_dot, tree_scale
from physopt.core.weights import WeightsError, save_weights
from physopt.scf.calibration import FEWEST, KINDS, SHIPPED, SPINS, Calibration, load_calibration
from physopt.scf.corrected import CorrectedSCF, Surface
from physopt.scf.kernel import ResponseKernel
from physopt.scf.meter import GRAD_TOL, Meter
from physopt.scf.problem import SCF
from physopt.scf.starts import cheap_surface

FIELDS = {
    "rhf": lambda: scf.RHF(molecule(WATER)),
    "uhf": lambda: scf.UHF(molecule(HYDROXYL, spin=1)),
    "rohf": lambda: scf.ROHF(molecule(HYDROXYL, spin=1)),
    "pbe": lambda: dft.RKS(molecule(WATER), xc="pbe"),
}


def run(mf, **settings):
    """Return the accelerated mean field after its run, and the meter of its exact builds."""
    meter = Meter()
    fast = meter.watch(accelerate(mf, **{"confirm": "predicted", **settings}))
    fast.kernel()
    return fast, meter


def copied(mf):
    return pickle.loads(pickle.dumps(mf))  # noqa: S301 - our own bytes


def judged(mf, fast):
    """Return |g| and the energy of orbitals by PySCF's own words."""
    dm = mf.build().make_rdm1(fast.mo_coeff, fast.mo_occ)
    return np.linalg.norm(mf.get_grad(fast.mo_coeff, fast.mo_occ, mf.get_fock(dm=dm))), mf.energy_tot(dm)


@pytest.mark.parametrize("name", ["rhf", *(pytest.param(name, marks=pytest.mark.slow) for name in ("rohf", "pbe")), "uhf"])
def test_one_build_and_a_bound_that_holds(name):
    fast, meter = run(FIELDS[name]())
    assert meter.builds == fast.cycles == 1 and fast.converged and not fast.state.confirmed
    norm, energy = judged(FIELDS[name](), fast)
    assert norm <= fast.state.bound <= GRAD_TOL
    assert fast.e_tot == pytest.approx(energy, abs=1e-9)
    assert "not confirmed" in str(fast.state) and fast.solution.reason == "predicted"
    assert fast.confirm() == fast.e_tot == pytest.approx(energy, abs=1e-11)
    assert meter.builds == fast.cycles == fast.state.evaluations == 2
    assert fast.converged and fast.state.confirmed and fast.state.bound is None
    assert fast.confirm() == fast.e_tot and meter.builds == 2  # once is enough


@pytest.mark.parametrize("name", ["uhf", "rohf"])
def test_a_corrected_surface_is_exact_at_its_build_and_its_gradient_is_that_of_its_value(name):
    problem = SCF.of(FIELDS[name]())
    start, rng = problem.init(), np.random.default_rng(1)
    turn, other = (tuple(0.05 * rng.normal(size=s) for s in problem.oracle.rotations.shapes(len(start.coeff[0]))) for _ in range(2))
    point = problem.retract(start, turn)
    cheap = problem.on(cheap_surface(FIELDS[name]().build(), 0))
    there, exact = cheap.evaluate(point), problem.evaluate(point)
    surface = CorrectedSCF(cheap=Surface(cheap, float(there.value), there.model.anchor), exact=exact)
    again = surface.evaluate(point)
    assert abs(there.value - exact.value) > 1e-6 and again.value == pytest.approx(exact.value, abs=1e-11)
    for ours, theirs in zip(again.grad, exact.grad, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-10)
    away = surface.retract(point, other)
    slope = tree_dot(surface.evaluate(away).grad, turn)
    ahead, behind = (surface.evaluate(surface.retract(away, tree_scale(sign * 1e-4, turn))).value for sign in (1.0, -1.0))
    assert slope == pytest.approx((ahead - behind) / 2e-4, rel=1e-5)


def test_broken_symmetry_stays_broken():
    mol = molecule("H 0 0 0; H 0 0 1.6")
    start = np.zeros((2, mol.nao, mol.nao))
    start[0, 0, 0] = start[1, -2, -2] = 1.0  # one electron on each atom
    fast, plain = accelerate(scf.UHF(mol), confirm="predicted"), scf.UHF(mol)
    assert fast.kernel(start) == pytest.approx(plain.kernel(start), abs=1e-8)
    assert fast.spin_square()[0] == pytest.approx(plain.spin_square()[0], abs=1e-4) and fast.spin_square()[0] > 0.5
    assert not fast.state.confirmed


def cautious():
    """Return the shipped calibration, in which one run of each kind was as wrong as can be."""
    shipped = load_calibration(SHIPPED)
    return Calibration(np.full(len(KINDS), 1e9), shipped.runs, shipped.elements)


def test_without_certainty_the_run_is_the_usual_one():
    fast, meter = run(FIELDS["uhf"](), confirm=cautious())
    usual, other = run(FIELDS["uhf"](), confirm="exact")
    assert meter.builds == other.builds > 1 and fast.state.confirmed
    assert fast.e_tot == usual.e_tot
    np.testing.assert_array_equal(fast.solution.history.value, usual.solution.history.value)


@pytest.mark.parametrize("kind", ["backwards", pytest.param("poor", marks=pytest.mark.slow)])
def test_a_wrong_kernel_cannot_make_a_wrong_end(kind, monkeypatch):
    of = ResponseKernel.__call__
    monkeypatch.setattr(ResponseKernel, "__call__", lambda *args: {"backwards": -1.0, "poor": 0.6}[kind] * of(*args))
    fast, _ = run(FIELDS["rhf"]())
    norm, energy = judged(FIELDS["rhf"](), fast)
    assert norm <= (fast.state.bound or GRAD_TOL)
    assert fast.e_tot == pytest.approx(energy, abs=1e-9)
    assert fast.e_tot == pytest.approx(FIELDS["rhf"]().kernel(), abs=1e-8)
    assert fast.state.confirmed or kind == "poor"  # one that is not believed ends nothing


def own_potential():
    mf = FIELDS["rhf"]()
    mf.get_veff = lambda *args, **kwargs: scf.hf.SCF.get_veff(mf, *args, **kwargs)
    return mf


UNKNOWN = {
    "no cheap surface": lambda: scf.RHF(molecule(WATER)).density_fit(),
    "solvent": lambda: scf.RHF(molecule(WATER)).PCM(),
    "x2c": lambda: scf.RHF(molecule(WATER)).x2c(),
    "own get_veff": own_potential,
    "for Xe": lambda: scf.RHF(molecule("Xe 0 0 0", basis="lanl2dz", ecp="lanl2dz")),
    "hybrid MGGA": lambda: dft.RKS(molecule(WATER, basis="sto-3g"), xc="tpssh").set(grids_level=3),
    "nonlocal correlation": lambda: dft.RKS(molecule(WATER, basis="sto-3g"), xc="vv10").set(grids_level=3),
    "below level 3": lambda: _coarse(),
    "conv_tol": lambda: scf.RHF(molecule(WATER)).set(conv_tol=1e-11),
    "core potentials": lambda: scf.RHF(molecule("H 0 0 0; Cu 0 0 1.5", basis="lanl2dz", ecp="lanl2dz")),
    "conv_check": lambda: scf.RHF(molecule(WATER)).set(conv_check=True),
    "check_convergence": lambda: scf.RHF(molecule(WATER)).set(check_convergence=lambda envs: envs["norm_gorb"] < 1e-4),
}


SLOWER = ("below level 3", "conv_tol", "conv_check", "check_convergence")


def _coarse():
    mf = dft.RKS(molecule(WATER, basis="sto-3g"), xc="pbe")
    mf.grids.level = 0
    return mf


@pytest.mark.parametrize("why", ["no cheap surface", "own get_veff", *(pytest.param(why, marks=pytest.mark.slow) for why in SLOWER)])
def test_what_no_calibration_has_seen_is_confirmed_and_the_log_says_why(why):
    mf = UNKNOWN[why]()
    mf.stdout, mf.verbose = io.StringIO(), 3
    fast, _ = run(mf)
    assert fast.converged and fast.state.confirmed
    assert why in mf.stdout.getvalue()


@pytest.mark.parametrize("why", ["solvent", "x2c", "for Xe", "core potentials", "hybrid MGGA", "nonlocal correlation"])
def test_what_is_unknown_is_named(why):
    assert why in load_calibration(SHIPPED).unknown(accelerate(UNKNOWN[why]()))


def test_a_kind_with_few_runs_is_unknown():
    few = Calibration.of([("HF", "restricted", ["O", "H"], 3.0)] * (FEWEST - 1))
    assert "HF" in str(few.unknown(accelerate(FIELDS["rhf"]())))
    enough = Calibration.of([("HF", "restricted", ["O", "H"], 3.0)] * FEWEST)
    assert enough.unknown(accelerate(FIELDS["rhf"]())) is None
    assert "unrestricted" in str(enough.unknown(accelerate(FIELDS["uhf"]())))
    assert enough.margin(1e-3, 1e-2) == pytest.approx(6e-5)


@pytest.mark.parametrize("settings", [{"target": "stable"}, {"rule": rules.adiis_cdiis()}, {"confirm": "maybe"}, {"confirm": ""}])
def test_contradictions_are_refused(settings):
    with pytest.raises(ValueError, match="confirm="):
        accelerate(FIELDS["rhf"](), **{"confirm": "predicted", **settings})


def test_nothing_to_confirm_before_a_run():
    with pytest.raises(RuntimeError, match="kernel"):
        accelerate(FIELDS["rhf"](), confirm="predicted").confirm()


@pytest.mark.parametrize("damage", ["flipped", "cut", "negative", "not a number", "foreign"])
def test_a_damaged_calibration_is_refused(damage, tmp_path):
    path, data = tmp_path / "calibration.safetensors", bytearray(SHIPPED.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data) if damage == "flipped" else bytes(data[:-8]))
    with pytest.raises(WeightsError):
        if damage == "negative":
            save_weights(path, Calibration(-np.ones(len(KINDS))), {})
        if damage == "not a number":
            save_weights(path, Calibration(np.full(len(KINDS), np.nan)), {})
        load_calibration(SHIPPED.with_name("kernel.safetensors") if damage == "foreign" else path)


def test_what_is_shipped_knows_the_common_fields():
    shipped = load_calibration(SHIPPED)
    known = [KINDS.index(kind) for kind in ("HF", "GGA", "hybrid GGA")]
    assert (shipped.runs[known][:, : SPINS.index("restricted open-shell")] > 0).all()
    assert (shipped.largest[known] > 0.0).all()
    assert (shipped.elements[[1, 6, 7, 8, 9, 16, 17]] > 0).all()
    assert not shipped.elements[35]  # bromine is in held-out sets only


def test_records_checkpoints_and_restarts(tmp_path):
    mf = FIELDS["uhf"]()
    mf.chkfile = str(tmp_path / "uhf.chk")
    fast, _ = run(mf, record=tmp_path / "run")
    recorded = runs.load(tmp_path / "run")
    assert recorded.num_records == 1 and recorded.spec["confirm"] == "predicted"
    with pytest.raises(FileExistsError):
        run(FIELDS["uhf"](), record=Recording(tmp_path / "run"))
    kept = scf.chkfile.load(mf.chkfile, "scf")
    assert kept["e_tot"] == fast.e_tot
    again, meter = run(FIELDS["uhf"]().set(chkfile=mf.chkfile, init_guess="chkfile"))
    assert meter.builds == 1 and again.state.confirmed  # its first exact build is at the answer
    fast.kernel()
    assert fast.state.confirmed and fast.cycles == 1


@pytest.mark.slow
def test_a_pickled_result_can_be_confirmed():
    fast = accelerate(FIELDS["rohf"](), confirm="predicted").run()
    back = copied(fast)
    assert not back.state.confirmed
    assert back.confirm() == pytest.approx(fast.confirm(), abs=1e-10)
    assert back.state.confirmed and back.converged


def test_properties_after_a_predicted_end():
    fast, _ = run(FIELDS["rhf"]())
    tight = scf.RHF(molecule(WATER)).run(conv_tol=1e-12)
    np.testing.assert_allclose(fast.nuc_grad_method().kernel(), tight.nuc_grad_method().kernel(), atol=2e-5)
    np.testing.assert_allclose(fast.mo_energy, tight.mo_energy, atol=2e-5)
    np.testing.assert_allclose(fast.dip_moment(verbose=0), tight.dip_moment(verbose=0), atol=1e-4)
    assert fast.stability(return_status=True)[2]
    plain = fast.undo_accelerate()
    assert type(plain) is scf.hf.RHF and "calibration" not in vars(plain)
    assert accelerate(scf.RHF(molecule(WATER)), confirm="predicted").to_uhf().calibration is not None


@pytest.mark.slow
def test_a_scanner_follows_a_molecule_from_a_predicted_end():
    scanner = accelerate(FIELDS["rhf"](), confirm="predicted").as_scanner()
    for stretch in (0.0, 0.01, 0.02):
        mol = molecule(WATER.replace("0.757", f"{0.757 + stretch}"))
        assert scanner(mol) == pytest.approx(scf.RHF(mol).kernel(), abs=1e-8)
