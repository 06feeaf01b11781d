"""`physopt topopt`: optimize the topology of a structure."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter
from rich.console import Console

from .exits import NotConverged
from .outputs import check_outputs, recording, write_report
from .progress import Progress

if TYPE_CHECKING:
    from physopt.core.run import Solution
    from physopt.topopt import Compliance

app = cyclopts.App(name="topopt", help="Find the stiffest structure of a given volume.")


@app.command
def mbb(
    *,
    shape: str = "60x20",
    volfrac: float = 0.5,
    rmin: float = 2.4,
    penal: float = 3.0,
    filtering: Annotated[Literal["sensitivity", "density"], Parameter(name="--filter")] = "sensitivity",
    max_iterations: int = 1000,
    record: Path | None = None,
    resume: bool = False,
    plot: Path | None = None,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
) -> None:
    """Optimize half an MBB beam by optimality criteria, until no density changes by more than 0.01.

    Parameters
    ----------
    shape
        Elements along the beam and across it.
    volfrac
        Fraction of the volume to fill.
    rmin
        Filter radius, in elements.
    penal
        Exponent of the SIMP law.
    filtering
        What to filter.
    max_iterations
        Give up after this many finite-element solutions.
    record
        Folder to record the run in.
    resume
        Continue the run in that folder, if it was killed.
    plot
        PNG file to draw the design in.
    json_file
        File to write the result in.
    """
    from physopt.topopt import Compliance, DensityFilter, SensitivityFilter, half_mbb

    check_outputs(json_file, picture=plot)
    chosen = {"sensitivity": SensitivityFilter, "density": DensityFilter}[filtering](rmin)
    settings = {"shape": shape, "volfrac": volfrac, "rmin": rmin, "penal": penal, "filter": filtering}
    problem = Compliance(half_mbb(read_shape(shape)), volfrac, chosen, penal=penal)
    solution = _solve(problem, settings, max_iterations, record, resume)
    result = {
        **settings,
        "evaluations": solution.num_evaluations,
        "seconds": float(solution.history.seconds[-1]),
        "compliance": float(solution.evaluation.value),
        "volume": float(problem.density(solution.point).mean()),
        "converged": solution.converged,
    }
    summary = f"compliance {result['compliance']:.4f}, volume {result['volume']:.6f}"
    Console().print(f"{summary} after {solution.num_evaluations} solutions, {result['seconds']:.1f} s", highlight=False)
    write_report(json_file, [result])
    if plot is not None:
        from physopt.plot_fields import plot_design

        title = f"half MBB beam {shape}, {filtering} filter, compliance {result['compliance']:.2f}"
        plot_design(plot, title, problem.density(solution.point), solution.history)
        Console().print(f"drawn in {plot}", highlight=False)
    if not solution.converged:
        raise NotConverged(f"the design still changed after {solution.num_evaluations} solutions; allow more with --max-iterations")


def read_shape(text: str) -> tuple[int, int]:
    """Return a grid's elements along each axis from text like "60x20"."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text, re.ASCII)
    if match is None:
        raise ValueError(f"--shape {text!r} names no grid; write the elements along the beam and across it, such as 60x20.")
    return int(match[1]), int(match[2])


def _solve(problem: "Compliance", settings: dict[str, Any], max_iterations: int, record: Path | None, resume: bool) -> "Solution":
    from physopt.core.run import Progress as Step, minimize
    from physopt.core.stop import Stop
    from physopt.rules.model_step import ModelStep
    from physopt.rules.search import FullStep

    wanted = recording(record, resume, {"problem": "mbb", **settings})
    with Progress(f"MBB {settings['shape']}", total=max_iterations) as progress:

        def tell(step: Step) -> None:
            volume = float(problem.density(step.carry.trial).mean())
            progress.update(step.index + 1, compliance=float(step.carry.evaluation.value), volume=volume)

        stop = Stop(change=0.01, max_evaluations=max_iterations)
        return minimize(problem, ModelStep(search=FullStep()), problem.init(), stop=stop, record=wanted, callback=tell)
