"""`physopt bench pinn`: compare trainings of a network with the solver, on one differential equation."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter
from rich.table import Table

from .arguments import check_count, check_positive
from .bench_methods import Methods, chosen
from .outputs import Report
from .pinn import chosen_parameters, equation_named
from .progress import Progress, screen

SHOWN = ("1e-2", "1e-3", "1e-5", "1e-7")  # of the errors


def pinn(
    equation: str,
    *,
    choices: Annotated[tuple[str, ...], Parameter(name="--set", consume_multiple=True, negative=())] = (),
    tuning: Annotated[tuple[str, ...], Parameter(name="--tune-on", consume_multiple=True, negative=())] = (),
    neighbours: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())] = (),
    methods: Methods = None,
    seeds: int = 5,
    limit: float = 60.0,
    outputs: Report = Report(),
) -> int:
    """Count steps and processor seconds that trainings of one network, and the solver, need to given errors.

    Each training has one number, such as a learning rate. Three values of it are tried on other parameters of the equation, for a fifth of
    the limit each, and the best is taken. Compiling is not counted, and has a field of its own. Run it with OMP_NUM_THREADS=1.

    Parameters
    ----------
    equation
        One of poisson, heat, helmholtz, burgers, allen-cahn, convection, reaction, wave, kdv, ... as in `physopt pinn`.
    choices
        Parameters of the equation, as in --set nu=0.003.
    tuning
        Parameters for tuning; otherwise the middle of the equation's range.
    neighbours
        What physopt-library begins from, as in --neighbours nu=0.02,0.01; without it, that method is left out.
    seeds
        Runs of each training; the solver draws nothing and runs once.
    limit
        Processor seconds of each run.
    """
    check_count("--seeds", seeds)
    check_positive("--limit", limit, "60")
    outputs.check()
    from physopt.bench.pinn import LIBRARY, SOLVER, compare, tuned
    from physopt.bench.pinn_methods import MARCH, METHODS, PACKAGES

    build = equation_named(equation)
    here = chosen_parameters(build, choices)
    there = chosen_parameters(build, tuning) if tuning else _others(build, here)
    near = [build(**{**here, **one}) for one in _each(build, neighbours)]
    easy = {name: value for name, value in _about(build, "EASY").items() if value != here.get(name, value)}
    left = {LIBRARY: not near, MARCH: not easy}
    names = chosen(methods, [name for name in (*METHODS, SOLVER, LIBRARY) if not left.get(name)], PACKAGES)
    problem, other = build(**here), build(**{**here, **there})
    records: list[dict[str, Any]] = []
    with Progress(equation, total=len(names)) as progress:

        def tell(what: str) -> None:
            progress.update(len(records), method=what)

        for name in names:
            settings = tuned(other, [name], limit, tell)
            records += compare(equation, problem, [name], seeds, limit, settings, tell, near, easy)
            outputs.write(records, tuned_on=there)  # nothing is lost if the rest is stopped
    print_seconds(records, names)
    return 0


def _each(build: Any, neighbours: Sequence[str]) -> list[dict[str, Any]]:
    """Return the parameters of each neighbour: `a=1,2 b=3` are two, and `a=1,2 b=3,4` are two as well."""
    columns = [(name, text.split(",")) for name, _, text in (one.partition("=") for one in neighbours)]
    count = max((len(values) for _, values in columns), default=0)
    if any(len(values) not in (1, count) for _, values in columns):
        raise ValueError(f"--neighbours {' '.join(neighbours)}: give each parameter one value, or as many as the others have.")
    rows = [[f"{name}={values[i if len(values) > 1 else 0]}" for name, values in columns] for i in range(count)]
    return [chosen_parameters(build, row) for row in rows]


def _others(build: Any, here: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters for tuning that are not those of the comparison: the middle of the range, or another dimension."""
    import inspect

    ranges = _about(build, "RANGE")
    if not ranges:
        dim = here.get("dim", 2)
        return {"dim": dim + 1 if dim < 3 else dim - 1} if "dim" in inspect.signature(build).parameters else {}
    found = {}
    for name, (low, high) in ranges.items():
        middle = float(np.sqrt(low * high))
        value = here.get(name, inspect.signature(build).parameters[name].default)
        found[name] = middle if abs(middle - value) > 0.05 * abs(value) else float(np.sqrt(low * middle))
    return found


def _about(build: Any, what: str) -> dict[str, Any]:
    """Return the range of an equation's parameters, or an easy choice of them."""
    import sys

    return getattr(sys.modules[build.__module__], what, {})


def print_seconds(records: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> None:
    """Print the median seconds of each method to each error, and how often it got there."""
    table = Table(title="processor seconds to a relative L2 error (median; runs that reach it)")
    for name in ("method", *SHOWN, "least", "compiling"):
        table.add_column(name, justify="left" if name == "method" else "right", no_wrap=True)
    for method in methods:
        own = [record for record in records if record["method"] == method]
        cells = [_median([record["seconds_to"][error] for record in own]) for error in SHOWN]
        least = [record["best_rel_l2"] for record in own if record.get("best_rel_l2") is not None]
        compiling = [record["compile_s"] for record in own if "compile_s" in record]
        ends = f"{np.median(least):.1e}" if least else "failed", f"{max(compiling):.1f}" if compiling else ""
        table.add_row(method, *cells, *ends)
    screen().print(table)


def _median(seconds: Sequence[float | None]) -> str:
    reached = [value for value in seconds if value is not None]
    most = "" if len(reached) == len(seconds) else f" {len(reached)}/{len(seconds)}"
    return f"{np.median(reached):.2f}{most}" if reached else "-"
