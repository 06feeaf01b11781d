# %% One rule, unchanged, on three kinds of physics: the problem's model makes it Gauss-Newton or optimality criteria.
import jax
from pyscf import gto, scf

import physopt
from physopt import Stop, pinn, topopt

jax.config.update("jax_enable_x64", True)
rule = physopt.rules.Guard(physopt.rules.ModelStep(), physopt.rules.GradientDescent())

# %% A molecule, a network, a structure: the driver and the rule are the same for oracles in C or JAX, and for curved or bounded spaces.
water = gto.M(atom="O 0 0 0.117; H 0 0.757 -0.47; H 0 -0.757 -0.47", basis="def2-svp", verbose=0)
problems = [
    ("water, RHF", physopt.scf.SCF.of(scf.RHF(water)), Stop(grad_norm=1e-6)),
    ("Poisson network", pinn.Poisson(amplitude=pinn.single_mode(1), collocation=pinn.scatter(jax.random.key(0), 400)), Stop(value=1e-5)),
    ("MBB beam", topopt.SIMP(topopt.half_mbb((30, 10)), filtering=topopt.DensityFilter(1.5)), Stop(change=0.01)),
]
for name, problem, stop in problems:
    solution = physopt.minimize(problem, rule, problem.init(jax.random.key(1)), stop=stop)
    first, last = solution.history.value[0], solution.evaluation.value
    print(f"{name:16s} {first:14.6f} -> {last:14.6f} {problem.unit:8s} in {solution.num_evaluations:3d} evaluations, {solution.reason}")
