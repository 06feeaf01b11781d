"""accelerate(mf, target=...): the state that was asked for, and an account of how it was reached."""

import io

import numpy as np
import pytest
from instances import WATER, molecule, sampled
from pyscf import dft, lib, scf

from physopt import accelerate
from physopt.bench.scf_methods import Meter
from physopt.rules.diis import response_diis

CARBON = "C 0 0 0; C 0 0 1.2425"
NITROGEN = "N 0 0 0; N 0 0 2"
FLUORINE = "F 0 0 0; F 0 0 2.5"

SADDLES = {
    "carbon": lambda: scf.RHF(molecule(CARBON)),
    "nitrogen-stretched": lambda: scf.RHF(molecule(NITROGEN)),
    "fluorine-uhf": lambda: scf.UHF(molecule(FLUORINE)),
}


def is_stable(mf):
    mf = mf.undo_accelerate()
    return bool(mf.stability(return_status=True)[2])


@pytest.mark.parametrize("name", sampled(SADDLES, ("carbon",)))
def test_stable_follows_the_instabilities_down(name):
    # From PySCF's saddle, with DIIS alone, which does not mind one.
    saddle = SADDLES[name]().run().make_rdm1()
    nearest, stable = (accelerate(SADDLES[name](), rule=response_diis(), target=t) for t in ("nearest", "stable"))
    nearest.kernel(saddle)
    stable.kernel(saddle)
    assert nearest.state.stable is None and not is_stable(nearest)
    assert stable.converged and stable.state.stable and is_stable(stable)
    assert stable.e_tot < nearest.e_tot - 1e-4
    energies = [r.after for r in stable.state.rounds]
    assert stable.state.rounds[0].before == pytest.approx(nearest.e_tot, abs=1e-8)
    assert energies == sorted(energies, reverse=True) and energies[-1] == pytest.approx(stable.e_tot, abs=1e-10)
    # Energy, density and orbitals belong together.
    assert stable.energy_tot(stable.make_rdm1()) == pytest.approx(stable.e_tot, abs=1e-9)


def test_a_stable_state_stays_and_costs_a_product_or_two():
    nearest, stable = accelerate(scf.RHF(molecule(WATER))).run(), accelerate(scf.RHF(molecule(WATER)), target="stable").run()
    assert stable.e_tot == nearest.e_tot and not stable.state.rounds
    assert stable.state.products <= 2


@pytest.mark.slow
def test_lowest_finds_the_state_that_no_common_guess_leads_to():
    # Chromium carbide, triplet: the default guess ends 0.06 to 0.15 hartree higher, in states that are stable.
    mf = accelerate(scf.UHF(molecule("Cr 0 0 0; C 0 0 2", spin=2)), target="lowest")
    meter = Meter()
    meter.watch(mf).kernel()
    assert mf.converged and mf.state.stable
    assert mf.e_tot == pytest.approx(-1080.947869, abs=1e-5)
    assert meter.builds < 100
    assert [c.name for c in mf.state.tried].count("given") == 1 and len(mf.state.tried) >= 4
    assert {"settled"} < {c.outcome for c in mf.state.tried}


@pytest.mark.slow
def test_an_open_shell_that_no_guess_leads_to_is_found_by_exchanging_orbitals():
    make = lambda: scf.ROHF(molecule("Fe 0 0 0", basis="def2-svp", spin=4))  # noqa: E731
    mf, nearest = accelerate(make(), target="lowest").run(), accelerate(make()).run()
    assert mf.converged and mf.state.stable and mf.e_tot < nearest.e_tot - 0.09
    assert mf.e_tot == pytest.approx(-1262.25627818, abs=1e-6)  # the lowest of 32 starts of plain PySCF


def test_lowest_needs_little_where_all_starts_lead_to_one_state():
    nearest, lowest = accelerate(scf.RHF(molecule(WATER))).run(), accelerate(scf.RHF(molecule(WATER)), target="lowest").run()
    assert lowest.e_tot == pytest.approx(nearest.e_tot, abs=1e-8)
    assert {c.outcome for c in lowest.state.tried} == {"as another start", "settled"}
    assert {c.name for c in lowest.state.tried} == {"given", "atom"}  # nothing asks for further guesses


def test_a_start_that_leads_lower_calls_for_further_guesses():
    nickel = scf.UHF(molecule("Ni 0 0 0", basis="def2-svp", spin=1, charge=1))
    lowest = accelerate(nickel, target="lowest").run()
    assert lowest.state.stable and lowest.e_tot == pytest.approx(-1506.373988, abs=1e-6)  # of 30 rotated starts of mf.newton()
    assert accelerate(nickel).run().e_tot > lowest.e_tot + 0.02  # PySCF's own end, and that of every guess
    assert {"given", "swap beta", "atom", "sap", "minao", "mod_huckel"} == {c.name for c in lowest.state.tried}


