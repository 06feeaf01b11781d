"""A family for the tests of learned starts: a chain of stiffening springs under a load, in NumPy alone."""

import numpy as np

UNKNOWNS = 6
STIFFNESS = np.logspace(0.0, 1.5, UNKNOWNS + 1)


def chain(x, task):
    r"""Return $\sum_i k_i (d_i^2 / 2 + s d_i^4 / 4) - p \sum_i x_i$ with $d_i = x_i - x_{i-1}$ between fixed ends, and its gradient."""
    d = np.diff(x, prepend=0.0, append=0.0)
    pull = STIFFNESS * (d + task["stiffening"] * d**3)
    value = (STIFFNESS * (d**2 / 2 + task["stiffening"] * d**4 / 4)).sum() - task["load"] * x.sum()
    return float(value), pull[:-1] - pull[1:] - task["load"]


def draw(random):
    """Return a task."""
    return {"stiffening": random.uniform(0.1, 1.0), "load": random.uniform(1.0, 4.0)}


def fill(study, number, random, **settings):
    """Solve so many tasks, and return the results."""
    return [study.minimize(chain, np.zeros(UNKNOWNS), draw(random), pass_task=True, **settings) for _ in range(number)]
