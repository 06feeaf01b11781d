"""`physopt bench topopt` and `physopt bench fe`: compare methods and solvers of topology optimization."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from . import bench_topopt_tables
from .arguments import check_count
from .bench_methods import Methods, chosen
from .bench_topopt_tables import print_tables
from .inputs import read_rows
from .outputs import Drawn, Report
from .progress import Progress, screen
from .topopt import read_problem, read_shape


def topopt(
    problem: str,
    *,
    methods: Methods = None,
    solutions: int = 250,
    best: Path | None = None,
    outputs: Drawn = Drawn(),
) -> int:
    """Count the finite-element solves that methods need to come near the best design.

    A solve on a coarse grid counts as its fraction of the unknowns; line searches count fully. The best is the lowest value that any method
    in the run reached, or the one in the file of the best known.

    Parameters
    ----------
    problem
        A TOML file, a folder of them, or a problem of the gallery.
    solutions
        Work that each method gets, in solves on the finest grid.
    best
        CSV file of the best values known (case,value,...).
    """
    check_count("--solutions", solutions)
    outputs.check(read=[Path(problem)])
    folder = Path(problem)
    files = [str(file) for file in sorted(folder.glob("*.toml"))] if folder.is_dir() else [problem]
    if not files:
        raise ValueError(f"{problem}: holds no *.toml. Give a folder of problem files, or one of them.")
    known = {} if best is None else _read_best(best)
    definitions = [read_problem(file, None, {}) for file in files]
    from physopt.bench.topopt import compare
    from physopt.topopt.method.methods import METHODS

    names = chosen(methods, METHODS, {})
    problems = [definition.problem() for definition in definitions]
    records: list[dict[str, Any]] = []
    with Progress(problem, total=len(files) * len(names)) as progress:
        for definition, its_problem in zip(definitions, problems, strict=True):
            case, done = definition.name, len(records)
            tell = lambda method: progress.update(done + names.index(method), case=case, method=method)  # noqa: B023, E731
            records += compare(case, its_problem, names, solutions, known.get(case), tell)
            outputs.write(records)
    print_tables(records)
    if outputs.plot is not None:
        bench_topopt_tables.plot(outputs.plot, records)
    return 0


def fe(
    *,
    shape: str = "1000x500",
    iterates: str = "1,10,40",
    direct: bool = True,
    outputs: Report = Report(),
) -> int:
    """Time one finite-element solve of a high-contrast design: multigrid against SciPy's direct solver.

    The designs are iterates of the optimality criteria on half an MBB beam of this shape, or on a cantilever in 3D.

    Parameters
    ----------
    shape
        Elements along each axis.
    iterates
        Which iterates to solve for; 1 is the uniform design.
    direct
        Factorize the last one, too; minutes above a million unknowns.
    """
    outputs.check()
    if not re.fullmatch(r"[1-9]\d{0,3}(,[1-9]\d{0,3})*", iterates, re.ASCII):
        raise ValueError(f"--iterates {iterates!r} names no iterates; write numbers from 1 on, such as 1,10,40.")
    numbers = tuple(sorted({int(text) for text in iterates.split(",")}))
    sides = read_shape(shape)
    from physopt.bench.fe import compare_solvers
    from physopt.topopt.gallery import cantilever_3d, mbb

    records = []
    structure = (mbb if len(sides) == 2 else cantilever_3d)(sides).structure()
    with Progress(shape) as progress:
        for record in compare_solvers(structure, numbers, direct=direct):
            records.append(record)
            progress.update(len(records), **record)
    print_solves(records)
    outputs.write(records)
    return 0


def _read_best(file: Path) -> dict[str, float]:
    rows = read_rows(file)
    try:
        return {row["case"]: float(row["value"]) for row in rows}
    except (KeyError, ValueError, TypeError):
        raise ValueError(f"{file}: is not a table of best values. Its first line reads case,value,... and rows follow.") from None


def print_solves(records: Sequence[Mapping[str, Any]]) -> None:
    """Print one row per finite-element solve."""
    table = Table(title="finite-element solves (seconds with set-up, without compilation)")
    for name in ("shape", "method", "design", "iterations", "relative residual", "seconds", "processor", "expected"):
        table.add_column(name, justify="left" if name in ("shape", "method") else "right")
    for r in records:
        counts = f"{r['relative_residual']:.1e}", *(f"{r[name]:.3f}" for name in ("seconds", "processor_s", "expected_s"))
        table.add_row(r["shape"], r["method"], str(r["design"]), str(r["iterations"]), *counts)
    screen().print(table)
