# %% A rule of your own: heavy-ball momentum on the rotations of orbitals, guarded by ADIIS/CDIIS.
from typing import Any

import jax
from pyscf import gto, scf

import physopt
from physopt.core.tree import tree_add, tree_scale, tree_zeros

jax.config.update("jax_enable_x64", True)


class HeavyBall(physopt.AbstractRule):
    """The model's step plus a fraction of the last step."""

    momentum: float = 0.2

    def init(self, evaluation: physopt.Evaluation) -> Any:
        return tree_zeros(evaluation.grad)

    def step(self, evaluation: physopt.Evaluation, state: Any) -> tuple[physopt.Move, Any]:
        step = tree_add(evaluation.model.minimize(), tree_scale(self.momentum, state))
        return physopt.Move(step, accept=True), step


# %% Any rule runs on any problem; `record=` would keep the run.
mol = gto.M(atom="N 0 0 0; N 0 0 1.1", basis="def2-svp", verbose=0)
problem = physopt.scf.SCF.of(scf.RHF(mol))
solution = physopt.minimize(
    problem, physopt.rules.Guard(HeavyBall(), physopt.rules.adiis_cdiis()), problem.init(), stop=physopt.Stop(grad_norm=6e-5, decrease=1e-9)
)
print(f"{solution.reason} after {solution.num_evaluations} evaluations, E = {solution.evaluation.value:.9f} hartree")
