"""The start of an accelerated run: the same self-consistent field on a cheap surface, which needs no exact build."""

from typing import Any

import numpy as np
from numpy import ndarray
from pyscf import dft
from pyscf.lib import logger

from physopt.core.rule import AbstractRule
from physopt.core.run import Solution, minimize
from physopt.core.stop import Stop
from physopt.rules.control import Control
from physopt.rules.diis import DIIS, StaticShift
from physopt.rules.mixers import Blend, Commutator
from physopt.rules.trust import TrustRegion
from physopt.scf.corrected import Surface
from physopt.scf.model import Orbitals
from physopt.scf.problem import SCF
from physopt.scf.starts import cheap_surface, in_memory, is_fitted
from physopt.scf.supported import is_molecular

from .state import Converge, descend, response_of

# Grid levels of Kohn-Sham surfaces from coarse to fine, and how far to converge on each: |g| in PySCF's norm. Beyond that a surface
# differs from the exact one by more than the run on it has left to do.
STAGES = ((0, 1e-3), (1, 3e-4))
RADIUS = 1.0  # radians: as far as a model sees
LONGEST = 40  # evaluations of one run on a cheap surface
QUICK = 70  # functions: below, what builds on integrals in memory save beside fitted ones is one or two tenths of a second of a run


def default_rule(mf: Any) -> Control:
    """Return the rule of `accelerate(mf)`: response DIIS, then a trust region; with `mf`'s space, damping, shift."""
    shift = np.asarray(mf.level_shift or 0.0, dtype=float)  # one number, or one for each spin
    shift = np.where(abs(shift) > 1e-4, shift, 0.0)  # PySCF does not see a smaller one, nor what is no number
    settings = {"damping": float(mf.diis_damp), "shift": StaticShift(shift if shift.ndim else float(shift))}
    quick = DIIS(Commutator(), mf.diis_space, respond=True, **settings)
    return Control(quick, classical=DIIS(Blend(), mf.diis_space, **settings))


def check_start(start: str | None) -> None:
    """Raise `ValueError` unless it is one of those of `accelerate`."""
    if start not in (None, "fitted", "exact"):
        raise ValueError(f"start={start!r} is none of 'fitted', 'exact' and None, which takes the quicker one.")


def begins_exactly(mf: Any) -> bool:
    """Say whether a run begins at its initial guess: as asked, or where fitted builds cost more than those on integrals in memory."""
    if mf.start is not None or mf.calibration is not None or mf.target != "nearest":
        return mf.start == "exact"
    return not isinstance(mf, dft.rks.KohnShamDFT) and mf.mol.nao_nr() >= QUICK and in_memory(mf)


def first_point(mf: Any, problem: SCF, dm: ndarray) -> tuple[SCF, Orbitals, float, Surface | None]:
    """Return a start near the minimum of cheap surfaces, from an AO density: the problem at it, the point, its energy in hartree, if known,
    and the last cheap surface with its answer there, if there is one.

    A saddle that the gradient can see is left on the first surface, where that is cheap. For a stable target any saddle is left; the
    search for the lowest state leaves it by itself. A density that is a determinant and nearly stationary is used as it is. Hartree-Fock
    with fitted integrals is its own cheap surface, and a Hamiltonian that is not the molecule's has none; there the start costs one
    build, as where it is to be exact.
    """
    kohn_sham = isinstance(mf, dft.rks.KohnShamDFT)
    exactly = begins_exactly(mf)
    if exactly or (is_fitted(mf) and not kohn_sham) or not is_molecular(mf, problem.oracle.overlap):
        logger.info(mf, "start: on the exact surface" + ", whose integrals fit into memory" * (exactly and mf.start is None))
        problem = problem.at(dm)
        model = problem.anchored(dm)
        return problem, problem.solved(model) or problem.stationary(model), problem.oracle.energy, None
    stages = STAGES if kohn_sham else STAGES[-1:]
    cheap = problem.on(cheap_surface(mf, stages[0][0])).at(dm)
    model = cheap.anchored(dm)
    if solved := cheap.solved(model):
        return problem.at(solved), solved, cheap.oracle.energy, Surface(cheap, cheap.oracle.energy, model.anchor)
    point = cheap.stationary(model)
    problem, cheap = problem.at(point), cheap.at(point)
    converge = _converger(cheap, stages[0][1])
    solution = converge(default_rule(mf), point)
    path = response_of(solution).descend(RADIUS)
    if path.length > 0.99 * RADIUS:  # a saddle, as far as the gradient can see
        solution = converge(TrustRegion(), path.end.point)
    if mf.target == "stable":
        solution, state = descend(cheap, solution, converge, trusting=True)
        logger.note(mf, "On a cheap surface: %s", state)
    for level, goal in stages[1:]:
        problem = problem.at(solution.point)
        cheap = problem.on(cheap_surface(cheap.oracle.mf, level))  # with the same fitted integrals
        solution = _converger(cheap, goal)(default_rule(mf), solution.point)
    logger.info(mf, "start: E= %.12g on a cheap surface", float(solution.evaluation.value))
    energy = float(solution.evaluation.value)
    return problem, solution.point, energy, Surface(cheap, energy, response_of(solution).anchor)


def _converger(cheap: SCF, goal: float) -> Converge:
    """Return how to run a rule from a point on a cheap surface."""
    stop = Stop(grad_norm=2.0 * goal, max_evaluations=LONGEST)

    def converge(rule: AbstractRule, point: Orbitals) -> Solution:
        return minimize(cheap, rule, point, stop=stop)

    return converge
