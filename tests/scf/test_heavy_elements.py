"""Atoms whose functional diverges on a fitted density, open f shells, and what to do where one and the same answer comes back."""

import numpy as np
import pytest
from instances import WATER, molecule
from pyscf import dft, gto, scf

from physopt import Stop, accelerate, minimize
from physopt.rules.control import CLASSICAL, DESCENT, Control
from physopt.scf.kernel import Density, ResponseKernel
from physopt.scf.meter import Meter
from physopt.scf.problem import SCF

SMALL_CORE = "stuttgartrsc"


def lanthanide(symbol, others, spin, kind=scf.UHF, **options):
    names = {line.split()[0] for line in others.split("; ")}
    basis = {symbol: SMALL_CORE} | dict.fromkeys(names, "6-31g")
    return kind(gto.M(atom=f"{symbol} 0 0 0; {others}", basis=basis, ecp={symbol: SMALL_CORE}, spin=spin, verbose=0), **options)


def uranium_dihydride(kind):
    mol = gto.M(atom="U 0 0 0; H 1.62 1.25 0; H -1.62 1.25 0", basis={"U": "crenbl", "H": "6-31g"}, ecp={"U": "crenbl"}, spin=4, verbose=0)
    return kind(mol, xc="b3lyp")


SILVER = lambda: dft.RKS(gto.M(atom="Ag 0 0 0; Cl 0 0 2.28", basis="def2-svp", ecp={"Ag": "def2-svp"}, verbose=0), xc="pbe")  # noqa: E731
CHROMIUM = lambda: dft.UKS(gto.M(atom="Cr 0 0 0", basis="def2-svp", spin=6, verbose=0), xc="pbe")  # noqa: E731
NITROGEN = lambda: dft.UKS(molecule("N 0 0 0", spin=3), xc="pbe")  # noqa: E731


@pytest.mark.parametrize(
    ("make", "kept"), [(SILVER, [False]), (CHROMIUM, [True, False]), (NITROGEN, [True, True]), (lambda: dft.RKS(molecule(WATER)), [True])]
)
def test_a_response_that_diverges_is_left_out_spin_by_spin(make, kept):
    mf = make().set(max_cycle=8)
    mf.grids.level = 0
    mf.kernel()
    term = ResponseKernel.of(mf).at(mf, np.asarray(mf.make_rdm1())).semilocal
    assert [bool(block.any()) for block in term.local] == kept
    dm = np.asarray(mf.make_rdm1()).reshape(-1, mf.mol.nao, mf.mol.nao)
    charges = ResponseKernel.of(mf).charges
    change = term.of(Density([], [charges.moments(d) for d in dm]))
    with pytest.raises(ValueError, match="is known for"):
        term.of(Density([], 3 * [charges.moments(dm[0])]))
    assert np.linalg.norm(change) < np.linalg.norm(mf.get_fock() - mf.get_hcore())


@pytest.mark.parametrize("make", [pytest.param(SILVER, marks=pytest.mark.slow, id="silver"), pytest.param(CHROMIUM, id="chromium")])
def test_metals_take_the_builds_of_ordinary_molecules(make):
    plain, fast, meter = make(), accelerate(make()), Meter()
    meter.watch(fast).kernel()
    assert fast.converged and meter.builds <= 3
    assert fast.e_tot <= plain.kernel() + 1e-8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda: uranium_dihydride(dft.ROKS), 36),
        (lambda: lanthanide("Ce", "O 0 0 1.82", 2), 12),
        (lambda: lanthanide("Nd", "O 0 0 1.8", 4), 22),
        (lambda: lanthanide("Nd", "O 0 0 1.8", 4, dft.UKS, xc="pbe"), 22),
        pytest.param(
            lambda: lanthanide("Eu", "Cl 2.45 0 0; Cl -1.225 2.1218 0; Cl -1.225 -2.1218 0", 6),
            50,
            marks=pytest.mark.xfail(
                strict=True, raises=AssertionError, reason="creeps along a curved valley, see docs/scf.md, When not to use it"
            ),
        ),
    ],
    ids=["UH2", "CeO", "NdO", "NdO-pbe", "EuCl3"],
)
def test_open_f_shells_converge(make, most):
    fast = accelerate(make())
    fast.kernel()
    assert fast.converged and fast.cycles <= most


@pytest.mark.parametrize("spin", [0, 2])
def test_a_repeated_answer_ends_the_classical_turn_at_once(spin):
    problem = SCF((scf.UHF if spin else scf.RHF)(molecule("O 0 0 0; O 1.09 0.67 0; O -1.09 0.67 0", spin=spin)))  # without a kernel
    start, turns = problem.init(), []
    answer = problem.evaluate(start)
    rule = Control()
    state = rule.init(answer)
    for _ in range(3):
        _, state = rule.step(answer, state)
        turns.append(int(state.turn))
    assert turns[0] == CLASSICAL and turns[1:] == [DESCENT, DESCENT]
    solution = minimize(problem, rule, start, stop=Stop(grad_norm=6e-5, max_evaluations=100))
    assert solution.converged  # answers that differ keep the turn
