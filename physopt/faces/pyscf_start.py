"""The start of an accelerated run: the same self-consistent field on a cheap surface, so that no exact build goes into the way there."""

from typing import Any

import numpy as np
from numpy import ndarray
from pyscf import dft
from pyscf.lib import logger

from physopt.core.run import minimize
from physopt.core.stop import Stop
from physopt.core.tree import tree_norm
from physopt.rules.control import Control
from physopt.rules.diis import DIIS, StaticShift
from physopt.rules.mixers import Blend, Commutator
from physopt.scf.model import Orbitals
from physopt.scf.problem import SCF
from physopt.scf.starts import cheap_surface, is_fitted

# Grid levels of Kohn-Sham surfaces from coarse to fine, and how far to converge on each: |g| in PySCF's norm. Beyond that a surface
# differs from the exact one by more than the run on it has left to do.
STAGES = ((0, 1e-2), (1, 3e-4))
LONGEST = 40  # evaluations on each


def default_rule(mf: Any) -> Control:
    """Return the rule of `accelerate(mf)`: response DIIS, then a trust region; with `mf`'s space, damping, shift."""
    shift = np.asarray(mf.level_shift or 0.0, dtype=float)  # one number, or one for each spin
    settings = {"damping": float(mf.diis_damp), "shift": StaticShift(shift if shift.ndim else float(shift))}
    quick = DIIS(Commutator(), mf.diis_space, respond=True, **settings)
    return Control(quick, classical=DIIS(Blend(), mf.diis_space, **settings))


def begin(mf: Any, problem: SCF, dm: ndarray) -> Orbitals:
    """Return where the run of `problem` starts, given an AO density: near the minimum of cheap surfaces.

    A density that is a determinant and nearly stationary is taken as it is. Hartree-Fock with fitted integrals is its own cheap
    surface; there the start costs one build.
    """
    kohn_sham = isinstance(mf, dft.rks.KohnShamDFT)
    if is_fitted(mf) and not kohn_sham:
        model = problem.anchored(dm)
        return problem.solved(model) or problem.stationary(model)
    point, surface = None, mf
    for level, goal in STAGES if kohn_sham else STAGES[-1:]:
        surface = cheap_surface(surface, level)  # the second has the fitted integrals of the first
        cheap = problem.on(surface)
        if point is None:
            model = cheap.anchored(dm)
            if solved := cheap.solved(model):
                problem.respond_at(solved)
                return solved
            point = cheap.stationary(model)
        problem.respond_at(point)
        solution = minimize(cheap, default_rule(mf), point, stop=Stop(grad_norm=2.0 * goal, max_evaluations=LONGEST))
        count, norm = solution.num_evaluations, 0.5 * float(tree_norm(solution.evaluation.grad))
        logger.info(mf, "start: |g|= %.3g after %d evaluations on a cheap surface", norm, count)
        point = solution.point
    assert point is not None
    problem.respond_at(point)
    return point
