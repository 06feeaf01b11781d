# %% How much material does a beam need to give way no more than it may? Newton's method on the optimum itself.
import numpy as np

import physopt
from physopt.topopt import SIMP, DensityFilter, half_mbb, sensitivity

TARGET = 200.0


def beam(volfrac: float) -> SIMP:
    return SIMP(half_mbb((24, 8)), volfrac, DensityFilter(1.5), softest=1e-3)


def lowest(volfrac: float, start: np.ndarray) -> tuple[np.ndarray, float]:
    stop = physopt.Stop(grad_norm=1e-5, max_evaluations=150)
    solution = physopt.minimize(beam(volfrac), physopt.rules.MMA(), start, stop=stop)
    return solution.point, float(solution.evaluation.value)


# %% One linear solve tells how the lowest compliance and its design change with the volume; the next beam begins there.
volfrac, start = 0.5, beam(0.5).init()
for _ in range(6):
    design, compliance = lowest(volfrac, start)
    (moved,) = sensitivity(beam, volfrac, design, tolerance=1e-3)
    print(f"volume {volfrac:.6f}: compliance {compliance:.4f}, and {moved.value:.2f} for each unit of the volume")
    if abs(compliance - TARGET) < 1e-3:
        break
    change = float(np.clip((TARGET - compliance) / moved.value, -0.1, 0.1))
    volfrac, start = volfrac + change, np.clip(design + change * moved.design, 1e-6, 1.0)

# %% The derivative, by differences of beams that are optimized again.
h = 1e-3
steps = {s: lowest(volfrac + s * h, np.clip(design + s * h * moved.design, 1e-6, 1.0))[1] for s in (-2, -1, 1, 2)}
slope = (8.0 * (steps[1] - steps[-1]) - (steps[2] - steps[-2])) / (12.0 * h)
print(f"derivative {moved.value:.6f}, by differences {slope:.6f}")
for row in beam(volfrac).density(design).T[::-2]:
    print("".join(" .:*#"[int(4.999 * x)] for x in row))
