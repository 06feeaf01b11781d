# %% How much smoothing do noisy readings want? The weight that predicts other readings best, by a derivative of the whole solve.
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

import physopt

jax.config.update("jax_enable_x64", True)
places = np.linspace(0.0, 1.0, 41)
truth = np.where(places < 0.4, places, 0.8 - 0.5 * places)
readings = jnp.asarray(truth + 0.05 * np.random.default_rng(0).standard_normal(41))
fitted = jnp.arange(41) % 3 > 0  # two readings of three; the others judge


class Curve(physopt.AbstractProblem):
    """A curve through noisy readings: half their squared misfit, and a weight times how much its slope changes, large changes less so."""

    log_weight: jax.Array
    traceable: bool = eqx.field(default=True, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key):
        return jnp.where(fitted, readings, 0.0)

    def evaluate(self, point):
        def value(x):
            bends = jnp.diff(x, 2) / 0.2
            return (
                0.5 * (jnp.where(fitted, x - readings, 0.0) ** 2).sum() + jnp.exp(self.log_weight) * (jnp.sqrt(1.0 + bends**2) - 1.0).sum()
            )

        f, grad = jax.value_and_grad(value)(point)
        return physopt.Evaluation(f, grad, physopt.GaussNewton(grad, jax.hessian(value)(point), jnp.zeros(())))

    def retract(self, point, step):
        return point + step


# %% The error at the readings that were left out, and its derivative: one linear solve more, whatever the solve took.
def error(log_weight):
    problem, stop = Curve(jnp.asarray(log_weight)), physopt.Stop(grad_norm=1e-11, max_evaluations=200)
    curve = physopt.minimize(problem, physopt.rules.ModelStep(), problem.init(None), stop=stop, adjoint=physopt.Implicit()).point
    return 0.5 * (jnp.where(fitted, 0.0, curve - readings) ** 2).sum()


both = jax.value_and_grad(error)
start, h = np.log(1e-2), 1e-3
slope = (8.0 * (error(start + h) - error(start - h)) - error(start + 2 * h) + error(start - 2 * h)) / (12.0 * h)
print(f"derivative {both(start)[1]:.12f}, by differences of curves fitted again {slope:.12f}")
found = scipy.optimize.minimize(lambda w: [np.asarray(part) for part in both(w[0])], [start], jac=True, bounds=[(-9.0, 3.0)])
print(f"weight {np.exp(start):.1e} -> {np.exp(found.x[0]):.1e}, error {error(start):.4f} -> {found.fun:.4f}, {found.nfev} solves")
