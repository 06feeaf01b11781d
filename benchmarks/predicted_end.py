"""Predicted ends of self-consistent fields: calibrate their bound, and judge them by plain PySCF.

```sh
python benchmarks/predicted_end.py judge data/held-out/ordinary --xc hf --rows hf.jsonl
python benchmarks/predicted_end.py calibrate --rows rows.jsonl --out physopt/scf/calibration.safetensors
```

`judge` runs each molecule with `confirm="predicted"` and as by default, both timed in CPU seconds, and evaluates the predicted orbitals by
PySCF's own `get_fock` and `get_grad` in a fresh mean field. A file's own functional and basis set count if it names them. `calibrate` runs
the molecules of `data/training` and `data/molecules` with every end predicted, compares the corrected Fock matrix with the exact one, and
writes the largest errors. Both append to a file of rows and go on where it ends.

The *gate* of the table is the rule that needs no cheap build after the exact one: the first |g|, times the larger of the last two
contractions in the start, has to be below the tolerance. It would end at the model's step, which is judged like the predicted orbitals.
"""

import argparse
import dataclasses
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

import physopt
from physopt.core.run import Progress, Solution
from physopt.core.weights import save_weights
from physopt.scf.calibration import FEWEST, KINDS, SPINS, Calibration, kind_of, spin_of
from physopt.scf.meter import GRAD_TOL, Meter
from physopt.scf.method import start
from physopt.scf.method.report import Report
from physopt.scf.molecule import mean_field
from physopt.scf.xyz import Molecule, read_xyz

LEARNED_FROM = ("data/training", "data/molecules")
# The levels beside HF/def2-svp, one for each molecule in turn.
LEVELS = (
    *(("pbe", "def2-svp"), ("b3lyp", "def2-svp"), ("hf", "aug-cc-pvdz"), ("pbe", "6-31g*"), ("b3lyp", "6-31g*")),
    *(("hf", "def2-tzvp"), ("pbe0", "def2-svp"), ("svwn", "def2-svp"), ("tpss", "def2-svp"), ("wb97x", "def2-svp")),
)
EVERYTHING = Calibration(
    np.zeros(len(KINDS)), np.full((len(KINDS), len(SPINS)), FEWEST), np.ones_like(Calibration().elements)
)  # for which every end is known, without error


class Watched:
    """Keeps the gradient norms of the runs on cheap surfaces in which a molecule starts."""

    def __init__(self) -> None:
        self.norms: list[list[float]] = []
        self._minimize = start.minimize

    def __call__(self, *arguments: Any, **settings: Any) -> Solution:
        solution = self._minimize(*arguments, **settings)
        self.norms.append((0.5 * solution.history.grad_norm).tolist())
        return solution

    def contraction(self) -> float:
        """Return the larger of the last two contractions; 1 without one."""
        ratios = [after / before for norms in self.norms for before, after in itertools.pairwise(norms)]
        return max(ratios[-2:], default=1.0)


class Step:
    """Keeps the orbitals of the model's step from the first exact answer, where a gate would end the run."""

    def __init__(self) -> None:
        self.orbitals: tuple[ndarray, ndarray] | None = None  # coefficients and occupations
        self._report, self._first = Report.__call__, True

    def __enter__(self) -> "Step":
        def report(reporting: Report, progress: Progress) -> bool:
            model = progress.carry.evaluation.model
            if self._first and model.believed():
                point = model.target(accuracy=0.02 * float(np.linalg.norm(model.error()))).point
                self.orbitals = model.oracle.mo_coeff(point.coeff), model.oracle.mo_occ()
            self._first = False
            return self._report(reporting, progress)

        Report.__call__ = report
        return self

    def __exit__(self, *_: object) -> None:
        Report.__call__ = self._report


def predicted(mf: Any, calibration: Calibration | str) -> tuple[Any, dict[str, Any]]:
    """Run with a predicted end; return the mean field and what is known before anybody judges it."""
    watched = start.minimize = Watched()
    meter, norms, began = Meter(), [], time.process_time()
    fast = meter.watch(physopt.accelerate(mf, confirm=calibration))
    fast.callback = lambda envs: norms.append(float(envs["norm_gorb"]))
    fast.kernel()
    spent = time.process_time() - began
    start.minimize = watched._minimize
    state = fast.state
    row = {"kind": kind_of(fast), "spin": spin_of(fast), "elements": sorted(set(fast.mol.elements)), "nao": int(fast.mol.nao)}
    row |= {"converged": bool(fast.converged), "accepted": not state.confirmed, "bound": state.bound, "energy": float(fast.e_tot)}
    return fast, row | {"builds": meter.builds, "cpu_s": spent, "first": norms[0], "gate": norms[0] * watched.contraction()}


