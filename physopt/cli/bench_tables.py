"""The tables of `physopt bench`, and the known lowest energies that it compares with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from rich.console import Console
from rich.table import Table
from scipy.stats import bootstrap

from .inputs import read_rows
from .progress import screen

FAILED = 1e9  # what a run that did not converge costs in medians and percentiles: more than any other
SAME_ENERGY = 1e-6  # hartree
RESAMPLES = 9999
QUANTITIES = {"exact_builds": "exact builds", "fock_equivalents": "equivalents", "wall_s": "seconds"}
Record = dict[str, Any]


def read_lowest(file: Path) -> dict[str, Record]:
    """Read known lowest energies: a CSV file with the columns `case, energy` (hartree), and `xc, basis` if they belong to a level.

    **Raises:** `ValueError` for a file without those columns or with an energy that is not a number; `OSError` if it cannot be read.
    """
    rows = read_rows(file)
    if not rows or not {"case", "energy"} <= rows[0].keys():
        raise ValueError(f"{file}: is not a table of lowest energies. Its first line reads case,energy,... and rows follow.")
    known = {}
    for number, row in enumerate(rows, start=2):
        try:
            energy = float(row["energy"])
        except (TypeError, ValueError):
            energy = np.nan
        if not np.isfinite(energy):
            raise ValueError(f"{file}, line {number}: energy {str(row['energy'])[:40]!r} is not a number in hartree.")
        if row["case"] in known:
            raise ValueError(f"{file}, line {number}: a second energy for {str(row['case'])[:40]!r}. Keep one.")
        known[row["case"]] = row | {"energy": energy}
    return known


def judge_lowest(records: Sequence[Record], known: Mapping[str, Record]) -> None:
    """Add `lowest` to each record: did it converge to the lowest known energy, within 1e-6 hartree, or below; `None` if none is known."""
    for record in records:
        row = known.get(record["case"], {})
        same_level = all(str(row.get(key) or record[key]).lower() == record[key].lower() for key in ("xc", "basis"))
        here = bool(row) and same_level
        record["lowest"] = bool(record["converged"] and record["energy"] <= row["energy"] + SAME_ENERGY) if here else None


def print_cases(records: Sequence[Record], methods: Sequence[str]) -> None:
    """Print the exact builds of each method on each case."""
    table = Table(title="exact Fock builds (x: not converged, u: unstable, h: higher than the lowest known energy)")
    table.add_column("case")
    table.add_column("functions", justify="right")
    for method in methods:
        table.add_column(method, justify="right", no_wrap=True)
    for case in dict.fromkeys(r["case"] for r in records):
        rows = {r["method"]: r for r in records if r["case"] == case}
        counts = (f"{rows[m]['exact_builds']}{_mark(rows[m])}" if m in rows else "-" for m in methods)
        table.add_row(case, str(next(iter(rows.values()))["nao"]), *counts)
    console().print(table)


def _mark(record: Record) -> str:
    if not record["converged"]:
        return "x"
    return ("u" if record["stable"] is False else "") + ("h" if record.get("lowest") is False else "")


def print_summary(records: Sequence[Record], methods: Sequence[str], *, title: str = "summary over all cases") -> None:
    """Print one row per method over all cases; a run that did not converge counts as more expensive than any other."""
    judged = any("lowest" in r for r in records)
    table = Table(title=title)
    for name in (
        *("method", "converged", "stable", *(["lowest"] if judged else [])),
        *("median builds", "90 %", "max", "median equivalents", "median s", "highest above lowest / hartree"),
    ):
        table.add_column(name, justify="left" if name == "method" else "right")
    lowest: dict[str, float] = {}
    for r in records:
        if r["converged"]:
            lowest[r["case"]] = min(r["energy"], lowest.get(r["case"], np.inf))
    for method in methods:
        mine = [r for r in records if r["method"] == method]
        builds = cost(mine, "exact_builds")
        gaps = [r["energy"] - lowest[r["case"]] for r in mine if r["converged"]]
        table.add_row(
            method,
            f"{sum(r['converged'] for r in mine)}/{len(mine)}",
            _share(mine, "stable"),
            *([_share(mine, "lowest")] if judged else []),
            _number(np.median(builds), "g"),
            _number(np.percentile(builds, 90), "g"),
            _number(builds.max(), "g"),
            _number(np.median(cost(mine, "fock_equivalents")), ".1f"),
            f"{np.median([r['wall_s'] for r in mine]):.2f}",
            f"{max(gaps, default=float('nan')):.1e}",
        )
    console().print(table)


def _share(records: Sequence[Record], key: str) -> str:
    judged = [r[key] for r in records if r.get(key) is not None]  # reports may differ in what was judged
    return f"{sum(judged)}/{len(judged)}" if judged else "-"


def _number(value: float, form: str) -> str:
    return "fails" if value > 1e-3 * FAILED else f"{value:{form}}"


def print_ratios(records: Sequence[Record], methods: Sequence[str]) -> None:
    """Print the ratio of medians of `pyscf`, and of the best other method, to each method of physopt."""
    ours = [m for m in methods if m.startswith("physopt")]
    others = [m for m in methods if not m.startswith("physopt")]
    if not ours or not others:
        return
    table = Table(title="ratio of medians, with a 95 % bootstrap interval over the cases")
    for name in ("quantity", "of", "to", "ratio", "interval"):
        table.add_column(name, justify="right" if name in ("ratio", "interval") else "left")
    # Reports read together may lack a method on some cases; a ratio is of the cases that all have.
    ran = [{r["case"] for r in records if r["method"] == m} for m in methods]
    shared = [case for case in dict.fromkeys(r["case"] for r in records) if all(case in cases for cases in ran)]
    if not shared:
        return
    by_run = {(r["case"], r["method"]): r for r in records}
    for key, quantity in QUANTITIES.items():
        costs = {m: cost([by_run[case, m] for case in shared], key) for m in methods}
        best = min((m for m in others if m != "pyscf"), key=lambda m: float(np.median(costs[m])), default=None)
        for method in ours:
            for other in [m for m in others if m in ("pyscf", best)]:
                ratio, low, high = median_ratio(costs[other], costs[method])
                label = f"{other} (best other)" if other == best else other
                table.add_row(quantity, label, method, _number(ratio, ".2f"), f"{_number(low, '.2f')} to {_number(high, '.2f')}")
    console().print(table)


def cost(records: Sequence[Record], key: str) -> ndarray:
    """Return the cost of each run; `FAILED` if it did not converge."""
    return np.array([r[key] if r["converged"] and r[key] is not None else FAILED for r in records], dtype=float)


def median_ratio(others: ndarray, ours: ndarray) -> tuple[float, float, float]:
    """Return the ratio of the medians of two costs of the same cases, and its 95 % paired bootstrap interval, the same on every call."""
    ratio = _ratio(others, ours)
    if len(ours) < 2:
        return float(ratio), float("nan"), float("nan")
    # Percentiles, as counts have ties on which the accelerated interval degenerates.
    found = bootstrap(
        (others, ours), _ratio, paired=True, n_resamples=RESAMPLES, method="percentile", random_state=np.random.default_rng(0)
    )
    return float(ratio), float(found.confidence_interval.low), float(found.confidence_interval.high)


def _ratio(others: ndarray, ours: ndarray, axis: int = -1) -> Any:
    return np.median(others, axis=axis) / np.median(ours, axis=axis)


def console() -> Console:
    """Return a console that does not wrap tables when the output is not a terminal."""
    return screen(160)
