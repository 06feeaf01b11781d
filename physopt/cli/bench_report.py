"""`physopt bench report`: the tables of several recorded comparisons together, and their records as one CSV file."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .bench_tables import Record, judge_lowest, print_cases, print_ratios, print_summary, read_lowest
from .outputs import check_outputs

COLUMNS = (
    *("case", "xc", "basis", "nao", "method", "exact_builds", "fock_equivalents", "wall_s"),
    *("converged", "stable", "lowest", "energy", "grad_norm", "s2", "error"),
)


def report(
    *files: Path,
    lowest: Annotated[Path | None, Parameter(name="--lowest")] = None,
    csv_file: Annotated[Path | None, Parameter(name="--csv")] = None,
) -> int:
    """Print the tables of `bench scf` or `bench series` again, from what it wrote with --json, several of them together.

    Parameters
    ----------
    files
        JSON files of `bench scf` or `bench series`.
    lowest
        CSV file of known lowest energies (case,energy,...), to judge the records by.
    csv_file
        Where to write one line for each record.
    """
    check_outputs(csv_file)
    if not files:
        raise ValueError("Name the JSON files that `physopt bench scf ... --json FILE` wrote.")
    records = [record for file in files for record in _read(file)]
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


def _read(file: Path) -> list[Record]:
    try:
        records = json.loads(file.read_text(encoding="utf-8"))["records"]
        known = all({"case", "method", "exact_builds", "xc", "basis", "nao", "converged"} <= record.keys() for record in records)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file}: is no report of `physopt bench scf` ({type(error).__name__}: {error}).") from error
    if not (records and known):
        raise ValueError(f"{file}: holds no records of `physopt bench scf`.")
    return records


def _levels(records: Sequence[Record]) -> list[tuple[str | None, str | None]]:
    """Return the levels of theory to tell apart, or one that stands for all where every case has its own."""
    levels = {(r["case"], r["xc"], r["basis"]) for r in records}
    if len({case for case, *_ in levels}) == len(levels):
        return [(None, None)]
    return list(dict.fromkeys((r["xc"], r["basis"]) for r in records))


def _rounded(value: object) -> object:
    return float(f"{value:.12g}") if isinstance(value, float) else value