def error(fast: Any) -> float:
    r"""Return $|g - \hat g| / |P - P_1|$ of a predicted end, by an exact build."""
    model, dm = fast.solution.evaluation.model, fast.make_rdm1()
    last = fast.solution.carry.evaluation.model.anchor  # the exact one
    exact = model.moved(dataclasses.replace(model.anchor, fock=model.oracle.build(dm)[1]))
    moved = np.linalg.norm(model.anchor.density - last.density)
    return float(np.linalg.norm(exact.error() - model.error()) / moved)


def judged(molecule: Molecule, xc: str, basis: str, coeff: Any, occ: Any) -> tuple[float, float]:
    """Return |g| and the energy of orbitals, by a fresh plain mean field."""
    mf = mean_field(molecule, xc, basis).build()
    dm = mf.make_rdm1(coeff, occ)
    return float(np.linalg.norm(mf.get_grad(coeff, occ, mf.get_fock(dm=dm)))), float(mf.energy_tot(dm))


def judge(molecule: Molecule, xc: str, basis: str, *, alone: bool) -> dict[str, Any]:
    """Return the record of one molecule: the predicted run, its judgement, and the default run unless it is to be judged `alone`."""
    with Step() as step:
        fast, row = predicted(mean_field(molecule, xc, basis), "predicted")
    if step.orbitals is not None:
        row["gate_grad_norm"], row["gate_energy"] = judged(molecule, xc, basis, *step.orbitals)
    row["grad_norm"], row["judged_energy"] = judged(molecule, xc, basis, fast.mo_coeff, fast.mo_occ)
    if alone:
        return row
    meter, began = Meter(), time.process_time()
    mf = meter.watch(physopt.accelerate(mean_field(molecule, xc, basis)))
    mf.kernel()
    return row | {"exact_cpu_s": time.process_time() - began, "exact_builds": meter.builds, "exact_energy": float(mf.e_tot)}


def calibrating(molecule: Molecule, xc: str, basis: str, *, rohf: bool) -> dict[str, Any]:
    """Return the record of one molecule whose end is predicted whatever it is."""
    fast, row = predicted(mean_field(molecule, xc, basis, rohf=rohf), EVERYTHING)
    return row | ({"error": error(fast)} if row["accepted"] else {})


def plan() -> list[tuple[str, Any]]:
    """Return the runs of the calibration: each molecule at one of the levels in turn and in HF/def2-svp, open shells in ROHF, too."""
    each = []
    for number, file in enumerate(molecules([Path(place) for place in LEARNED_FROM])):
        molecule = read_xyz(file)
        for xc, basis, rohf in [(*LEVELS[number % len(LEVELS)], False), ("hf", "def2-svp", False), ("hf", "def2-svp", True)]:
            if molecule.spin or not rohf:
                name = f"{file.stem} {'ro' * rohf}{xc}/{basis}"
                each.append((name, lambda m=molecule, xc=xc, b=basis, ro=rohf: calibrating(m, xc, b, rohf=ro)))
    return [each[number * 101 % len(each)] for number in range(len(each))]  # so that any part of it is like the whole