def test_the_search_runs_on_a_coarse_grid_and_the_answer_does_not():
    mf = accelerate(dft.RKS(molecule(CARBON), xc="pbe0"), target="lowest")
    meter = Meter()
    meter.watch(mf).kernel()
    assert mf.state.stable and meter.builds == mf.state.evaluations + mf.state.products
    assert mf.e_tot == pytest.approx(mf.energy_tot(mf.make_rdm1()), abs=1e-8)


@pytest.mark.slow
def test_the_search_is_fitted_where_the_integrals_do_not_fit():
    mf = SADDLES["carbon"]()
    mf.max_memory = 1.04 * lib.current_memory()[0]  # room for the model, but not by PySCF's rule for the integrals
    mf = accelerate(mf, target="lowest")
    meter = Meter()
    meter.watch(mf).kernel()
    assert mf.state.stable and mf.e_tot == pytest.approx(accelerate(SADDLES["carbon"](), target="lowest").run().e_tot, abs=1e-7)
    assert meter.builds == mf.state.evaluations + mf.state.products <= 12
    assert sum(c.builds for c in mf.state.tried) >= 5


@pytest.mark.parametrize("target", ["stable", "lowest"])
@pytest.mark.parametrize(("atom", "spin"), [("He 0 0 0", 0), ("H 0 0 0", 1), ("H 0 0 0; H 0 0 0.74", 0)])
def test_little_or_nothing_to_rotate_is_stable(target, atom, spin):
    mf = accelerate((scf.UHF if spin else scf.RHF)(molecule(atom, spin=spin, basis="sto-3g")), target=target).run()
    assert mf.converged and mf.state.stable


def test_the_users_own_test_of_convergence_counts():
    mf = accelerate(SADDLES["carbon"](), target="stable")
    mf.check_convergence = lambda envs: envs["norm_gorb"] < 1e-4
    mf.kernel(SADDLES["carbon"]().run().make_rdm1())
    assert mf.converged and mf.state.stable and mf.state.rounds


@pytest.mark.slow
def test_the_search_is_the_same_each_time():
    energies = [accelerate(SADDLES["carbon"](), target="lowest").run().e_tot for _ in range(2)]
    assert energies[0] == energies[1]


def watched(target):
    """Return a solved carbon dimer, its log, and a meter that watched it."""
    mol, meter = molecule(CARBON), Meter()
    mol.verbose, mol.stdout = 4, io.StringIO()
    mf = accelerate(scf.RHF(mol), target=target)
    meter.watch(mf).kernel()
    return mf, mol.stdout.getvalue(), meter


@pytest.fixture(scope="module")
def solved():
    return {target: watched(target) for target in ("nearest", "stable")}


@pytest.mark.parametrize("target", ["nearest", "stable"])
def test_the_account_is_complete(solved, target):
    mf, _, meter = solved[target]
    assert meter.builds == mf.state.evaluations + mf.state.products
    assert mf.cycles == mf.state.evaluations


def test_the_log_says_what_was_done():
    mol = molecule(CARBON)
    mol.verbose, mol.stdout = 4, io.StringIO()
    saddle = scf.RHF(mol).run().make_rdm1()
    accelerate(scf.RHF(mol), target="stable").kernel(saddle)
    log = mol.stdout.getvalue()
    assert "Followed an instability" in log and "unequal spins" in log


def test_a_saddle_is_left_where_that_is_cheap(solved):
    mf, log, _ = solved["stable"]
    assert "On a cheap surface: followed a mode of curvature" in log
    assert mf.state.stable and not mf.state.rounds


def test_the_state_reads_as_an_account(solved):
    told = str(accelerate(SADDLES["carbon"](), target="lowest").run().state)
    assert "tried given" in told and "stable: lowest curvature" in told
    assert str(solved["nearest"][0].state) == "stability: not looked at"


def test_a_run_that_did_not_converge_does_not_claim_to_be_stable():
    mf = accelerate(SADDLES["nitrogen-stretched"](), target="stable")
    mf.max_cycle, mf.conv_tol_grad = 1, 1e-9
    mf.verbose = lib.logger.QUIET
    mf.kernel()
    assert not mf.converged and not mf.state.converged and not mf.state.stable


def test_another_target_is_refused():
    with pytest.raises(ValueError, match="'deepest' is none of 'nearest', 'stable', 'lowest'"):
        accelerate(scf.RHF(molecule(WATER)), target="deepest")


def test_the_target_survives_a_second_dress_and_goes_with_the_undoing():
    mf = accelerate(scf.RHF(molecule(WATER)), target="stable").density_fit().run()
    assert mf.target == "stable" and mf.state.stable
    assert not {"target", "state"} & set(vars(mf.undo_accelerate()))
    assert np.isfinite(mf.as_scanner()(molecule(WATER)))
