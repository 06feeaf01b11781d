# %% [markdown]
# Meta-train a learned rule on small quadratic wells, keep its weights, and count its steps on tasks it has not seen.

# %%
import tempfile
from pathlib import Path

import jax
import numpy as np
import optax

import physopt
from physopt import meta

jax.config.update("jax_enable_x64", True)

# %% The rule: a combination of four tangents; its coefficients are what is learned. Untrained it takes the model's own step.
family = meta.Quadratics(dim=8)
untrained = physopt.rules.Span(key=jax.random.key(0))

# %% Evolution strategies need only values, so the same lines train on problems that run on the host.
optim = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(5e-3))
trained, training = meta.train(untrained, family, meta.Antithetic(40, sigma=0.01), optim, num_steps=60, key=jax.random.key(0))
print(f"meta-loss {training.loss[0]:.3f} -> {training.loss[-10:].mean():.3f}")
print(f"{training.cost[-1]:.0f} evaluations, {training.seconds[-1]:.0f} s")

# %% Weights are arrays and a checksum in a safetensors file.
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "span.safetensors"
    physopt.save_weights(path, trained, {"family": "Quadratics(dim=8)", "seed": 0})
    trained = physopt.load_weights(path, like=untrained)

# %% Held-out tasks, four times as many unknowns.
unseen = meta.draw(meta.Quadratics(dim=32), jax.random.key(1), 64)
for name, rule in {"untrained": untrained, "trained": trained, "lbfgs": physopt.rules.LBFGS()}.items():
    steps = meta.steps_to_tolerance(rule, meta.Quadratics(dim=32), unseen, tolerance=1e-6, budget=300)
    print(f"{name:10s} median {np.median(steps):4.0f} evaluations to 1e-6, {np.sum(steps <= 300)} of {len(steps)} converged")
