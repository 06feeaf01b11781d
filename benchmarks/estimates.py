"""Compare estimated with true errors of `pinn.solve` over many runs: `python benchmarks/estimates.py [--json FILE]`.

Every equation with a reference, three choices of its parameters, and tolerances from 1e-3 to 1e-7; one line each: the estimate, the
true error of what it is an estimate of, their quotient, and the true error of the answer that you get, which has the correction added.
The end says in how many runs the estimate is within a factor of 5, and how many called themselves converged at ten times the tolerance.
An error below 1e-10 is rounding, and counts as that.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

from physopt.pinn import solve
from physopt.pinn.answer import Piece
from physopt.pinn.equations import EQUATIONS

ROUNDING = 1e-10
TOLERANCES = (1e-3, 1e-5, 1e-7)
CHOICES: dict[str, list[dict[str, float | int]]] = {
    "poisson": [{"dim": 1}, {"dim": 2}, {"dim": 3}],
    "heat": [{"alpha": 0.01}, {"alpha": 0.1}, {"alpha": 1.0}],
    "helmholtz": [{"k": 1}, {"k": 3}, {"k": 6}],
    "burgers": [{"nu": 0.1}, {"nu": 0.03}, {"nu": 0.01}],
    "allen-cahn": [{"eps": 1e-2}, {"eps": 3e-3}, {"eps": 1e-3}],
    "convection": [{"beta": 1.0}, {"beta": 10.0}, {"beta": 50.0}],
    "reaction": [{"rho": 1.0}, {"rho": 5.0}, {"rho": 10.0}],
    "wave": [{"c": 1.0}, {"c": 2.0}, {"c": 4.0}],
    "kdv": [{"eps": 0.1}, {"eps": 0.05}, {"eps": 0.03}],
    "kuramoto-sivashinsky": [{"gamma": 0.05}, {"gamma": 0.02}, {"gamma": 0.01}],
    "gray-scott": [{"feed": 0.02}, {"feed": 0.04}, {"feed": 0.06}],
    "schroedinger": [{}],
}


def measured(name: str, choice: dict[str, float | int], tol: float) -> dict[str, Any]:
    """Solve once, and return what is claimed and what is true."""
    problem, began = EQUATIONS[name](**choice), time.process_time()
    answer = solve(problem, tol)
    seconds = time.process_time() - began
    pieces = (piece._replace(correction=0.0 * piece.correction) for piece in answer.pieces if isinstance(piece, Piece))
    plain = answer._replace(pieces=tuple(pieces))
    return {
        "case": name,
        "parameters": choice,
        "tol": tol,
        "estimated_rel_l2": answer.error,
        "plain_rel_l2": plain.true_error(),
        "final_rel_l2": answer.true_error(),
        "claimed_converged": answer.converged,
        "seconds": seconds,
    }


def factor(record: dict[str, Any]) -> float:
    """Return the estimate over the true error of what was estimated."""
    return max(record["estimated_rel_l2"], ROUNDING) / max(record["plain_rel_l2"], ROUNDING)


def main() -> None:
    """Run all, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(CHOICES), default=list(CHOICES))
    asked, records = parser.parse_args(), []
    for name in asked.only:
        for choice in CHOICES[name]:
            for tol in TOLERANCES:
                records.append(record := measured(name, choice, tol))
                named = " ".join(f"{key}={value}" for key, value in choice.items())
                numbers = (record[name] for name in ("estimated_rel_l2", "plain_rel_l2", "final_rel_l2"))
                print(f"{name:21}{named:12}{tol:8.0e}", *(f"{number:9.1e}" for number in numbers), f"{factor(record):8.2g}", end="")
                print(f"{record['seconds']:8.1f} s  {'converged' if record['claimed_converged'] else 'not converged'}", flush=True)
                if asked.json is not None:
                    asked.json.write_text(json.dumps(records, indent=1))
    within = sum(abs(math.log(factor(record))) <= math.log(5.0) for record in records)
    below = sum(factor(record) < 0.2 for record in records)
    claimed = [record for record in records if record["claimed_converged"]]
    wrong = sum(record["final_rel_l2"] > 10.0 * record["tol"] for record in claimed)
    missed = sum(record["final_rel_l2"] > record["tol"] for record in claimed)
    print(f"{within} of {len(records)} estimates within a factor of 5, {below} too small by more than that")
    print(f"{len(claimed)} of {len(records)} claim to be converged: {missed} of them above the tolerance, {wrong} above ten times it")


if __name__ == "__main__":
    main()
