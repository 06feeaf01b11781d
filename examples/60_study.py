# %% A SciPy script becomes a study by two lines: a hanging chain, solved for many lengths, loads and distances of its ends.
import tempfile

import numpy as np
from scipy.optimize import minimize

import physopt

LINKS = 8


def energy(x, length, load, distance):
    """Return the potential energy of a chain of stiff springs between two hooks, loaded in its middle, and its gradient."""
    nodes = np.concatenate([[[0.0, 0.0]], x.reshape(-1, 2), [[distance, 0.0]]])
    links = np.diff(nodes, axis=0)
    size = np.hypot(*links.T)
    stretch = LINKS * size / length - 1.0
    weight = np.ones(LINKS + 1) / LINKS
    weight[LINKS // 2] += load
    pull = 50.0 * LINKS / length * (stretch / size)[:, None] * links
    grad = np.zeros_like(nodes)
    grad[1:] += pull
    grad[:-1] -= pull
    grad[:, 1] += weight
    return 25.0 * (stretch**2).sum() + weight @ nodes[:, 1], grad[1:-1].ravel()


# %%
study = physopt.Study(tempfile.mkdtemp(), log=print)  # the first line: a folder to remember in
random, plain = np.random.default_rng(0), 0
for _ in range(14):
    task = {"length": random.uniform(1.1, 1.5), "load": random.uniform(0.2, 1.0), "distance": random.uniform(0.9, 1.1)}
    args = tuple(task.values())
    arch = np.linspace(0.0, 1.0, LINKS + 1)[1:-1]
    x0 = np.stack([arch * task["distance"], -0.5 * np.sin(np.pi * arch)], 1).ravel()
    result = study.minimize(energy, x0, task, args=args)  # the second line: it was minimize(energy, x0, args=args, jac=True)
    scipy = minimize(energy, x0, args=args, jac=True, method="L-BFGS-B", options={"maxcor": 60, "ftol": 0.0, "gtol": 1e-6})
    plain += scipy.nfev
    assert abs(result.fun - scipy.fun) < 1e-7
print(study.report())
print(f"SciPy took {plain} calls for all")
