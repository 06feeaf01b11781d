"""Studies that teach nothing or something wrong: `python benchmarks/study_spoilt.py [--studies 200] [--seed 2026] [--json FILE]`.

Each study holds twelve solves of a chain of springs, spoilt in one of many ways, and then meets two new tasks. Every solve is compared with
one that knows nothing: how many calls more it took, whether its gradient, asked for again, is as small as it says, and whether it ends no
higher. Counts only; no clock.
"""

import argparse
import collections
import dataclasses
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from physopt import Study
from physopt.meta.starts import Folder, Solve

UNKNOWNS = 6
ZERO = np.zeros(UNKNOWNS)
PAIRS = [(-0.5, 1.2)] * UNKNOWNS
ARRAYS = {
    "random points": lambda s, r: {"point": r.normal(size=UNKNOWNS)},
    "huge points": lambda s, r: {"point": s.point * 10.0 ** r.uniform(3, 150)},
    "points near the largest number": lambda s, r: {"point": np.sign(s.point) * 1e308},
    "one point for all": lambda s, r: {"point": np.ones(UNKNOWNS)},
    "points with noise": lambda s, r: {"point": s.point + 0.3 * r.normal(size=UNKNOWNS)},
    "random metric": lambda s, r: {"hessian": np.diag(np.exp(6.0 * r.normal(size=UNKNOWNS)))},
    "metric of the wrong sign": lambda s, r: {"hessian": -s.hessian},
    "metric of zeros": lambda s, r: {"hessian": np.zeros((UNKNOWNS, UNKNOWNS))},
    "metric of another scale": lambda s, r: {"hessian": s.hessian * 10.0 ** r.uniform(-12, 12)},
    "huge metric": lambda s, r: {"hessian": s.hessian * 1e300},
    "random tangents": lambda s, r: {"tangents": 10.0 * r.normal(size=(UNKNOWNS, 2))},
    "huge tangents": lambda s, r: {"tangents": 1e200 * r.normal(size=(UNKNOWNS, 2))},
    "values too low": lambda s, r: {"value": s.value - 10.0 ** r.uniform(0, 300)},
    "no numbers": lambda s, r: {"about": {}},
    "wrong numbers": lambda s, r: {"about": {**s.about, "cold_norm": -1.0, "cold_value": -1e300, "calls": -5, "answers": 0}},
    "words for numbers": lambda s, r: {"about": {**s.about, "cold_norm": "much", "calls": [1], "start": 3, "rule": None}},
}
KINDS = (*ARRAYS, "shuffled", "one wrong run", "one loose run", "another family", "damaged files", "one task many times", "untouched")


