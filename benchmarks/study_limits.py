"""Studies where it is hard or dear: `python benchmarks/study_limits.py noise|large|clock|fit|minima [--json FILE]`.

- noise: an elastic rod whose value has a relative error of 1e-6, and whose gradient one of 1e-6 of that at the cold start.
- large: a reaction in a square on 45 by 45 nodes, 2025 unknowns; beyond 400 no Hessian is recorded, but modes.
- clock: a rod whose calls take 50 ms each, as told: so many calls, plus the processor seconds that learning takes (set OMP_NUM_THREADS=1).
- fit: rate constants from noisy readings, by `Study.least_squares`; a Jacobian counts as half a call for each unknown.
- minima: clusters of two kinds of atoms from 20 random starts each, so that only a search finds a low minimum; after 32 recorded tasks.

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
from physopt.meta.families import AbstractPhysics, Bratu, Cluster, Reaction, Rod

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


def placed(random: np.random.Generator) -> np.ndarray:
    """Return thirteen atoms at random in a ball, no two of them close."""
    while True:
        atoms = random.normal(size=(13, 3))
        atoms *= 2.0 * random.uniform(size=(13, 1)) ** (1 / 3) / np.linalg.norm(atoms, axis=1, keepdims=True)
        if (np.linalg.norm(atoms[:, None] - atoms[None], axis=-1) + 10.0 * np.eye(13)).min() > 0.6:
            return atoms.ravel()


def searched(recorded: int, starts: int, begin: int) -> list[dict[str, Any]]:
    """Return the records of held-out tasks with many minima: by a search alone, and by a study of so many recorded tasks."""
    family, records = Cluster(), []
    timed, draws = Timed(family, 0.0), [np.random.default_rng([seed, 1]) for seed in (begin, begin + 1)]

    def solve(study: Study, draw: np.random.Generator, k: int, seed: int, *, record: bool) -> dict[str, Any]:
        task = family.named(family.drawn(np.random.default_rng([seed, k]), 1.0))
        points = [placed(draw) for _ in range(starts)]
        gtol = 1e-6 * float(np.linalg.norm(timed(family.cold(), task)[1]))
        result = study.minimize(timed, family.cold(), task, starts=points, pass_task=True, gtol=gtol, record=record)
        told = {"value": float(result.fun), "start": result.start, "metric": result.metric, "converged": result.success}
        return {"calls": result.nfev, "recording": result.recording, **told}

    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as nothing:
        study = Study(folder, verify=False)
        records += [{"training": True, **solve(study, draws[1], k, begin + 1, record=True)} for k in range(recorded)]
        for k in range(2 * HELD):
            state = draws[0].bit_generator.state
            records.append({"recorded": 0, "task": k, **solve(Study(nothing), draws[0], k, begin, record=False)})
            draws[0].bit_generator.state = state  # the same starts
            records.append({"recorded": recorded, "task": k, **solve(study, draws[0], k, begin, record=False)})
    return records


def told_of_search(records: list[dict[str, Any]]) -> None:
    """Print how many calls fewer the study takes, and whether it ends as low."""
    held = [r for r in records if "training" not in r]
    pairs = list(zip(held[::2], held[1::2], strict=True))
    factors = np.array([search["calls"] / study["calls"] for search, study in pairs])
    off = np.array([study["value"] - search["value"] for search, study in pairs])
    lower, equal = (off < -1e-6).sum(), (np.abs(off) <= 1e-6).sum()
    calls = [np.median([pair[k]["calls"] for pair in pairs]) for k in (0, 1)]
    print(
        f"minima: {calls[0]:.0f} calls by a search, {calls[1]:.0f} by the study: {np.median(factors):.0f} times fewer in the median, ",
        end="",
    )
    print(f"{np.percentile(factors, 10):.3g} at the tenth percentile; lower in {lower}, equal in {equal}, higher in ", end="")
    print(f"{len(pairs) - lower - equal} of {len(pairs)}")
    training = [r for r in records if "training" in r]
    print(f"minima: recording {len(training)} tasks took {sum(r['calls'] for r in training)} calls")


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
    parser.add_argument("what", choices=("noise", "large", "clock", "fit", "minima"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=45, help="of tasks and starts, for minima")
    chosen = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    if chosen.what == "large":
        records = measured(Bratu(side=45), 0.0, 1e-6, (8, 16))
    elif chosen.what == "fit":
        records = fitted((8, 32))
    elif chosen.what == "noise":
        records = measured(Rod(), 1e-6, 1e-4, (8, 32))
    elif chosen.what == "minima":
        records = searched(32, 20, chosen.seed)
    else:
        records = measured(Rod(), 0.0, 1e-6, (8, 32))
    (told_of_search(records) if chosen.what == "minima" else told(chosen.what, records))
    if chosen.json:
        chosen.json.write_text(json.dumps(records))


if __name__ == "__main__":
    main()
