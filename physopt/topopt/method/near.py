"""Topology optimization that starts from the designs of a library, and adds its own."""

import math

from physopt.core.rule import AbstractRule
from physopt.rules.guard import Guard
from physopt.rules.mirror import MirrorDescent
from physopt.rules.mma import MMA
from physopt.rules.oc import OptimalityCriteria
from physopt.topopt import SIMP, MeanCompliance, SensitivityFilter
from physopt.topopt.definition import Definition
from physopt.topopt.library import Library, Start

from .methods import stages_of
from .stages import Design, Stage, optimize

FIRST = 3.0  # change of the latent variable in the first step: of 0.3, 1 and 3 the quickest from the design of a neighbor


def near_rule(problem: SIMP) -> AbstractRule:
    """Return the rule that needs the fewest solves from a start near the optimal design."""
    if isinstance(problem.densities.filtering, SensitivityFilter):
        return OptimalityCriteria()
    if isinstance(problem.objective, MeanCompliance):
        return Guard(MirrorDescent(FIRST), MMA(), patience=5.0, share=0.3)
    return MMA()


def near_stages(definition: Definition, solutions: int) -> list[Stage]:
    """Return the only stage of a run that starts near the optimal design: no coarse grids, no continuation."""
    problem = definition.problem()
    return [Stage(problem, near_rule(problem), solutions)]


def remember(library: Library, definition: Definition, design: Design) -> None:
    """Add the outcome of a run, if it settled."""
    value = float(design.solution.evaluation.value)
    if design.settled and math.isfinite(value):
        library.add(definition, design.solution.point, value)


def solve_near(
    library: Library,
    definition: Definition,
    method: str = "physopt",
    *,
    solutions: int = 300,
    change: float | None = 0.01,
    gain: float = 1e-3,
) -> tuple[Design, Start | None]:
    """Return the design for a definition, from the nearest design of the library, or by `method` if none is near, and the start.

    The outcome is added to the library if it settled. The other arguments are those of `solve`.
    """
    start = library.start(definition)
    stages = stages_of(definition, method, solutions) if start is None else near_stages(definition, solutions)
    design = optimize(stages, start=None if start is None else start.design, change=change, gain=gain)
    remember(library, definition, design)
    return design, start
