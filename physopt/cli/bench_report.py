"""`physopt bench report`: the tables of several recorded comparisons together, and their records as one CSV file."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from . import bench_topopt_tables
from .bench_tables import Record, judge_lowest, print_cases, print_ratios, print_summary, read_lowest
from .inputs import read_text
from .outputs import check_outputs

COLUMNS = (
    *("case", "xc", "basis", "nao", "method", "exact_builds", "fock_equivalents", "wall_s"),
    *("converged", "stable", "lowest", "energy", "grad_norm", "s2", "error"),
)


def report(
    *files: Path,
    lowest: Annotated[Path | None, Parameter(name="--lowest")] = None,
    csv_file: Annotated[Path | None, Parameter(name="--csv")] = None,
    plot: Path | None = None,
) -> int:
    """Print the tables of `bench scf`, `bench series` or `bench topopt` again, from one or several files written with --json.

    Parameters
    ----------
    files
        JSON files of one of these commands.
    lowest
        CSV file of known lowest energies (case,energy,...), to compare the records with.
    csv_file
        Where to write one line for each record.
    plot
        Picture of the performance profiles of `bench topopt`.
    """
    check_outputs(csv_file, picture=plot, read=files)
    if not files:
        raise ValueError("Name the JSON files that `physopt bench scf ... --json FILE` wrote.")
    records = [record for file in files for record in _read(file)]
    if all("solves_to" in record for record in records):
        return _report_topopt(records, lowest, csv_file, plot)
    if plot is not None:
        raise ValueError("Only `physopt bench topopt` has performance profiles; leave out --plot.")
    runs = [(r["case"], r["xc"], r["basis"], r["method"]) for r in records]
    if twice := next((run for run in runs if runs.count(run) > 1), None):
        raise ValueError(f"{', '.join(map(str, files))}: hold {twice[3]} on {twice[0]} ({twice[1]}/{twice[2]}) twice. Name one of them.")
    if lowest is not None:
        judge_lowest(records, read_lowest(lowest))
    for xc, basis in _levels(records):
        chosen = [r for r in records if xc is None or (r["xc"], r["basis"]) == (xc, basis)]
        methods = list(dict.fromkeys(r["method"] for r in chosen))
        print_cases(chosen, methods)
        print_summary(chosen, methods, title="summary over all cases" if xc is None else f"summary, {xc}/{basis}")
        print_ratios(chosen, methods)
    if csv_file is not None:
        with csv_file.open("w", newline="", encoding="utf-8") as lines:
            table = csv.DictWriter(lines, COLUMNS, extrasaction="ignore", lineterminator="\n")
            table.writeheader()
            table.writerows({key: _rounded(value) for key, value in record.items()} for record in records)
    return 0


def _report_topopt(records: list[Record], lowest: Path | None, csv_file: Path | None, plot: Path | None) -> int:
    runs = [(r["case"], r["method"]) for r in records]
    cases, methods = dict.fromkeys(case for case, _ in runs), bench_topopt_tables.methods_of(records)
    if lowest is not None or len(runs) != len(set(runs)) or len(runs) != len(cases) * len(methods):
        raise ValueError("Reports of `physopt bench topopt` go together if each has other cases and the same methods; --lowest is for SCF.")
    bench_topopt_tables.print_tables(records)
    if csv_file is not None:
        bench_topopt_tables.write_csv(csv_file, records)
    if plot is not None:
        bench_topopt_tables.plot(plot, records)
    return 0


def _read(file: Path) -> list[Record]:
    try:
        records = json.loads(read_text(file))["records"]
        scf = {"case", "method", "exact_builds", "xc", "basis", "nao", "converged"}
        topology = {"case", "method", "solves_to", "best_known", "converged"}
        known = any(all(keys <= record.keys() for record in records) for keys in (scf, topology))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file}: is no report of `physopt bench` ({type(error).__name__}: {error}).") from error
    if not (records and known):
        raise ValueError(f"{file}: holds no records of `physopt bench scf`, `series` or `topopt`.")
    return records


def _levels(records: Sequence[Record]) -> list[tuple[str | None, str | None]]:
    """Return the levels of theory to tell apart, or one that stands for all where every case has its own."""
    levels = {(r["case"], r["xc"], r["basis"]) for r in records}
    if len({case for case, *_ in levels}) == len(levels):
        return [(None, None)]
    return list(dict.fromkeys((r["xc"], r["basis"]) for r in records))


def _rounded(value: object) -> object:
    return float(f"{value:.12g}") if isinstance(value, float) else value
