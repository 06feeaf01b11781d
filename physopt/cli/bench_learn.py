"""`physopt bench learn`: what learning from recorded solves is worth."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from .arguments import check_count
from .bench_methods import Methods, chosen
from .outputs import Report
from .progress import Progress, screen


def learn(
    family: str,
    *,
    recorded: str = "4,8,16,32",
    seeds: int = 5,
    methods: Methods = None,
    tasks: int = 20,
    draw: int = 0,
    outputs: Report = Report(),
) -> int:
    """Count calls of learned starts and metrics, against classical rules tuned on the recorded tasks.

    Circles: similar (in the ranges of the recorded tasks), related (in ranges twice as wide, outside of these), novel (another kind of
    problem with tasks of the same names). To a gradient of 1e-6 times that at the cold start, the same for all.

    Parameters
    ----------
    family
        One of cluster, rod, bratu, reaction, pulse, molecule; or several, with commas between.
    recorded
        Numbers of recorded solves, 4 or more.
    seeds
        How many sets of recorded tasks.
    tasks
        Held-out tasks in each circle.
    draw
        Which held-out tasks.
    """
    check_count("--seeds", seeds)
    check_count("--tasks", tasks)
    outputs.check()
    if not re.fullmatch(r"[1-9]\d{0,2}(,[1-9]\d{0,2})*", recorded, re.ASCII) or min(map(int, recorded.split(","))) < 4:
        raise ValueError(f"--recorded {recorded!r} names no numbers of solves; write numbers from 4 on, such as 4,8,16,32.")
    numbers = sorted({int(text) for text in recorded.split(",")})
    from physopt.bench.learn import FAMILIES, METHODS, compare_family

    families = family.split(",")
    if unknown := [name for name in families if name not in FAMILIES]:
        raise ValueError(f"{', '.join(unknown)[:80]!r}: is no family. Name one of {', '.join(FAMILIES)}.")
    names = chosen(methods, METHODS, {})
    records: list[dict[str, Any]] = []
    for name in families:
        with Progress(name) as progress:
            tell = lambda what: progress.update(len(records), doing=what)  # noqa: E731
            records.extend(compare_family(name, numbers, seeds, names, tasks, draw, tell))
        print_learning(name, records)
        outputs.write(records)  # nothing is lost if the rest is stopped
    return 0


def print_learning(family: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Print, for each circle and number of recorded solves, calls, and how many times fewer than the best classical rule takes.

    Answers are values with gradients: what a rule would cost if curvature came free.
    """
    mine = [r for r in records if r["family"] == family and "method" in r]
    cold = {(r["circle"], r["task"]): r["calls_to"]["1e-6"] or np.inf for r in mine if r["method"] == "best-classical"}
    rules = sorted({r["rule"] for r in mine if "rule" in r})
    table = Table(title=f"{family}: calls to 1e-6, and how many times fewer than {', '.join(rules)} from cold (median, 10 to 90 %)")
    for column in ("circle", "recorded", "method", "calls", "answers", "fewer", "10 - 90 %", "higher", "cold start"):
        table.add_column(column, justify="left" if column in ("circle", "method") else "right")
    groups: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
    for r in mine:
        groups.setdefault((r["circle"], r["recorded"], r["method"]), []).append(r)
    for (circle, number, method), rows in groups.items():
        calls = np.array([r["calls_to"]["1e-6"] or np.inf for r in rows])
        fewer = np.array([cold[circle, r["task"]] for r in rows]) / calls
        low, high = np.quantile(np.nan_to_num(fewer), [0.1, 0.9])
        shares = [f"{np.mean([each(r) for r in rows]):.0%}" for each in (lambda r: r["higher"], lambda r: r["used"] == "cold")]
        answers = np.median([r["answers_to"]["1e-6"] or np.inf for r in rows])
        table.add_row(
            circle,
            str(number),
            method,
            f"{np.median(calls):g}",
            f"{answers:g}",
            f"{np.median(fewer):.2f}",
            f"{low:.2f} - {high:.2f}",
            *shares,
        )
    console = screen(110)
    console.print(table)
    saved = break_even(mine, records)
    for number, (calls, tasks) in saved.items():
        worth = f"paid back after {tasks:.0f} similar tasks" if np.isfinite(tasks) else "never paid back"
        console.print(f"{number} recorded: {calls:.0f} calls with Hessians and tangents, {worth}")


def break_even(mine: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]]) -> dict[int, tuple[float, float]]:
    """Return, for each number of recorded solves, the calls of the training and after how many similar tasks they are paid back."""
    family = mine[0]["family"] if mine else ""
    calls = {r["task"]: r["calls_to"]["1e-6"] for r in mine if r["method"] == "best-classical" and r["circle"] == "similar"}
    found = {}
    for number in sorted({r["recorded"] for r in mine} - {0}):
        spent = np.mean(
            [r["training_calls"] for r in records if r["family"] == family and r["recorded"] == number and "training_calls" in r]
        )
        rows = [r for r in mine if r["recorded"] == number and r["method"] == "physopt" and r["circle"] == "similar"]
        gains = [calls[r["task"]] - r["calls_to"]["1e-6"] for r in rows if calls[r["task"]] and r["calls_to"]["1e-6"]]
        gain = float(np.mean(gains)) if gains else 0.0
        found[number] = float(spent), float(spent) / gain if gain > 0.0 else np.inf
    return found
