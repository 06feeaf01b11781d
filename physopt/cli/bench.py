"""`physopt bench`: compare methods on your own cases."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import numpy as np
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from .outputs import check_outputs, write_report
from .progress import Progress

app = cyclopts.App(name="bench", help="Compare methods on your own cases; nothing is dropped, failures are records.")

Methods = Annotated[str | None, Parameter(help="Comma-separated; all that are installed if left out.")]


@app.command
def scf(
    directory: Path,
    *,
    xc: str = "hf",
    basis: str = "def2-svp",
    methods: Methods = None,
    rohf: bool = False,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
    stability: bool = True,
) -> int:
    """Count exact Fock builds of SCF methods over a folder of molecules.

    Line 2 of each `*.xyz` carries `charge=0 spin=0` (spin = 2S). Closed shells run restricted, others unrestricted.

    Parameters
    ----------
    directory
        Folder of XYZ files, or one XYZ file.
    xc
        "hf" or a functional that PySCF knows.
    basis
        Basis set of all atoms.
    rohf
        Run open shells restricted; methods that cannot are recorded as failures.
    json_file
        Where to write the records.
    stability
        Judge whether each converged state is internally stable.
    """
    from physopt.faces import scf_bench
    from physopt.xyz import read_xyz

    check_outputs(json_file)
    files = [directory] if directory.is_file() else sorted(directory.glob("*.xyz"))
    if not files:
        raise ValueError(f"{directory}: holds no *.xyz. Give a folder of XYZ files, such as data/molecules.")
    chosen = _chosen(methods, scf_bench.METHODS, {"ooo": "openorbitaloptimizer"})
    molecules = [(file.stem, read_xyz(file)) for file in files]
    records = []
    with Progress(f"{xc}/{basis}", total=len(molecules) * len(chosen)) as progress:
        for case, molecule in molecules:
            judge = scf_bench.Judge(molecule, xc, basis, rohf=rohf)
            for method in chosen:
                records.append(scf_bench.compare(case, molecule, xc, basis, method, judge, stability=stability, rohf=rohf))
                progress.update(len(records), case=case, method=method, builds=records[-1]["exact_builds"])
    _print_cases(records, chosen)
    _print_summary(records, chosen)
    write_report(json_file, records)
    return 0


@app.command
def series(
    file: Path,
    *,
    xc: str = "hf",
    basis: str = "def2-svp",
    methods: Methods = None,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
) -> int:
    """Count exact Fock builds along the frames of one molecule: a scan, an optimization, a trajectory.

    Parameters
    ----------
    file
        XYZ file of several frames.
    xc
        "hf" or a functional that PySCF knows.
    basis
        Basis set of all atoms.
    json_file
        Where to write the records.
    """
    from physopt.faces import scf_bench
    from physopt.xyz import read_frames

    check_outputs(json_file)
    frames = read_frames(file)
    chosen = _chosen(methods, scf_bench.SERIES_METHODS, {})
    records = []
    with Progress(f"{file.stem}, {xc}/{basis}", total=len(frames) * len(chosen)) as progress:
        for method in chosen:
            for record in scf_bench.compare_series(file.stem, frames, xc, basis, method):
                records.append(record)
                progress.update(len(records), case=record["case"], method=method, builds=record["exact_builds"])
    _print_summary(records, chosen)
    write_report(json_file, records)
    return 0


def _chosen(methods: str | None, known: Any, packages: dict[str, str]) -> list[str]:
    """Return the methods asked for, by default all whose package is installed."""
    if methods is None:
        return [m for m in known if m not in packages or importlib.util.find_spec(packages[m])]
    names = [name.strip() for name in methods.split(",") if name.strip()]
    if not names or (unknown := [name for name in names if name not in known]):
        raise ValueError(f"--methods {methods!r}: {', '.join(unknown) if names else 'nothing'} is not one of {', '.join(known)}.")
    if missing := [m for m in names if m in packages and not importlib.util.find_spec(packages[m])]:
        raise ImportError(f"--methods {methods!r}: {', '.join(missing)} needs pip install 'physopt[bench]'")
    return names


def _print_cases(records: Sequence[dict[str, Any]], methods: Sequence[str]) -> None:
    table = Table(title="exact Fock builds (x: not converged, u: unstable)")
    table.add_column("case")
    table.add_column("functions", justify="right")
    for method in methods:
        table.add_column(method, justify="right", no_wrap=True)
    for case in dict.fromkeys(r["case"] for r in records):
        rows = {r["method"]: r for r in records if r["case"] == case}
        marks = [f"{r['exact_builds']}{'' if r['converged'] else 'x'}{'u' if r['stable'] is False else ''}" for r in rows.values()]
        table.add_row(case, str(next(iter(rows.values()))["nao"]), *marks)
    _console().print(table)


def _print_summary(records: Sequence[dict[str, Any]], methods: Sequence[str]) -> None:
    table = Table(title="summary over all cases")
    for name in (
        "method",
        "converged",
        "stable",
        "median builds",
        "90 %",
        "max",
        "median equivalents",
        "median s",
        "highest above lowest / hartree",
    ):
        table.add_column(name, justify="left" if name == "method" else "right")
    lowest: dict[str, float] = {}
    for r in records:
        if r["converged"]:
            lowest[r["case"]] = min(r["energy"], lowest.get(r["case"], np.inf))
    for method in methods:
        mine = [r for r in records if r["method"] == method]
        builds = [r["exact_builds"] for r in mine]
        gaps = [r["energy"] - lowest[r["case"]] for r in mine if r["converged"]]
        judged = [r["stable"] for r in mine if r["stable"] is not None]
        table.add_row(
            method,
            f"{sum(r['converged'] for r in mine)}/{len(mine)}",
            f"{sum(judged)}/{len(judged)}" if judged else "-",
            f"{np.median(builds):g}",
            f"{np.percentile(builds, 90):g}",
            str(max(builds)),
            f"{np.median([r['fock_equivalents'] for r in mine if r['fock_equivalents'] is not None] or [np.nan]):.1f}",
            f"{np.median([r['wall_s'] for r in mine]):.2f}",
            f"{max(gaps, default=float('nan')):.1e}",
        )
    _console().print(table)


def _console() -> Console:
    """Return a console that does not fold tables where nobody looks at them live."""
    console = Console()
    return console if console.is_terminal else Console(width=160)
