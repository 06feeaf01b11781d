"""Check a problem of topology optimization before the run: its gradient, and what it will cost."""

import math
import time

import numpy as np

from physopt.core.boxed import boxed_program
from physopt.topopt import SIMP


def check(problem: SIMP, step: float = 1e-4) -> dict[str, str]:
    """Solve once, compare the slope along a random direction with a central difference, and estimate the cost of an optimization."""
    structure, point = problem.equilibrium.structure, problem.init()
    problem.evaluate(point)  # compiles
    began = time.perf_counter()
    evaluation = problem.evaluate(point)
    seconds = time.perf_counter() - began
    program = boxed_program(evaluation)
    direction = np.where(program.upper > program.lower, np.random.default_rng(0).uniform(-1.0, 1.0, point.shape), 0.0)
    ahead, behind = (boxed_program(problem.evaluate(point + sign * step * direction)).values for sign in (1.0, -1.0))
    difference = (ahead - behind) / (2.0 * step)
    slope = (program.slopes * direction).reshape(len(difference), -1).sum(axis=1)
    error = float(np.abs(difference - slope).max() / np.abs(difference).max())
    solver = "direct" if problem.equilibrium.iterative is None else "multigrid"
    return {
        "elements": f"{math.prod(structure.shape)}",
        "unknowns": f"{np.count_nonzero(~structure.held)}, {len(structure.force)} loads",
        "solver": solver,
        "value of the uniform design": f"{float(evaluation.value):.8g}",
        "gradient": f"differs from a central difference by {error:.1e} of it" if program.exact else "none with a sensitivity filter",
        "one solve": f"{seconds:.3g} s",
        "100 solves": f"about {100.0 * seconds:.3g} s",
    }
