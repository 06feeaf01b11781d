"""One step beyond convergence, for finite differences of the result."""

import dataclasses

import numpy as np

from physopt.core.run import Solution
from physopt.core.tree import tree_norm
from physopt.scf.problem import SCF

from .state import State, response_of


def polish(problem: SCF, solution: Solution, state: State) -> tuple[Solution, State]:
    r"""Return the result after one more Newton step of the model and one exact build there.

    PySCF spends such a build at each convergence (`conv_check`). The step multiplies the error by about the relative error of the model. It
    is kept only if the gradient falls, and it is in no record.
    """
    point = problem.retract(solution.point, response_of(solution).minimize(radius=1.0))
    evaluation = problem.evaluate(point)
    state = dataclasses.replace(state, evaluations=state.evaluations + 1)
    if not (np.isfinite(evaluation.value) and tree_norm(evaluation.grad) < tree_norm(solution.evaluation.grad)):
        return solution, state
    return dataclasses.replace(solution, point=point, evaluation=evaluation), state
