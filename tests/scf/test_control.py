"""Who leads, and what a run costs whatever the kernel says."""

import functools
from pathlib import Path

import numpy as np
import pytest
from instances import HYDROXYL, WATER, combined, molecule, sampled
from pyscf import dft, scf

from physopt import Stop, minimize
from physopt.rules.control import CLASSICAL, DESCENT, QUICK, Control
from physopt.rules.diis import adiis_cdiis, response_diis
from physopt.scf.kernel import ResponseKernel, exchange_terms
from physopt.scf.molecule import mean_field
from physopt.scf.problem import SCF
from physopt.scf.xyz import read_xyz

HELD_OUT = sorted(Path(__file__).parents[2].glob("data/held-out/ordinary/*.xyz"))
STOP = Stop(grad_norm=6e-5, decrease=1e-9, max_evaluations=100)
SPOILED = {
    "flipped": lambda g, rng: -g,
    "huge": lambda g, rng: 1e6 * g,
    "tiny": lambda g, rng: 1e-6 * g,
    "zero": lambda g, rng: 0.0 * g,
    "nan": lambda g, rng: np.nan * g,
    "random": lambda g, rng: (m := (a := rng.normal(size=g.shape[-2:])) + a.T) @ g @ m,
}
ORDINARY = {
    "water": lambda: scf.RHF(molecule(WATER)),
    "hydroxyl": lambda: scf.UHF(molecule(HYDROXYL, spin=1)),
    "carbon-monoxide-b3lyp": lambda: dft.RKS(molecule("C 0 0 0; O 0 0 1.13"), xc="b3lyp"),
    "magnesium-fluoride-torn": lambda: scf.UHF(molecule("Mg 0 0 0; F 0 0 2.8", spin=1)),
    "ozone": lambda: scf.RHF(molecule("O 0 0 0; O 1.09 0.67 0; O -1.09 0.67 0")),
}


class Spoiled(ResponseKernel):
    """A kernel whose answers are spoiled, always in the same way."""

    def __init__(self, mf, how):
        super().__init__(mf.mol, exchange_terms(mf))
        self._how = how

    def __call__(self, orbitals, weights, electrons):
        return SPOILED[self._how](super().__call__(orbitals, weights, electrons), np.random.default_rng(0))


def run(problem, rule):
    turns = []
    solution = minimize(problem, rule, problem.init(), stop=STOP, callback=lambda p: turns.append(int(getattr(p.carry.state, "turn", 0))))
    return solution, turns


@functools.cache
def classical(name):
    return run(SCF(ORDINARY[name]()), adiis_cdiis())[0]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(("name", "how"), combined([(n, n) for n in ORDINARY], [(how, how) for how in SPOILED], 6))
def test_whatever_the_kernel_says_the_run_converges_at_the_classical_cost(name, how):
    mf = ORDINARY[name]()
    spoiled, _ = run(SCF(mf, Spoiled(mf, how)), Control())
    assert spoiled.converged
    assert spoiled.num_evaluations + 1 <= 1.5 * (classical(name).num_evaluations + 1)  # one build went into the start
    assert spoiled.evaluation.value <= classical(name).evaluation.value + 1e-7


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("file", HELD_OUT, ids=lambda f: f.stem)
def test_whatever_the_kernel_says_held_out_molecules_converge_at_the_classical_cost(file):
    make = lambda: mean_field(read_xyz(file), "hf", "def2-svp").build()  # noqa: E731
    alone, _ = run(SCF(make()), adiis_cdiis())
    for how in SPOILED:
        mf = make()
        spoiled, _ = run(SCF(mf, Spoiled(mf, how)), Control())
        assert spoiled.converged, how
        assert spoiled.num_evaluations + 1 <= 1.5 * (alone.num_evaluations + 1), how


def test_a_quick_rule_that_contracts_is_left_alone():
    solution, turns = run(SCF.of(ORDINARY["water"]()), Control())
    alone, _ = run(SCF.of(ORDINARY["water"]()), response_diis())
    np.testing.assert_array_equal(solution.history.value, alone.history.value)
    assert set(turns) == {QUICK}


@pytest.mark.parametrize("apart", sampled([3.0, 3.2, 3.4], (3.2,)))
def test_a_quick_rule_that_stalls_is_relieved_once_and_from_the_best_point(apart):
    problem = SCF.of(scf.UHF(molecule(f"Mg 0 0 0; F 0 0 {apart}", spin=1)))
    turns, bases = [], []

    def watch(progress):
        turns.append(int(progress.carry.state.turn))
        bases.append(float(progress.carry.state.descent.base.value))

    solution = minimize(problem, Control(), problem.init(), stop=STOP, callback=watch)
    assert solution.converged
    assert turns == sorted(turns) and turns[-1] == DESCENT
    assert (np.diff(bases[1:]) <= 1e-9).all()


def test_turns_are_kept_for_as_long_as_they_dwell():
    problem = SCF(ORDINARY["ozone"]())  # without a kernel, hence not believed
    _, turns = run(problem, Control(unaided=3))
    changes = np.flatnonzero(np.diff(turns)) + 1
    assert turns[0] == CLASSICAL and DESCENT in turns
    assert (np.diff(changes) >= 3).all()
