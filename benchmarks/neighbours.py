"""Solve equations cold, and from solved neighbours: `python benchmarks/neighbours.py [--json FILE]`.

Each family has a few solved neighbours and four held-out parameters between them, one beyond. Processor seconds of one thread
(set OMP_NUM_THREADS=1) and factorized systems; solving the neighbours is a field of its own. A solve is repeated until a second has passed,
and the quickest counts.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from physopt.pinn import Answer, solve
from physopt.pinn.equations import EQUATIONS

FAMILIES: dict[str, tuple[str, float, Sequence[float], Sequence[float], float]] = {  # parameter, tol, neighbours, between, beyond
    "heat": ("alpha", 1e-6, (0.05, 0.1, 0.2, 0.4), (0.07, 0.14, 0.25, 0.3), 0.8),
    "burgers": ("nu", 1e-4, (0.02, 0.03, 0.05, 0.08), (0.025, 0.035, 0.04, 0.06), 0.01),
    "allen-cahn": ("eps", 1e-4, (1e-3, 2e-3, 4e-3, 8e-3), (1.5e-3, 2.5e-3, 3e-3, 6e-3), 5e-4),
    "convection": ("beta", 1e-6, (10.0, 20.0, 30.0, 40.0), (15.0, 23.0, 27.0, 35.0), 50.0),
    "reaction": ("rho", 1e-6, (2.0, 3.0, 5.0, 8.0), (2.5, 3.5, 4.0, 6.0), 10.0),
    "wave": ("c", 1e-6, (1.0, 1.5, 2.0, 3.0), (1.2, 1.8, 2.3, 2.6), 4.0),
    "kdv": ("eps", 1e-4, (0.04, 0.06, 0.08, 0.1), (0.05, 0.055, 0.07, 0.09), 0.03),
    "helmholtz": ("k", 1e-5, (2.0, 3.0, 4.0, 5.0), (2.4, 2.8, 3.4, 4.5), 6.0),
}


def timed(problem: Any, tol: float, **how: Any) -> tuple[float, Answer]:
    """Return the processor seconds of the quickest of several solves, and the answer."""
    seconds, spent = [], 0.0
    while spent < 1.0 or len(seconds) < 2:
        began = time.process_time()
        answer = solve(problem, tol, **how)
        seconds.append(time.process_time() - began)
        spent += seconds[-1]
    return min(seconds), answer


def family(name: str) -> list[dict[str, Any]]:
    """Solve the neighbours, and then each held-out problem cold and from them."""
    parameter, tol, solved, between, beyond = FAMILIES[name]
    records = []
    began = time.process_time()
    library = [solve(EQUATIONS[name](**{parameter: value}), tol) for value in solved]
    before = time.process_time() - began
    for value in (*between, beyond):
        problem = EQUATIONS[name](**{parameter: value})
        cold, alone = timed(problem, tol)
        warm, helped = timed(problem, tol, near=library)
        records.append(record := {"case": name, "parameters": {parameter: value}, "tol": tol, "inside": value != beyond})
        record |= {"seconds_cold": cold, "seconds": warm, "systems_cold": alone.factors, "systems": helped.factors}
        record |= {"claimed_converged": helped.converged, "neighbours_s": before}
        record |= {"final_rel_l2": helped.true_error(), "final_rel_l2_cold": alone.true_error()}
        print(f"{name:12}{parameter}={value:<8g}{'' if record['inside'] else 'beyond':8}{cold:8.2f}{warm:8.2f} s", end="")
        print(f"{cold / warm:7.2f}x{alone.factors:6}{helped.factors:5} systems{record['final_rel_l2']:10.1e}", flush=True)
    return records


def main() -> None:
    """Run all families, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(FAMILIES), default=list(FAMILIES))
    asked, records = parser.parse_args(), []
    for name in asked.only:
        records += family(name)
        if asked.json is not None:
            asked.json.write_text(json.dumps(records, indent=1))
    for where, inside in (("between", True), ("beyond", False)):
        chosen = [record for record in records if record["inside"] is inside]
        times, systems = ([record[f"{what}_cold"] / record[what] for record in chosen] for what in ("seconds", "systems"))
        print(f"{where}: {statistics.median(times):.2f}x fewer seconds ({min(times):.2f} to {max(times):.2f})", end="")
        print(f", {statistics.median(systems):.1f}x fewer systems, {len(chosen)} problems")


if __name__ == "__main__":
    main()
