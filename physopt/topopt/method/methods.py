"""The methods of topology optimization by name."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from physopt.core.recording import Recording
from physopt.core.rule import AbstractRule
from physopt.rules.mirror import MirrorDescent
from physopt.rules.mma import GCMMA, MMA
from physopt.rules.oc import OptimalityCriteria
from physopt.topopt import SIMP
from physopt.topopt.definition import Definition
from physopt.topopt.library import Library, Start

from .near import near_stages
from .race import CRITERIA, TUNED
from .schedule import Schedule, trained
from .stages import Design, Stage, Step, on_coarser_grids, optimize

Plan = Callable[[SIMP, int], list[Stage]]


def single(rule: AbstractRule) -> Plan:
    """Return the plan of one stage by one rule."""
    return lambda problem, solutions: [Stage(problem, rule, solutions)]


def multilevel(rule: AbstractRule, coarse: Sequence[int] = (30,)) -> Plan:
    """Return the plan that solves on coarser grids first, the next coarser one for `coarse[0]` solves, and so on."""

    return lambda problem, solutions: [*on_coarser_grids(problem, rule, coarse), Stage(problem, rule, solutions)]


def chosen(problem: SIMP, solutions: int) -> list[Stage]:
    """Return the plan by the numbers chosen by hand."""
    return Schedule.by_hand().stages(problem, solutions)  # made here and not with this module, or its import would start JAX's backend


def learned(problem: SIMP, solutions: int) -> list[Stage]:
    """Return the plan by the numbers learned in 2D; in 3D, where nothing was learned, by those chosen by hand."""
    plane = len(problem.equilibrium.structure.shape) == 2
    return (trained() if plane else Schedule.by_hand()).stages(problem, solutions)


def stages_of(definition: Definition, method: str, solutions: int) -> list[Stage]:
    """Return the stages of a definition: its continuation, if it has any, on its own grid; else those of the method."""
    problem, plan = definition.problem(), METHODS[method]
    easier = [
        problem.changed(
            penal=problem.penal if step.penal is None else step.penal,
            sharpness=problem.densities.sharpness if step.beta is None else step.beta,
        )
        for step in definition.continuation
    ]
    counts = [step.solutions for step in definition.continuation]
    before = [_alone(plan(each, count)[-1]) for each, count in zip(easier, counts, strict=True)]
    stages = plan(problem, solutions)
    return [*before, _alone(stages[-1])] if before else stages


def _alone(stage: Stage) -> Stage:
    """Return a method's last stage, to begin where the one before ends and to take all of the solves."""
    return dataclasses.replace(stage, patience=None, blur=None)


# Those called tuned are the best of 5 and 9 settings on random structures 96 elements wide: all on three, the better half on seven more.
METHODS: dict[str, Plan] = {
    "oc": single(OptimalityCriteria()),
    "oc-tuned": single(CRITERIA),
    "mma": single(MMA()),
    "mma-tuned": single(TUNED),
    "gcmma": single(GCMMA()),
    "mirror": single(MirrorDescent()),
    "mma-multilevel": multilevel(MMA()),
    "physopt": chosen,
    "physopt-trained": learned,
}


def solve(
    definition: Definition,
    method: str = "physopt",
    *,
    start: Start | None = None,
    solutions: int = 300,
    change: float | None = 0.01,
    gain: float = 1e-3,
    record: str | Path | Recording | None = None,
    callback: Callable[[Step], bool | None] | None = None,
) -> Design:
    """Return the design for a definition.

    **Arguments:**

    - `method`: one of `METHODS`. `start`: a design of a neighbor, from `Library.start`, to go on from instead.
    - `solutions`: the most finite-element solves on the definition's own grid.
    - `change`, `gain`, `record`, `callback`: as for `optimize`.

    **Raises:** `ValueError` for an unknown method, and for a problem that cannot be solved.
    """
    if not isinstance(definition, Definition):
        raise TypeError(f"solve() takes a Definition, not {definition!r:.60}; read_definition(file) makes one of a TOML file.")
    if method not in METHODS:
        raise ValueError(f"There is no method {method!r}; write one of {', '.join(METHODS)}.")
    stages = stages_of(definition, method, solutions) if start is None else near_stages(definition, solutions)
    return optimize(stages, start=None if start is None else start.design, change=change, gain=gain, record=record, callback=callback)


def solve_near(library: Library, definition: Definition, method: str = "physopt", **options: Any) -> tuple[Design, Start | None]:
    """Return the design for a definition, from the nearest one solved before or by `method` if none is near, and the start.

    The outcome is added to the library if it settled. `options` are those of `solve`.
    """
    start = library.start(definition)
    design = solve(definition, method, start=start, **options)
    remember(library, definition, design)
    return design, start


def remember(library: Library, definition: Definition, design: Design) -> None:
    """Add the outcome of a run to a library, if it settled."""
    value = float(design.solution.evaluation.value)
    if design.settled and math.isfinite(value):
        library.add(definition, design.solution.point, value)
