# %% Solve equations of your own: a plate with a hole, two reacting species, and a decay rate from noisy readings.
import jax.numpy as jnp
import numpy as np

from physopt import pinn

# %% A heated disk with a hole, cooled by the air at the rim, held at zero at the hole.
disk, hole = pinn.Ball(1.0, x=0, y=0), pinn.Ball(0.6, x=0.1, y=0)
at_the_hole = pinn.Boundary(lambda u: u, where=lambda x, y: np.hypot(x - 0.1, y) < 0.61)
at_the_rim = pinn.Boundary(lambda u, h: u.normal + h * u, where=lambda x, y: np.hypot(x, y) > 0.99)
plate = pinn.Problem(disk - hole, lambda u: u.laplacian + 1, [at_the_hole, at_the_rim], h=2.0)
answer = pinn.solve(plate, 1e-4)
print(f"{float(answer(-0.8, 0.0)):.6f} on the left, estimated error {answer.error:.0e}, converged: {answer.converged}")

# %% Two species: one diffuses and is eaten, the other grows on it.
reaction = pinn.Problem(
    pinn.Box(x=(0, 1), periodic="x"),
    lambda u, v: (u.t - 0.05 * u.xx + u * v, v.t - 0.01 * v.xx - u * v + 0.5 * v),
    [pinn.Start(lambda u, v, x: (u - 1, v - 0.2 - 0.1 * jnp.cos(2 * jnp.pi * x)))],
    fields="u v",
    time=(0, 2),
)
answer = pinn.solve(reaction, 1e-5)
print({name: float(value.round(5)) for name, value in answer(x=0.0, t=2.0).items()}, f"estimated error {answer.error:.0e}")

# %% A rate that nobody knows, from thirty readings with 2 % noise.
t = np.linspace(0, 2, 30)
readings = np.exp(-0.7 * t) + 0.02 * np.random.default_rng(0).standard_normal(30)
decay = pinn.Problem(None, lambda u, k: u.t + k * u, [pinn.Data(lambda u: u, readings, t=t)], time=(0, 2), unknowns={"k": 0.1})
answer = pinn.solve(decay)
print(f"k = {answer.unknowns['k']:.3f} +- {answer.deviations['k']:.3f}")
