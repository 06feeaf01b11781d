"""Compare methods of topology optimization: solves until near the best known design, and final values."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from physopt.topopt import SIMP
from physopt.topopt.method.methods import METHODS
from physopt.topopt.method.stages import Design, Step, optimize

PERCENTS = (5.0, 2.0, 1.0, 0.5, 0.1)
VOLUME = 1e-3  # by this fraction of the target a design may miss it


class Run(NamedTuple):
    """A design, the seconds it took without compilation, and the solver's iterations."""

    design: Design
    seconds: float
    iterations: int


def compare(
    case: str,
    problem: SIMP,
    methods: Sequence[str],
    solutions: int,
    best: float | None = None,
    tell: Callable[[str], None] = lambda method: None,
) -> list[dict[str, Any]]:
    """Run each method for work worth `solutions` solves of the problem's own grid, and return one record each.

    **Arguments:**

    - `best`: the lowest value known for the case, if any; a lower one found here counts instead. `tell`: called before each method.
    """
    runs: dict[str, Run] = {}
    failed: dict[str, str] = {}
    for method in methods:
        tell(method)
        try:
            runs[method] = _run(problem, method, solutions)
        except (ValueError, ArithmeticError) as error:  # a method that refuses the problem, or gives up, is a failure like any other
            failed[method] = str(error)
    traces = {method: _trace(run) for method, run in runs.items()}
    lowest = min([value for trace in traces.values() for _, value in trace] + ([] if best is None else [best]), default=None)
    never = {f"{percent:g}": None for percent in PERCENTS}
    return [
        {"case": case, "method": method, "solves_to": never, "best_known": lowest, "converged": False, "error": failed[method]}
        if method in failed
        else _record(case, method, runs[method], traces[method], lowest)
        for method in methods
    ]


def _run(problem: SIMP, method: str, solutions: int) -> Run:
    stages = METHODS[method](problem, solutions)
    for stage in stages:
        stage.problem.evaluate(stage.problem.init())  # compiles
    solvers = {id(s.problem.equilibrium.iterative): s.problem.equilibrium.iterative for s in stages}.values()
    spent = sum(solver.spent for solver in solvers if solver is not None)
    began = time.perf_counter()
    design = optimize(stages, change=None, callback=lambda step: step.equivalents >= solutions)
    seconds = time.perf_counter() - began
    # The lowest, not the last: not every method lowers the value in every step.
    lowest = min(_allowed(design), key=lambda step: step.value, default=design.steps[-1])
    design = dataclasses.replace(design, solution=dataclasses.replace(design.solution, point=lowest.design))
    return Run(design, seconds, sum(solver.spent for solver in solvers if solver is not None) - spent)


def _record(case: str, method: str, run: Run, trace: Sequence[tuple[float, float]], lowest: float | None) -> dict[str, Any]:
    found = run.design.verify()
    return {
        "case": case,
        "method": method,
        "solves_to": {f"{percent:g}": _first(trace, lowest, percent) for percent in PERCENTS},
        "best_known": lowest,
        "final_compliance": found["verified"] if np.isfinite(found["verified"]) else None,
        "volume": found["volume"],
        "greyness": found["greyness"],
        "solves": run.design.steps[-1].equivalents,
        "solver_iterations": run.iterations,
        "wall_s": run.seconds,
        "wall_per_solve_s": run.seconds / len(run.design.steps),
        "converged": bool(np.isfinite(found["verified"])),
    }


def _trace(run: Run) -> list[tuple[float, float]]:
    return [(step.equivalents, step.value) for step in _allowed(run.design)]


def _allowed(design: Design) -> list[Step]:
    """Return the steps on the problem itself that keep to its volume."""
    most = design.problem.volfrac * (1.0 + VOLUME)
    return [step for step in design.steps if step.own and step.volume <= most and np.isfinite(step.value)]


def _first(trace: Sequence[tuple[float, float]], lowest: float | None, percent: float) -> float | None:
    if lowest is None:
        return None
    goal = lowest + 0.01 * percent * abs(lowest)
    return next((equivalents for equivalents, value in trace if value <= goal), None)
