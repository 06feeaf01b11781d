# %% Solve Poisson's equation with a network of 337 parameters to five digits by Gauss-Newton.
import equinox as eqx
import jax

import physopt

jax.config.update("jax_enable_x64", True)
problem = physopt.pinn.Poisson(amplitude=physopt.pinn.single_mode(1), collocation=physopt.pinn.scatter(jax.random.key(0), 400))
measure = eqx.filter_jit(problem.error)


def watch(progress):
    if progress.index % 10 == 0:
        print(f"{progress.index:4d}  value {progress.carry.evaluation.value:.2e}  error {measure(progress.carry.trial):.1e}")
    return measure(progress.carry.trial) <= 1e-5


# %%
solution = physopt.minimize(
    problem, physopt.rules.ModelStep(), problem.init(jax.random.key(1)), stop=physopt.Stop(max_evaluations=200), callback=watch
)
print(f"relative L2 error {measure(solution.point):.1e} after {solution.num_evaluations} residuals with Jacobian")
