"""How to go on from the design of a neighbor: no coarse grids, no continuation."""

from physopt.core.rule import AbstractRule
from physopt.rules.guard import Guard
from physopt.rules.mirror import MirrorDescent
from physopt.rules.mma import MMA
from physopt.rules.oc import OptimalityCriteria
from physopt.topopt import SIMP
from physopt.topopt.definition import Definition

from .stages import Stage

FIRST = 3.0  # change of the latent variable in the first step: of 0.3, 1 and 3 the quickest from the design of a neighbor


def near_rule(problem: SIMP) -> AbstractRule:
    """Return the rule that needs the fewest solves from a start near the optimal design."""
    if not problem.densities.filtering.exact:
        return OptimalityCriteria()
    if problem.objective.falling and problem.functions == 1:
        return Guard(MirrorDescent(FIRST), MMA(), patience=5.0, share=0.3)
    return MMA()


def near_stages(definition: Definition, solutions: int) -> list[Stage]:
    """Return the only stage of a run that starts near the optimal design."""
    problem = definition.problem()
    return [Stage(problem, near_rule(problem), solutions)]
