# %% A family with two parameters, and a system of two fields.
import jax.numpy as jnp
import numpy as np

from physopt import pinn

# %% One problem, many parameters: reaction and diffusion in a rod, for two rates and two diffusivities.
rod = pinn.Problem(
    pinn.Box(x=(0, 1)),
    lambda u, d, k: d * u.xx - k * u,
    [pinn.Boundary(lambda u: u - 1)],
    reference=lambda x, d, k: np.cosh(np.sqrt(k / d) * (x - 0.5)) / np.cosh(np.sqrt(k / d) / 2),
    d=1.0,
    k=1.0,
)
for d in (0.1, 1.0):
    for k in (1.0, 10.0):
        answer = pinn.solve(rod.at(d=d, k=k), 1e-6)
        print(f"d = {d}, k = {k}: {float(answer(0.5)):.6f} in the middle, error {answer.true_error():.0e}, estimated {answer.error:.0e}")

# %% Schrödinger's nonlinear equation, as its real and its imaginary part: a wave on a ring piles up, and loses nothing.
piling = pinn.Problem(
    pinn.Box(x=(0, 2 * np.pi), periodic="x"),
    lambda u, v: (u.t + v.xx / 2 + (u**2 + v**2) * v, v.t - u.xx / 2 - (u**2 + v**2) * u),
    [pinn.Start(lambda u, v, x: (u - 1 - 0.1 * jnp.cos(x), v))],
    fields="u v",
    time=(0, 2),
)
answer = pinn.solve(piling, 1e-5)
x = np.linspace(0, 2 * np.pi, 64, endpoint=False)
for t in (0.0, 2.0):
    density = sum(part**2 for part in answer(x=x, t=t).values())
    print(f"t = {t}: density {density.max():.5f} at most, {density.mean():.7f} in the mean, estimated error {answer.error:.0e}")
