"""`physopt bench l2o`: rules of first order on small trainings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from .arguments import check_count
from .bench_methods import Methods, chosen
from .outputs import Report
from .progress import Progress, screen

RESAMPLED = 2000  # draws of templates for an interval


def l2o(
    *,
    methods: Methods = None,
    seeds: int = 5,
    steps: int = 400,
    settings: int = 16,
    only: str | None = None,
    outputs: Report = Report(),
) -> int:
    """Count steps of rules of first order to the lowest loss that Adam reaches with one rate for all tasks.

    Every method has one setting for all tasks, the best of as many as Adam's, tried on trainings of the same kinds. Circles: similar (other
    widths and data), related (wider, deeper, other activations, other data), novel (equations, encoders, matrices of low rank). Tasks with
    handwritten digits take part where scikit-learn is installed.

    Parameters
    ----------
    seeds
        Tasks of each of the seven or eight templates of a circle.
    steps
        Of a training, with 64 of 512 rows each; a multiple of 16.
    settings
        Settings that are tried for each method, on 7 tasks of each training template.
    only
        Templates, with commas between, to leave all others out; at least one to tune on and one held out: sines-32,sines-24.
    """
    check_count("--seeds", seeds)
    check_count("--settings", settings)
    if steps < 16 or steps % 16:
        raise ValueError(
            f"--steps {steps}: the loss is looked at after every 8 steps, and at half of them; write a multiple of 16, such as 400."
        )
    outputs.check()
    from physopt.bench.l2o import CONSTANT, METHODS, REFERENCE, compare
    from physopt.meta.families.networks import Template, templates

    known: dict[str, list[Template]] = templates()
    if only is not None:
        asked = only.split(",")
        if unknown := set(asked) - {one.name for own in known.values() for one in own}:
            names = ", ".join(one.name for own in known.values() for one in own)
            raise ValueError(f"--only: {', '.join(sorted(unknown))[:80]!r} is no template. These are: {names}.")
        known = {circle: [one for one in own if one.name in asked] for circle, own in known.items()}
        if not known["training"] or not any(known[circle] for circle in known if circle != "training"):
            raise ValueError(f"--only {only}: name at least one template to tune on and one that is held out, such as sines-32,sines-24.")
    names = chosen(methods, METHODS, {})
    with Progress("l2o") as progress:
        records = compare(names, known, seeds, steps, settings, lambda what: progress.update(0, doing=what))
    outputs.write(records)
    print_steps(records, [REFERENCE, *(name for name in names if name != REFERENCE)])
    if CONSTANT in names and (trained := [name for name in names if METHODS[name].trained is not None]):
        print_pairs(records, trained, CONSTANT)
    return 0


def print_steps(records: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> None:
    """Print, for each circle, how many times fewer steps than Adam a method takes, with an interval over templates."""
    table = Table(title="times fewer steps than adam to its lowest loss (interquartile mean, 90 % over templates)")
    for name in ("circle", "method", "fewer", "90 %", "reached", "at half", "seconds of a step, over adam's"):
        table.add_column(name, justify="left" if name in ("circle", "method") else "right")
    results = [record for record in records if "fewer" in record]
    for circle in dict.fromkeys(record["circle"] for record in results):
        own = [record for record in results if record["circle"] == circle]
        each = {(r["family"], r["seed"]): r["seconds_each"] for r in own if r["method"] == "adam"}
        for method in methods:
            rows = [record for record in own if record["method"] == method]
            found = [interquartile(rows, key) for key in ("fewer", "fewer_at_half")]
            reached = np.mean([row["steps_to_target"] is not None for row in rows])
            dearer = np.median([row["seconds_each"] / each[row["family"], row["seed"]] for row in rows])
            (mean, low, high), (half, _, _) = found
            table.add_row(circle, method, f"{mean:.2f}", f"{low:.2f} - {high:.2f}", f"{reached:.0%}", f"{half:.2f}", f"{dearer:.1f}")
    screen(110).print(table)


def print_pairs(records: Sequence[Mapping[str, Any]], methods: Sequence[str], constant: str) -> None:
    """Print, for each circle, how many times fewer steps a learned rule takes than a constant one in the same tasks, with intervals."""
    table = Table(title=f"times fewer steps than {constant}, in pairs (interquartile mean of logarithms, 90 % over templates)")
    for name in ("circle", "method", "whole", "90 %", "at half", "90 %"):
        table.add_column(name, justify="left" if name in ("circle", "method") else "right")
    results = [record for record in records if "fewer" in record]
    for circle in dict.fromkeys(record["circle"] for record in results):
        own = {(r["method"], r["family"], r["seed"]): r for r in results if r["circle"] == circle}
        for method in methods:
            found = []
            for key in ("fewer", "fewer_at_half"):
                pairs = [(r, own[constant, family, seed]) for (name, family, seed), r in own.items() if name == method]
                rows = [{"family": r["family"], "log": float(np.log(r[key] / other[key]))} for r, other in pairs]
                mean, low, high = np.exp(interquartile(rows, "log"))
                found += [f"{mean:.2f}", f"{low:.2f} - {high:.2f}"]
            table.add_row(circle, method, *found)
    screen(110).print(table)


def interquartile(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[float, float, float]:
    """Return the interquartile mean over tasks, and its 90 % interval when templates are drawn anew."""
    from scipy.stats import trim_mean

    families = sorted({row["family"] for row in rows})
    values = np.array([[row[key] for row in rows if row["family"] == family] for family in families])
    rng = np.random.default_rng(0)
    means = [trim_mean(values[rng.integers(0, len(families), len(families))], 0.25, axis=None) for _ in range(RESAMPLED)]
    low, high = np.quantile(means, [0.05, 0.95])
    return float(trim_mean(values, 0.25, axis=None)), float(low), float(high)