def rows_of(path: Path, cases: list[tuple[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the record of each named case, from the file or from a run that is then appended to it."""
    known = {row["case"]: row for row in map(json.loads, path.read_text().splitlines())} if path.exists() else {}
    for name, make in cases:
        if name not in known:
            try:
                known[name] = {"case": name} | make()
            except Exception as failure:  # a record, too
                known[name] = {"case": name, "failed": f"{type(failure).__name__}: {failure}"}
            with path.open("a") as file:
                file.write(json.dumps(known[name]) + "\n")
            print(name, {k: v for k, v in known[name].items() if k in ("accepted", "bound", "grad_norm", "error", "failed")}, flush=True)
        yield known[name]


def table(rows: list[dict[str, Any]]) -> str:
    """Return what the rows of `judge` say, one finding a line."""
    good = [r for r in rows if "failed" not in r]
    taken, gated = [r for r in good if r["accepted"]], [r for r in good if r["gate"] < GRAD_TOL]
    beside = [r for r in taken if "exact_cpu_s" in r]
    norms, off = np.array([r["grad_norm"] for r in taken]), np.array([abs(r["energy"] - r["exact_energy"]) for r in beside])
    own = max((abs(r["energy"] - r["judged_energy"]) for r in taken), default=0.0)
    ratio = np.array([r["exact_cpu_s"] / r["cpu_s"] for r in beside])
    seconds = f"{sum(r['cpu_s'] for r in beside):.1f} against {sum(r['exact_cpu_s'] for r in beside):.1f}"
    spread = f"median {np.median(ratio):.2f}, from {ratio.min():.2f} to {ratio.max():.2f}" if beside else "none"
    least = f"below {GRAD_TOL:.3g} in {(norms < GRAD_TOL).sum()}, below 1e-4 in {(norms < 1e-4).sum()}, largest {norms.max(initial=0):.3g}"
    lines = [
        f"{len(good)} molecules, {len(rows) - len(good)} failed; with one exact build {len(taken)} ({len(taken) / max(len(good), 1):.1%})",
        f"|g| of these {least}; above its bound in {sum(r['grad_norm'] > r['bound'] for r in taken)}",
        f"energy against the judge's at the same orbitals: largest {own:.2g}",
        f"energy against the default run's, {len(beside)} molecules: within 1e-8 in {(off < 1e-8).sum()}, largest {off.max(initial=0):.2g}",
        f"CPU seconds of these: {seconds}; ratio: {spread}",
        f"the gate alone would accept {len(gated)}",
    ]
    return "\n".join(
        [*lines, *(f"confirmed: {r['case']}, builds {r['builds']}, converged {r['converged']}" for r in good if not r["accepted"])]
    )


def molecules(places: list[Path]) -> list[Path]:
    """Return XYZ files of files and folders, in order."""
    return [file for place in places for file in (sorted(place.glob("*.xyz")) if place.is_dir() else [place])]


def main() -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    judging, learning = commands.add_parser("judge"), commands.add_parser("calibrate")
    judging.add_argument("places", type=Path, nargs="+", help="XYZ files or folders of them")
    judging.add_argument("--xc", default="hf")
    judging.add_argument("--basis", default="def2-svp")
    judging.add_argument("--alone", action="store_true", help="without the default run beside it, in half the time")
    learning.add_argument("--known", action="store_true", help="make no further run: calibrate by those that are recorded")
    learning.add_argument("--out", type=Path, required=True, help="the calibration to write")
    for each in (judging, learning):
        each.add_argument(
            "--every", type=int, nargs=2, default=(1, 0), metavar=("N", "I"), help="only I, I + N, ...: for several at a time"
        )
        each.add_argument("--rows", type=Path, required=True, help="where the records are kept, one JSON object a line")
    options = parser.parse_args()
    every, first = options.every
    if options.command == "judge":
        read = [(file, read_xyz(file)) for file in molecules(options.places)]
        levels = [(file, m, m.xc or options.xc, m.basis or options.basis) for file, m in read]
        cases = [(f"{f.stem} {xc}/{b}", lambda m=m, xc=xc, b=b: judge(m, xc, b, alone=options.alone)) for f, m, xc, b in levels]
        print(table(list(rows_of(options.rows, cases[first::every]))))
        return
    cases, known = plan(), {json.loads(line)["case"] for line in options.rows.read_text().splitlines()} if options.known else None
    chosen = [each for each in cases[first::every] if known is None or each[0] in known]
    rows = [row for row in rows_of(options.rows, chosen) if "error" in row]
    found = Calibration.of([(row["kind"], row["spin"], row["elements"], row["error"] / row["first"]) for row in rows])
    save_weights(options.out, found, {"command": "python benchmarks/predicted_end.py calibrate", "runs": len(rows), "planned": len(cases)})
    for kind, largest, counts in zip(KINDS, found.largest, found.runs, strict=True):
        print(f"{kind:24s} largest {largest:.2e}  {', '.join(f'{n} {spin}' for n, spin in zip(counts, SPINS, strict=True))}")


if __name__ == "__main__":
    main()
