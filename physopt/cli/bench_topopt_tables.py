"""Tables, CSV and performance profile of records of `physopt bench topopt`."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from .progress import screen

ENDS = ("best_known", "final_compliance", "volume", "greyness", "solves", "error")

Records = Sequence[Mapping[str, Any]]


def print_tables(records: Records) -> None:
    """Print one row for each case, and one for each method."""
    methods = methods_of(records)
    _print_cases(records, methods)
    _print_summary(records, methods)


def methods_of(records: Records) -> list[str]:
    """Return the methods in the order of their first records."""
    return list(dict.fromkeys(record["method"] for record in records))


def write_csv(file: Path, records: Records) -> None:
    """Write one line for each record; a count is empty if the method never came so near."""
    columns = ("case", "method", *(f"to_{percent}" for percent in _percents(records)), *ENDS)
    with file.open("w", newline="", encoding="utf-8") as lines:
        table = csv.DictWriter(lines, columns, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for record in records:
            counts = {f"to_{percent}": count for percent, count in record["solves_to"].items()}
            table.writerow({key: f"{v:.9g}" if isinstance(v, float) else v for key, v in ({**record, **counts}).items()})


def plot(file: Path, records: Records) -> None:
    """Draw the performance profiles of the work to 1 % and to 0.1 %."""
    from physopt.plot.profiles import plot_profiles

    cases, methods = list(dict.fromkeys(record["case"] for record in records)), methods_of(records)
    found = {(r["case"], r["method"]): r["solves_to"] for r in records}
    panels = {
        f"to {percent} % above the best": {m: [_never(found[case, m][percent]) for case in cases] for m in methods}
        for percent in ("1", "0.1")
    }
    plot_profiles(file, f"{len(cases)} structures", panels)


def _print_cases(records: Records, methods: Sequence[str]) -> None:
    table = Table("case", "best", *methods, title="solves to 1 % / 0.1 % above the best, and the final value")
    for case in dict.fromkeys(record["case"] for record in records):
        mine = {record["method"]: record for record in records if record["case"] == case}
        cells = [
            f"{_count(r['solves_to']['1'])}/{_count(r['solves_to']['0.1'])} {_count(r.get('final_compliance'))}" for r in mine.values()
        ]
        table.add_row(case, _count(next(iter(mine.values()))["best_known"]), *cells)
    screen().print(table)


def _print_summary(records: Records, methods: Sequence[str]) -> None:
    percents = _percents(records)
    columns = [f"to {percent} %" for percent in percents]
    ends = ("final above best, median", "worst", "within 0.1 %", "s per solve")
    table = Table("method", *columns, *ends, title="medians over all cases (-: most never)")
    for method in methods:
        mine = [record for record in records if record["method"] == method]
        medians = [_count(float(np.median([_never(r["solves_to"][percent]) for r in mine]))) for percent in percents]
        above = [(r["final_compliance"] - r["best_known"]) / abs(r["best_known"]) for r in mine if r["converged"]] or [float("nan")]
        seconds = float(np.median([r["wall_per_solve_s"] for r in mine if r["converged"]] or [float("nan")]))
        near = f"{sum(share <= 1e-3 for share in above)} of {len(mine)}"
        table.add_row(method, *medians, f"{np.median(above):.2%}", f"{np.max(above):.2%}", near, f"{seconds:.3f}")
    screen().print(table)


def _percents(records: Records) -> list[str]:
    """Return how near to the best the work was counted, the farthest first; all records have the same."""
    return list(records[0]["solves_to"])


def _never(count: float | None) -> float:
    return float("inf") if count is None else count


def _count(count: float | None) -> str:
    return "-" if count is None or not np.isfinite(count) else f"{count:.5g}"
