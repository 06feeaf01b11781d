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
