# %% A rule of your own: heavy-ball momentum on the rotations of orbitals, guarded by ADIIS/CDIIS.
from typing import Any

import jax
from pyscf import gto, scf

from physopt import AbstractRule, Evaluation, Move, Stop, minimize
from physopt.core.tree import tree_add, tree_scale, tree_zeros
from physopt.rules.diis import adiis_cdiis
from physopt.rules.guard import Guard
from physopt.scf.problem import SCF

jax.config.update("jax_enable_x64", True)


class HeavyBall(AbstractRule):
    """The model's step plus a fraction of the last step."""

    momentum: float = 0.2

    def init(self, evaluation: Evaluation) -> Any:
        return tree_zeros(evaluation.grad)

    def step(self, evaluation: Evaluation, state: Any) -> tuple[Move, Any]:
        step = tree_add(evaluation.model.minimize(), tree_scale(self.momentum, state))
        return Move(step, accept=True), step


# %% Any rule runs on any problem; `record=` would keep the run.
mol = gto.M(atom="N 0 0 0; N 0 0 1.1", basis="def2-svp", verbose=0)
problem = SCF.of(scf.RHF(mol))
solution = minimize(problem, Guard(HeavyBall(), adiis_cdiis()), problem.init(), stop=Stop(grad_norm=6e-5, decrease=1e-9))
print(f"{solution.reason} after {solution.num_evaluations} evaluations, E = {solution.evaluation.value:.9f} hartree")
