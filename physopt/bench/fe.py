"""One finite-element solve of real designs: multigrid against a direct factorization."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import ndarray

from physopt.rules.model_step import ModelStep
from physopt.rules.search import FullStep
from physopt.topopt import SIMP, DensityFilter, Structure
from physopt.topopt.cost import by_multigrid, directly
from physopt.topopt.direct import Direct
from physopt.topopt.method.stages import Stage, optimize

COLD, WARM = 1e-5, 1e-3  # relative residuals: from nothing, and from the displacements of the design before


def compare_solvers(structure: Structure, iterations: tuple[int, ...], *, direct: bool = True) -> Iterator[dict[str, Any]]:
    """Yield a record for each solver and each of the chosen iterates of the optimality criteria, number 1 is the uniform design.

    Seconds include all set-up for the design. `expected_s` are the seconds by which the solver is chosen. Compilation has its own field.
    `multigrid` starts from zero, `multigrid-warm` from the displacements of the iterate before; the direct solver is timed on the last.
    """
    flat = len(structure.shape) == 2
    problem = SIMP(structure, 0.5 if flat else 0.15, DensityFilter(6.0 if flat else 2.0), iterative=True)
    solver, loads = problem.equilibrium.iterative, structure.force
    assert solver is not None
    compiled = _timed(lambda: solver.solve(problem.young(problem.init()), loads))[0]
    shape, last = "x".join(map(str, structure.shape)), max(iterations)
    steps = optimize([Stage(problem, ModelStep(search=FullStep()), last)], change=None).steps
    designs = [problem.young(problem.density(step.design)) for step in steps]
    for number in iterations:
        young = designs[number - 1]
        starts: list[tuple[str, ndarray | None, float]] = [("multigrid", None, COLD)]
        if number > 1:
            before = solver.solve(designs[number - 2], loads, tolerance=COLD).fields
            starts.append(("multigrid-warm", before, WARM))
        for method, start, tolerance in starts:
            solve = lambda: solver.solve(young, loads, start, tolerance)  # noqa: B023, E731
            seconds, processor, state = min((_timed(solve) for _ in range(3)), key=lambda timed: timed[0])
            record = {"iterations": state.iterations, "relative_residual": state.residual, "seconds": seconds, "processor_s": processor}
            record |= {"expected_s": by_multigrid(structure.held, len(loads)).seconds, "compile_s": compiled}
            yield {"shape": shape, "method": method, "design": number, "tolerance": tolerance, **record}
        if direct and number == last:
            seconds, processor, fields = _timed(lambda: solver.direct.solve(young, loads))  # noqa: B023
            residual = _residual(solver.direct, young, fields, loads)
            yield {
                "shape": shape,
                "method": "scipy-cholesky-banded" if solver.direct.narrow else "scipy-splu",
                "design": number,
                "iterations": 0,
                "relative_residual": residual,
                "seconds": seconds,
                "processor_s": processor,
                "expected_s": directly(structure.held).seconds,
            }


def _timed(call: Any) -> tuple[float, float, Any]:
    """Return seconds, processor seconds, and the result."""
    started, busy = time.perf_counter(), time.process_time()
    result = call()
    return time.perf_counter() - started, time.process_time() - busy, result


def _residual(direct: Direct, young: ndarray, fields: ndarray, loads: ndarray) -> float:
    matrix = direct.matrix(young)
    order = direct.sparse.pattern.order
    pairs = [(u.ravel()[order], f.ravel()[order]) for u, f in zip(fields, loads, strict=True)]
    rest = [np.linalg.norm(matrix @ u - f) / np.linalg.norm(f) for u, f in pairs]
    return float(max(rest))
