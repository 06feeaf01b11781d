"""`physopt farm`: solve many problems in several processes, each result recorded once."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import cyclopts
from rich.table import Table

from physopt.apart import environment
from physopt.farm.problems import AbstractTask, tasks_of

from .arguments import check_count, check_positive
from .elsewhere import guarded
from .exits import NotConverged
from .outputs import Recorded
from .progress import Progress, screen, significant

if TYPE_CHECKING:
    from physopt.farm.results import Result

MEASURES = ("energy", "value", "estimated_rel_l2")  # of molecules, structures and equations
COUNTS = ("exact_builds", "evaluations", "factors")

app = cyclopts.App(name="farm", help="Solve many problems in several processes.")


@app.default
def farm(
    *problems: str,
    jobs: int | None = None,
    xc: str | None = None,
    basis: str | None = None,
    tol: float = 1e-6,
    max_iterations: int = 300,
    outputs: Recorded = Recorded(),
) -> None:
    """Solve many problems, each in one of several processes; a process that dies is replaced, and its problem begun again.

    Parameters
    ----------
    problems
        XYZ files, folders of them, TOML files, structures of `physopt topopt gallery` and equations of `physopt pinn`; with changes, as in
        mbb:volfrac=0.4,shape=90x30 or burgers:nu=0.01.
    jobs
        Number of processes; by default one for each core.
    xc
        "hf" or a functional, for all molecules; otherwise the files', or hf.
    basis
        Basis set of all molecules; otherwise the files', or def2-svp.
    tol
        Relative L2 error to reach, for equations.
    max_iterations
        Give up after this many finite-element solves on the finest grid, for structures.
    """
    check_count("--jobs", jobs, most=4096)
    check_count("--max-iterations", max_iterations)
    check_positive("--tol", tol, "1e-6")
    outputs.check()
    if not problems:
        raise ValueError("There is nothing to solve: name XYZ or TOML files, folders of XYZ files, structures or equations.")
    tasks = [task for problem in problems for task in tasks_of(problem, xc=xc, basis=basis, tol=tol, solutions=max_iterations)]
    found = _run(tasks, jobs, outputs)
    _show(found)
    outputs.write([{"case": one.name, **one.numbers, **({} if one.error is None else {"error": one.error})} for one in found])
    if failed := [one.name for one in found if one.error is not None or not one.numbers["converged"]]:
        raise NotConverged(f"{len(failed)} of {len(found)} problems were not solved: {', '.join(failed[:4])}{' ...' * (len(failed) > 4)}")


def carefully(task: AbstractTask) -> dict[str, Any]:
    """Return in a worker what a task finds, without what the working directory would have libraries do."""
    with guarded():
        return task.solve()


def _run(tasks: Sequence[AbstractTask], jobs: int | None, outputs: Recorded) -> "list[Result]":
    from physopt.farm.results import check_names
    from physopt.farm.solve import run

    check_names([task.name for task in tasks])
    count = 0
    with _apart(), Progress("farm", total=len(tasks)) as progress:

        def tell(result: "Result") -> None:
            nonlocal count
            count += 1
            progress.update(count, last=result.name)

        by_name = {task.name: task for task in tasks}
        return list(run(carefully, by_name, executor=jobs, record=outputs.recording({}, {}), callback=tell).values())


@contextmanager
def _apart() -> Iterator[None]:
    """Let no process that is started import a module from the working directory."""
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "PYTHONSAFEPATH")}
    os.environ.update(environment(PYTHONSAFEPATH="1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _show(found: "Sequence[Result]") -> None:
    table = Table()
    for name in ("problem", "what", "found", "evaluations", "converged"):
        table.add_column(name, justify="right" if name in ("found", "evaluations") else "left")
    for one in found:
        if one.error is not None:
            table.add_row(one.name, one.error[:60], "-", "-", "no")
            continue
        what = next(name for name in MEASURES if name in one.numbers)
        value = one.numbers[what]
        text = "-" if value is None else f"{value:.9f}" if what == "energy" else significant(value)
        evaluations = next(one.numbers[name] for name in COUNTS if name in one.numbers)
        table.add_row(one.name, what, text, str(evaluations), "yes" if one.numbers["converged"] else "no")
    screen(120).print(table)
