"""The comparison of methods: heavy elements get their core potentials, and every answer is judged from outside."""

import numpy as np
import pytest
from instances import sampled

from physopt.bench.scf import Judge, compare, compare_series
from physopt.bench.scf_methods import METHODS, SERIES_METHODS, Result, with_weights
from physopt.core.weights import save_weights
from physopt.scf.learned import KernelWeights
from physopt.scf.meter import Meter
from physopt.scf.molecule import mean_field
from physopt.scf.xyz import Molecule

WATER = Molecule(("O", "H", "H"), np.array([[0, 0, 0.117], [0, 0.757, -0.47], [0, -0.757, -0.47]]))
LIFTED = Molecule(WATER.symbols, WATER.coords + np.array([[0, 0, 0.01], [0, 0, 0], [0, 0, 0]]))


def test_a_valence_basis_brings_its_core_potential():
    xenon = mean_field(Molecule(("Xe",), np.zeros((1, 3))), "hf", "def2-svp")
    assert xenon.mol.nelectron == 26
    assert xenon.kernel() == pytest.approx(-328.298394, abs=1e-5)


@pytest.mark.parametrize("method", sampled([m for m in METHODS if m != "ooo"], 3))
def test_every_method_is_counted_and_judged(method):
    record = compare("water", WATER, "hf", "6-31g", method, Judge(WATER, "hf", "6-31g"))
    assert record["converged"]
    assert record["stable"]
    assert record["energy"] == pytest.approx(-75.98394, abs=1e-4)
    assert record["fock_equivalents"] >= record["exact_builds"] >= 2
    assert {
        "case",
        "method",
        "nao",
        "exact_builds",
        "fock_equivalents",
        "wall_s",
        "converged",
        "stable",
        "energy",
        "grad_norm",
        "s2",
    } <= set(record)


def test_a_build_inside_a_build_counts_once():
    meter = Meter()
    mf = meter.watch(mean_field(WATER, "hf", "6-31g"))
    mf.get_veff(mf.mol, mf.get_init_guess())
    assert meter.builds == 1
    mf.get_jk(mf.mol, mf.get_init_guess())
    assert meter.builds == 2


def test_the_judge_is_not_impressed():
    mf = mean_field(WATER, "hf", "6-31g").set(max_cycle=2).run()
    verdict = Judge(WATER, "hf", "6-31g").verdict(Result(mf.mo_coeff, mf.mo_occ))
    assert not verdict["converged"]
    assert verdict["stable"] is None


def test_a_method_that_fails_has_a_record(monkeypatch):
    def refuse(mf, meter):
        raise TypeError("not this one")

    monkeypatch.setitem(METHODS, "refusing", refuse)
    radical = Molecule(("O", "H"), np.array([[0, 0, 0], [0, 0, 0.97]]), spin=1)
    judge = Judge(radical, "hf", "6-31g", rohf=True)
    record = compare("hydroxyl", radical, "hf", "6-31g", "refusing", judge, rohf=True)
    assert not record["converged"]
    assert "TypeError" in record["error"]
    assert compare("hydroxyl", radical, "hf", "6-31g", "physopt", judge, rohf=True)["converged"]


def test_own_weights_are_a_method_of_their_own(tmp_path):
    rng = np.random.default_rng(1)
    weights = KernelWeights(exponents=rng.normal(size=KernelWeights().exponents.shape))
    save_weights(tmp_path / "own.safetensors", weights, {})
    methods = with_weights(tmp_path / "own.safetensors")
    judge = Judge(WATER, "hf", "6-31g")
    own, shipped = (compare("water", WATER, "hf", "6-31g", m, judge, methods=methods) for m in ("physopt-own", "physopt"))
    assert own["converged"]
    assert own["energy"] == pytest.approx(shipped["energy"], abs=1e-8)
    assert own["grad_norm"] != pytest.approx(shipped["grad_norm"], rel=1e-6)


def test_a_series_starts_from_the_last_frame():
    counts = {m: [r["exact_builds"] for r in compare_series("water", [WATER, LIFTED], "hf", "6-31g", m)] for m in SERIES_METHODS}
    assert counts["physopt"][1] < counts["pyscf-previous"][1] < counts["pyscf"][1]
