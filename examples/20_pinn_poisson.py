# %% Solve Poisson's equation with a network of 337 parameters to five digits by Gauss-Newton.
import equinox as eqx
import jax

from physopt import Stop, minimize
from physopt.pinn import Poisson, scatter, single_mode
from physopt.rules.model_step import ModelStep

jax.config.update("jax_enable_x64", True)
problem = Poisson(amplitude=single_mode(1), collocation=scatter(jax.random.key(0), 400))
measure = eqx.filter_jit(problem.error)


def watch(progress):
    if progress.index % 10 == 0:
        print(f"{progress.index:4d}  value {progress.carry.evaluation.value:.2e}  error {measure(progress.carry.trial):.1e}")
    return measure(progress.carry.trial) <= 1e-5


# %%
solution = minimize(problem, ModelStep(), problem.init(jax.random.key(1)), stop=Stop(max_evaluations=200), callback=watch)
print(f"relative L2 error {measure(solution.point):.1e} after {solution.num_evaluations} residuals with Jacobian")
