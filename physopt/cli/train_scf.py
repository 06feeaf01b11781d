"""`physopt train scf`: learn the response kernel from exact responses of small molecules, or of a user's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from .arguments import check_count, check_seed
from .outputs import Report, command_line
from .progress import Progress, screen

EVALUATIONS = 200  # of the loss, from nothing; every fifth of it for a family, which starts from the shipped weights
VALIDATION = 5  # one family of molecules in so many is not trained on


def scf(
    folder: Path | None = None,
    *,
    family: Path | None = None,
    xc: str | None = None,
    basis: str | None = None,
    seed: int = 0,
    evaluations: int | None = None,
    out: Path | None = None,
    outputs: Report = Report(),
) -> None:
    """Train the response kernel on the XYZ files of a folder, and count exact builds on those left out.

    Parameters
    ----------
    folder
        Train from nothing on these molecules, as the shipped weights were on data/training.
    family
        Instead: start from the shipped weights and specialize them to these molecules.
    xc
        "hf" or a functional with exact exchange; otherwise the file's, or hf.
    basis
        Basis set of all atoms; otherwise the file's, or def2-svp.
    seed
        Seed of the random rotations in the lessons.
    evaluations
        Largest number of evaluations of the loss for the exponents that are common to all elements.
    out
        Weight file to write, for accelerate(mf, weights=...).
    """
    source = folder if family is None else family
    if source is None or (folder is not None and family is not None):
        raise ValueError("Name one folder of XYZ files: `physopt train scf data/training`, or `physopt train scf --family DIR`.")
    check_count("--evaluations", evaluations)
    check_seed(seed)
    outputs.check(out)
    molecules = _read(source)
    from physopt.core.weights import save_weights
    from physopt.scf.learned import SHIPPED, KernelWeights, load_kernel
    from physopt.scf.training.fit import fit, loss

    taught, judged = split(molecules)
    start = KernelWeights() if family is None else load_kernel(SHIPPED)
    evaluations = evaluations or (EVALUATIONS if family is None else EVALUATIONS // 5)
    lessons, builds = _harvest(taught, xc, basis, seed)
    count = 0
    with Progress("training") as progress:

        def tell(stage: str, value: float) -> None:
            nonlocal count
            count += 1
            progress.update(count, stage=stage, loss=value)

        weights = fit(lessons, start, evaluations=evaluations, tell=tell)
    losses = {"before": loss(lessons, start), "after": loss(lessons, weights)}
    records = _judge(judged, xc, basis, {"before": start.auxiliary(), "after": weights.auxiliary()})
    show(records, losses)
    screen().print(f"{builds} exact builds went into the lessons")
    if out is not None:
        provenance = {"command": command_line(), "seed": seed, "molecules": sorted(taught), "loss": losses, "exact_builds": builds}
        save_weights(out, weights, provenance)
        screen().print(f"weights in {out}", soft_wrap=True)
    outputs.write(records, loss=losses, training_builds=builds)


def split(molecules: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the molecules to train on and those left out: every fifth set of elements, or frame of a series."""
    kinds = {name: tuple(sorted(set(molecule.symbols))) for name, molecule in molecules.items()}
    if len(set(kinds.values())) < VALIDATION:
        left_out = set(sorted(molecules)[VALIDATION - 1 :: VALIDATION])
    else:
        chosen = set(sorted(set(kinds.values()))[VALIDATION // 2 :: VALIDATION])
        left_out = {name for name, kind in kinds.items() if kind in chosen}
    return ({n: m for n, m in molecules.items() if n not in left_out}, {n: m for n, m in molecules.items() if n in left_out})


def _read(folder: Path) -> dict[str, Any]:
    from physopt.scf.xyz import read_xyz

    files = sorted(folder.glob("*.xyz"))
    if not files:
        raise FileNotFoundError(f"{folder}: has no .xyz file to train on.")
    return {file.stem: read_xyz(file) for file in files}


def _field(molecule: Any, xc: str | None, basis: str | None) -> Any:
    from physopt.scf.molecule import mean_field

    return mean_field(molecule, xc or molecule.xc or "hf", basis or molecule.basis or "def2-svp")


def _harvest(molecules: dict[str, Any], xc: str | None, basis: str | None, seed: int) -> tuple[list[Any], int]:
    """Return the lessons of the molecules that converge, and the exact builds that went into all."""
    from physopt.scf.meter import Meter
    from physopt.scf.training.lessons import harvest

    lessons, meter = [], Meter()
    with Progress("harvesting", total=len(molecules)) as progress:
        for index, (name, molecule) in enumerate(molecules.items()):
            lesson = harvest(meter.watch(_field(molecule, xc, basis)), seed=seed)
            lessons += [] if lesson is None else [lesson]
            progress.update(index + 1, case=name, changes=0 if lesson is None else len(lesson.norms))
    if not lessons:
        raise ValueError("None of the molecules converged, so there is nothing to learn from. Check their charges and spins.")
    return lessons, meter.builds


def _judge(molecules: dict[str, Any], xc: str | None, basis: str | None, kernels: dict[str, Any]) -> list[dict[str, Any]]:
    from physopt.scf.training.fit import score

    return [
        {"case": name, "weights": label, **score(_field(molecule, xc, basis), kernel)}
        for name, molecule in molecules.items()
        for label, kernel in kernels.items()
    ]


def show(records: Sequence[dict[str, Any]], losses: dict[str, float]) -> None:
    """Print the exact builds before and after the training, on molecules not trained on."""
    table = Table(title=f"{len({r['case'] for r in records})} molecules not trained on; exact builds and geometric means of |g| / hartree")
    for name in ("weights", "training error", "after 1 build", "after 2", "after 3", "builds, mean", "median", "worst", "converged"):
        table.add_column(name, justify="left" if name == "weights" else "right")
    for label, value in losses.items():
        rows = [r for r in records if r["weights"] == label]
        if not rows:
            continue
        builds, converged = [r["exact_builds"] for r in rows], sum(r["converged"] for r in rows)
        norms = 10.0 ** np.log10([r["grad_norms"] for r in rows]).mean(axis=0)
        summary = (
            f"{np.mean(builds):.2f}",
            f"{np.median(builds):.1f}",
            str(max(builds)),
            f"{converged}/{len(rows)}",
        )
        table.add_row(label, f"{10.0**value:.4f}", *(f"{g:.2e}" for g in norms), *summary)
    screen(140).print(table)
