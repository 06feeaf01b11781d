"""Record a self-consistent field: `recorded_scf.py FOLDER BUDGET`. Without criteria it goes on long after it has converged."""

import sys

import jax
from pyscf import gto, scf

from physopt import Recording, Stop, minimize
from physopt.rules.diis import adiis_cdiis, response_diis
from physopt.rules.guard import Guard
from physopt.scf.problem import SCF

if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    folder, budget = sys.argv[1], int(sys.argv[2])
    mol = gto.M(atom="O 0 0 0; H 0 0 0.97", spin=1, basis="6-31g", verbose=0)
    problem = SCF.of(scf.UHF(mol))
    point = problem.init()
    print("ready", flush=True)
    minimize(
        problem,
        Guard(response_diis(), adiis_cdiis()),
        point,
        stop=Stop(max_evaluations=budget),
        record=Recording(folder, resume=True),
        callback=lambda progress: print(progress.index, flush=True),
    )