def springs(x: np.ndarray, task: dict[str, float], weak: float = 1.0) -> tuple[float, np.ndarray]:
    """Return the energy of a chain of stiffening springs between two walls, under a load, and its gradient."""
    stiffness = np.logspace(0.0, 1.5 * weak, UNKNOWNS + 1)
    d = np.diff(x, prepend=0.0, append=0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        pull = stiffness * (d + task["stiffening"] * d**3)
        value = (stiffness * (d**2 / 2 + task["stiffening"] * d**4 / 4)).sum() - task["load"] * x.sum()
    return float(value), pull[:-1] - pull[1:] - task["load"]


def misfits(x: np.ndarray, task: dict[str, float]) -> np.ndarray:
    """Return residuals whose sum of squares is smallest near the rest of the chain."""
    return np.concatenate([springs(x, task)[1], 0.1 * (x - 1.0)])


def drawn(random: np.random.Generator) -> dict[str, float]:
    """Return a task."""
    return {"stiffening": random.uniform(0.1, 1.0), "load": random.uniform(1.0, 4.0)}


class Asked:
    """One of the three questions that a study answers, with an outside meter."""

    def __init__(self, how: str):
        self.how, self.calls = how, 0

    def solve(self, study: Study, task: dict[str, float], weak: float = 1.0, **more: Any) -> Any:
        """Let a study solve a task."""
        self.calls = 0

        def metered(x: np.ndarray, task: dict[str, float]) -> Any:
            self.calls += 1
            return misfits(x, task) if self.how == "fit" else springs(x, task, weak)

        if self.how == "fit":
            return study.least_squares(metered, ZERO, task, pass_task=True, **more)
        return study.minimize(metered, ZERO, task, pass_task=True, bounds=PAIRS if self.how == "bounded" else None, **more)

    def norm(self, x: np.ndarray, task: dict[str, float]) -> float:
        """Return the norm of the gradient that must be small, from an independent formula."""
        if self.how == "fit":
            r = misfits(x, task)
            jacobian = np.stack([(misfits(x + 1e-6 * e, task) - misfits(x - 1e-6 * e, task)) / 2e-6 for e in np.eye(UNKNOWNS)], 1)
            return float(np.linalg.norm(jacobian.T @ r))
        grad = springs(x, task)[1]
        low, high = np.array(PAIRS).T
        return float(np.linalg.norm(x - np.clip(x - grad, low, high) if self.how == "bounded" else grad))


def spoilt(kind: str, solves: list[Solve], folder: Path, random: np.random.Generator, asked: Asked) -> None:
    """Write the solves into a folder, spoilt in one way."""
    if kind in ARRAYS:
        solves = [dataclasses.replace(s, **ARRAYS[kind](s, random)) for s in solves if s.hessian is not None]
    elif kind == "shuffled":
        order = random.permutation(len(solves))
        solves = [dataclasses.replace(solves[k], task=s.task) for s, k in zip(solves, order, strict=True)]
    elif kind == "one wrong run":
        solves[3] = dataclasses.replace(solves[3], point=solves[3].point * 10.0 ** random.uniform(1, 12))
    elif kind == "one loose run":
        solves[-1] = dataclasses.replace(solves[-1], about={**solves[-1].about, "cold_norm": 1e30})
    elif kind == "one task many times":
        solves = [dataclasses.replace(s, task=solves[0].task) for s in solves]
    elif kind == "another family" and asked.how != "fit":
        other = Study(folder)
        for _ in range(8):
            asked.solve(other, drawn(random), weak=-1.0)
        return
    paths = [Folder(folder).add(solve) for solve in solves]
    if kind == "damaged files":
        for path in paths[::2]:
            whole = bytearray(path.read_bytes())
            for place in random.integers(0, len(whole), 5):
                whole[place] ^= 0xFF
            path.write_bytes(bytes(whole))


def main() -> None:
    """Spoil studies, let each solve two tasks, and say how much worse they were."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    random = np.random.default_rng(chosen.seed)
    records: list[dict[str, Any]] = []
    warnings.simplefilter("ignore")  # damaged files are left out with a warning each
    with tempfile.TemporaryDirectory() as folder:
        recorded = {}
        for how in ("plain", "bounded", "fit"):
            study, asked = Study(Path(folder) / how), Asked(how)
            for _ in range(12):
                asked.solve(study, drawn(random))
            recorded[how] = study.folder.solves()
        for number in range(chosen.studies):
            kind, how = KINDS[number % len(KINDS)], ("plain", "bounded", "fit")[number // len(KINDS) % 3]
            place, asked = Path(folder) / str(number), Asked(how)
            spoilt(kind, list(recorded[how]), place, random, asked)
            for task in (drawn(random), drawn(random)):
                cold = asked.solve(Study(Path(folder) / "empty"), task, record=False)
                alone = asked.calls
                wanted = 1e-6 * asked.norm(np.clip(ZERO, *np.array(PAIRS).T) if how == "bounded" else ZERO, task)
                found = asked.solve(Study(place, verify=False), task, record=False)
                ends = [each.cost if how == "fit" else each.fun for each in (cold, found)]
                record = {"kind": kind, "question": how, "calls_cold": alone, "calls": asked.calls, "start": found.start}
                record |= {"converged": found.success, "norm": asked.norm(found.x, task) / wanted, "higher": ends[1] - ends[0]}
                records.append(record | {"warned": found.higher > 0.0})
    told(records)
    if chosen.json:
        chosen.json.write_text(json.dumps(records))


def told(records: list[dict[str, Any]]) -> None:
    """Print the worst of each kind, and of all."""
    groups = collections.defaultdict(list)
    for record in records:
        groups[record["kind"]].append(record)
    print(f"{'spoilt by':32}{'solves':>7}{'calls over cold: median':>25}{'worst':>7}{'more calls':>11}{'largest norm':>13}")
    for kind, rows in [*groups.items(), ("all", records)]:
        share = np.array([r["calls"] / r["calls_cold"] for r in rows])
        more, norm = max(r["calls"] - r["calls_cold"] for r in rows), max(r["norm"] for r in rows)
        print(f"{kind:32}{len(rows):7}{np.median(share):25.2f}{share.max():7.2f}{more:11}{norm:13.3g}")
    wrong = [r for r in records if r["converged"] and r["norm"] > 2.0]
    above = [r for r in records if r["calls"] > 1.1 * r["calls_cold"] + 2]
    high = [r for r in records if r["converged"] and r["higher"] > 1e-6]
    print(f"not converged: {sum(not r['converged'] for r in records)}; converged with a larger gradient than asked for: {len(wrong)}")
    for r in above:
        print(f"{r['kind']}, {r['question']}: {r['calls']} calls instead of {r['calls_cold']}, started from {r['start']}")
    print(f"more than 1.1 times the calls of a cold solve and two: {len(above)} of {len(records)}; ended higher: {len(high)}")


if __name__ == "__main__":
    main()
