"""Studies where it is hard or dear: `python benchmarks/study_limits.py noise|large|clock|fit [--json FILE]`.

- noise: an elastic rod whose value has a relative error of 1e-6, and whose gradient one of 1e-6 of that at the cold start.
- large: a reaction in a square on 45 by 45 nodes, 2025 unknowns; beyond 400 no Hessian is recorded, but modes.
- clock: a rod whose calls take 50 ms each, as told: so many calls, plus the processor seconds that learning takes (set OMP_NUM_THREADS=1).
- fit: rate constants from noisy readings, by `Study.least_squares`; a Jacobian counts as half a call for each unknown.

Each is solved cold, and after 8 and 32 (8 and 16 for `large`) recorded solves; medians over ten held-out tasks.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from physopt import Study
from physopt.bench.learn_fits import Fits
from physopt.bench.learn_rules import Case, Compiled
from physopt.meta.families import AbstractPhysics, Bratu, Reaction, Rod

CALL = 0.05  # seconds
HELD = 10


class Timed:
    """A family's functions for a study, their calls, and the processor seconds that pass in them."""

    def __init__(self, family: AbstractPhysics, noise: float):
        self.family, self._noise, self._random = family, noise, np.random.default_rng(7)
        self._slope = jax.jit(jax.value_and_grad(family.value))
        self.calls, self.seconds = 0, 0.0
        self.norm = 1.0

    def __call__(self, x: np.ndarray, task: dict[str, float]) -> tuple[float, np.ndarray]:
        """Return value and gradient, with noise if there is any."""
        began = time.process_time()
        value, grad = (np.asarray(each) for each in self._slope(x, self.family.vector(task)))
        error = self._noise * self.norm * self._random.normal(size=grad.shape) / len(grad) ** 0.5
        self.calls += 1
        self.seconds += time.process_time() - began
        return float(value) * (1.0 + self._noise * self._random.normal()), grad + error

    def solve(self, study: Study, task: dict[str, float], rtol: float, *, record: bool) -> dict[str, Any]:
        """Let a study solve a task, and return calls, seconds of learning, and what came out."""
        x0 = self.family.cold()
        self.norm = float(np.linalg.norm(self._slope(x0, self.family.vector(task))[1]))
        self.calls, self.seconds, began = 0, 0.0, time.process_time()
        result = study.minimize(self, x0, task, pass_task=True, gtol=rtol * self.norm, record=record)
        learning = time.process_time() - began - self.seconds
        true = float(np.linalg.norm(self._slope(result.x, self.family.vector(task))[1])) / self.norm
        told = {"start": result.start, "metric": result.metric, "converged": result.success, "norm": true}
        return {"calls": self.calls, "learning_s": learning, "wall_s": CALL * self.calls + learning, **told}


def measured(family: AbstractPhysics, noise: float, rtol: float, recorded: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return the records of held-out tasks, cold and after some recorded solves."""
    timed, records = Timed(family, noise), []
    held = [family.named(family.drawn(np.random.default_rng([5, k]), 1.0)) for k in range(HELD)]
    timed(family.cold(), held[0])  # compiled
    with tempfile.TemporaryDirectory() as folder:
        study = Study(folder, verify=False)
        for number in range(max(recorded) + 1):
            if number in (0, *recorded):
                for k, task in enumerate(held):
                    records.append({"recorded": number, "task": k, **timed.solve(study, task, rtol, record=False)})
            if number < max(recorded):
                task = family.named(family.drawn(np.random.default_rng([6, number]), 1.0))
                records.append({"recorded": number, "training": True, **timed.solve(study, task, rtol, record=True)})
    return records


def fitted(recorded: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return the records of held-out fits, cold and after some recorded ones."""
    family = Reaction()
    compiled, records = Compiled(family), []
    drawn = [[Case(compiled, family.drawn(np.random.default_rng([seed, k]), 1.0)) for k in range(max(HELD, *recorded))] for seed in (5, 6)]

    def gtol(case: Case) -> float:
        r, j = (np.asarray(each(family.cold(), case.mu)) for each in (compiled.residual, compiled.jacobian))
        return 1e-6 * float(np.linalg.norm(j.T @ r))

    with tempfile.TemporaryDirectory() as folder:
        fits = Fits(Path(folder), drawn[1][0])
        for number in range(max(recorded) + 1):
            for k, case in enumerate(drawn[0][:HELD] if number in (0, *recorded) else ()):
                began = time.process_time()
                rows, result = fits.rows(case, gtol(case))
                record = {"calls": rows[-1].calls, "start": result.start, "metric": False, "converged": result.success}
                seconds = time.process_time() - began
                records.append({"recorded": number, "task": k, "learning_s": seconds, "wall_s": seconds, "higher": result.higher, **record})
            if number < max(recorded):
                before = fits.training
                fits.record(drawn[1][number], gtol(drawn[1][number]))
                records.append({"recorded": number, "training": True, "calls": fits.training - before, "learning_s": 0.0, "wall_s": 0.0})
    return records


def told(name: str, records: list[dict[str, Any]]) -> None:
    """Print the medians."""
    held = [r for r in records if "training" not in r]
    for number in sorted({r["recorded"] for r in held}):
        rows = [r for r in held if r["recorded"] == number]
        calls, seconds = (np.median([r[key] for r in rows]) for key in ("calls", "wall_s"))
        first = rows[0]["learning_s"]  # with the maps fitted
        rest = np.median([r["learning_s"] for r in rows[1:]])
        cold = [r for r in held if r["recorded"] == 0]
        factor = np.median([c["calls"] / r["calls"] for c, r in zip(cold, rows, strict=True)])
        clock = np.median([c["wall_s"] / r["wall_s"] for c, r in zip(cold, rows, strict=True)])
        used = sum(r["start"] != "cold" for r in rows), sum(r["metric"] for r in rows), sum(r["converged"] for r in rows)
        print(
            f"{name}: {number:3} recorded: {calls:6.1f} calls, {factor:5.2f} times fewer; {seconds:6.2f} s, {clock:5.2f} times fewer;",
            end="",
        )
        print(f" learning {first:.2f} s, then {rest:.2f} s; start, metric, converged in {used} of {len(rows)}")
    training = [r for r in records if "training" in r]
    calls, wall = sum(r["calls"] for r in training), sum(r["wall_s"] for r in training)
    print(f"{name}: recording took {calls} calls and {wall:.1f} s, {sum(r['learning_s'] for r in training):.1f} s of them for learning")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("what", choices=("noise", "large", "clock", "fit"))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    if chosen.what == "large":
        records = measured(Bratu(side=45), 0.0, 1e-6, (8, 16))
    elif chosen.what == "fit":
        records = fitted((8, 32))
    elif chosen.what == "noise":
        records = measured(Rod(), 1e-6, 1e-4, (8, 32))
    else:
        records = measured(Rod(), 0.0, 1e-6, (8, 32))
    told(chosen.what, records)
    if chosen.json:
        chosen.json.write_text(json.dumps(records))


if __name__ == "__main__":
    main()
