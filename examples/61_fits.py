# %% A SciPy script that fits one curve after the other becomes a study by two lines: the decay of a swing, for many dampings and pitches.
import tempfile

import numpy as np
from scipy.optimize import least_squares

import physopt

times = np.linspace(0.0, 6.0, 60)


def residuals(x, readings):
    """Return what is left of the readings: height, damping, pitch and phase of the swing are unknown."""
    return x[0] * np.exp(-x[1] * times) * np.cos(x[2] * times + x[3]) - readings


# %%
study = physopt.Study(tempfile.mkdtemp(), log=print)  # the first line: a folder to remember in
random, plain, mine = np.random.default_rng(0), 0, 0
for _ in range(16):
    damping, pitch = random.uniform(0.1, 0.4), random.uniform(2.4, 3.2)
    readings = np.exp(-damping * times) * np.cos(pitch * times + 0.3) + 0.01 * random.normal(size=60)
    x0 = np.array([0.8, 0.2, 2.8, 0.0])
    # The second line: it was least_squares(residuals, x0, args=(readings,)).
    result = study.least_squares(residuals, x0, {"readings": readings}, args=(readings,))
    scipy = least_squares(residuals, x0, args=(readings,), method="trf")
    plain, mine = plain + scipy.nfev + 4 * scipy.njev, mine + result.nfev + result.njev
    assert abs(result.cost - scipy.cost) < 1e-7
print(study.report())
print(f"SciPy took {plain} calls for all, the study {mine}")
