"""Where a run starts: on a cheap surface, so that no exact build goes into the way there."""

import pytest
from instances import HYDROXYL, WATER, molecule, sampled
from pyscf import dft, scf
from threadpoolctl import ThreadpoolController, threadpool_limits

from physopt import accelerate
from physopt.bench.scf_methods import Meter
from physopt.scf.threads import few_threads


@pytest.mark.parametrize("xc", sampled(["hf", "lda,vwn", "pbe", "b3lyp", "wb97x", "scan"], ("hf", "b3lyp")))
def test_no_exact_build_goes_into_the_start(xc):
    mol = molecule(WATER)
    mf = accelerate(scf.RHF(mol) if xc == "hf" else dft.RKS(mol, xc=xc))
    meter = Meter()
    meter.watch(mf).kernel()
    assert mf.converged and meter.builds == mf.cycles <= 3


def test_a_run_starts_where_a_cheap_surface_has_its_minimum():
    seen = []
    for mf in (scf.RHF(molecule(WATER)), scf.UHF(molecule(HYDROXYL, spin=1)), dft.RKS(molecule(WATER), xc="pbe0")):
        mf.callback = lambda envs: seen.append((envs["cycle"], envs["norm_gorb"]))
        accelerate(mf).kernel()
    first = [norm for cycle, norm in seen if cycle == 0]
    assert len(first) == 3
    assert max(first) < 2e-3


def test_fitted_hartree_fock_is_its_own_cheap_surface():
    mf = accelerate(scf.RHF(molecule(WATER)).density_fit())
    meter = Meter()
    meter.watch(mf).kernel()
    assert mf.converged and meter.builds == mf.cycles + 1
    assert mf.e_tot == pytest.approx(scf.RHF(molecule(WATER)).density_fit().kernel(), abs=1e-8)
    meter.builds = 0
    mf.kernel()  # from its own answer
    assert meter.builds <= 2


def builds_before_the_run(mf):
    meter = Meter()
    meter.watch(mf).kernel()
    assert mf.converged
    return meter.builds - mf.cycles


@pytest.mark.parametrize(
    ("settings", "exactly"),
    [({}, True), ({"start": "fitted"}, False), ({"target": "stable"}, False), ({"confirm": "predicted"}, False)],
    ids=["default", "fitted", "stable", "predicted"],
)
def test_where_integrals_are_in_memory_larger_molecules_start_at_the_guess(settings, exactly, monkeypatch):
    monkeypatch.setattr("physopt.scf.method.start.QUICK", 13)  # water in 6-31g
    mf = accelerate(scf.RHF(molecule(WATER)), **settings)
    assert builds_before_the_run(mf) == (1 if exactly else 0) + (mf.state.products if "target" in settings else 0)
    assert mf.e_tot == pytest.approx(scf.RHF(molecule(WATER)).kernel(), abs=1e-8)


@pytest.mark.parametrize("make", [lambda: dft.RKS(molecule(WATER), xc="b3lyp"), lambda: short_of_memory(scf.RHF(molecule(WATER)))])
def test_elsewhere_they_start_on_a_fitted_surface_unless_asked(make, monkeypatch):
    monkeypatch.setattr("physopt.scf.method.start.QUICK", 13)
    assert builds_before_the_run(accelerate(make())) == 0
    assert builds_before_the_run(accelerate(make(), start="exact")) == 1


def short_of_memory(mf):
    mf.max_memory = 1.0  # MB: less than the process has
    return mf


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"start": "quick"}, "'quick' is none of 'fitted', 'exact'"), ({"start": "exact", "confirm": "predicted"}, "leave it out")],
)
def test_a_start_that_makes_no_sense_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        accelerate(scf.RHF(molecule(WATER)), **settings)


def test_elements_without_a_fitting_set_start_on_even_tempered_functions():
    mol = molecule("Fr 0 0 0; H 0 0 2.4", basis={"Fr": "crenbl", "H": "sto-3g"}, ecp={"Fr": "crenbl"})
    fast, plain = accelerate(scf.RHF(mol)).run(), scf.RHF(mol).run()
    assert fast.converged
    assert fast.e_tot == pytest.approx(plain.e_tot, abs=1e-8)
    assert fast.cycles < plain.cycles


def test_small_matrices_keep_few_threads_and_the_rest_of_the_program_keeps_its_own():
    def threads():
        return [pool["num_threads"] for pool in ThreadpoolController().select(user_api="blas").info()]

    with threadpool_limits(3, user_api="blas"):
        before = threads()
        with few_threads(60):
            assert set(threads()) == {1}
        with few_threads(100_000):
            assert threads() == before
        assert threads() == before
