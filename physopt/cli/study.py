"""`physopt study`: what a folder of recorded solves has cost and saved, and what it knows."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cyclopts
import numpy as np

from .arguments import check_count
from .outputs import Drawn, Report
from .progress import screen

if TYPE_CHECKING:
    from physopt.meta.starts import Folder, Solve

app = cyclopts.App(name="study", help="Show what a study has cost and saved, and what it knows; merge and prune studies.")


@app.default
def study(folder: Path, *, suggest: int = 0, outputs: Drawn = Drawn()) -> int:
    """Show what a study has cost and saved, and what it knows.

    Parameters
    ----------
    folder
        The folder that was given to physopt.Study.
    suggest
        Name so many tasks that are worth solving next.
    """
    outputs.check()
    if suggest:
        check_count("--suggest", suggest)
    from physopt.study.report import report, suggest as suggested

    solves = _opened(folder).solves()
    screen(140).print(report(solves))
    kinds = list(dict.fromkeys(solve.task.kind for solve in solves))
    tasks = {kind: suggested(of_kind, suggest) for kind in kinds if len(of_kind := _of(solves, kind)) > 1} if suggest else {}
    for task in (task for each in tasks.values() for task in each):
        screen().print("worth solving next: " + ", ".join(f"{name}={_shown(part)}" for name, part in task.items()))
    outputs.write([_record(solve) for solve in solves], suggested=[_plain(task) for each in tasks.values() for task in each])
    if outputs.plot is not None:
        _draw(outputs.plot, _of(solves, max(kinds, key=lambda kind: len(_of(solves, kind)))), folder.name)
    return 0


@app.command
def merge(folder: Path, /, *others: Path, outputs: Report = Report()) -> int:
    """Copy the solves of other studies into one; those that it holds already are left out.

    Parameters
    ----------
    folder
        The study that the solves are copied into; made if missing.
    others
        The studies that they come from, which stay as they are.
    """
    outputs.check()
    if not others:
        raise ValueError(f"{folder}: nothing to merge into it. Name the other studies behind it.")
    from physopt.meta.starts import Folder

    opened, into = [_opened(other) for other in others], Folder(folder)
    taken = [into.take(each) for each in opened]
    for other, number in zip(others, taken, strict=True):
        screen().print(f"{other}: {number} solves copied", markup=False)
    screen().print(f"{folder}: {len(into.solves())} solves", markup=False)
    outputs.write([{"folder": str(other), "copied": number} for other, number in zip(others, taken, strict=True)])
    return 0


@app.command
def prune(folder: Path, /, *, keep: int | None = None, dry_run: bool = False, outputs: Report = Report()) -> int:
    """Delete solves that teach nothing: ends in higher minima, and of one task all but the lowest of each branch.

    Parameters
    ----------
    folder
        The study.
    keep
        Leave at most so many solves of each kind of task and branch of minima, far from each other, and those with Hessians first.
    dry_run
        Only say how many would go.
    """
    outputs.check()
    check_count("--keep", keep, least=4)
    from physopt.study.prune import superfluous

    files = _opened(folder).files()
    gone = superfluous([solve for _, solve in files], keep)
    for place in () if dry_run else gone:
        files[place][0].unlink(missing_ok=True)
    told = "would be deleted" if dry_run else "deleted"
    screen().print(f"{folder}: {len(gone)} of {len(files)} solves {told}", markup=False)
    outputs.write([_record(files[place][1]) for place in gone], deleted=not dry_run)
    return 0


def _opened(folder: Path) -> "Folder":
    """Return a folder that holds solves; another one is an error."""
    from physopt.meta.starts import Folder

    if not folder.is_dir():
        raise ValueError(f"{folder}: is no folder. Name the one that was given to physopt.Study.")
    opened = Folder(folder)
    if not opened.solves():
        raise ValueError(f"{folder}: holds no solves. Name the folder that was given to physopt.Study.")
    return opened


def _of(solves: "list[Solve]", kind: str) -> "list[Solve]":
    return [solve for solve in solves if solve.task.kind == kind]


def _draw(path: Path, solves: "list[Solve]", title: str) -> None:
    """Draw the kind of task with the most solves, over its two numbers that vary most."""
    from physopt.plot import plot_study
    from physopt.study.report import alone, tally

    solves = alone(solves)
    vectors = np.stack([solve.task.vector for solve in solves])
    names = [name if count == 1 else f"{name}[{k}]" for name, count in solves[0].task.parts.items() for k in range(count)]
    spread = vectors.std(0) / np.maximum(np.abs(vectors).max(0), 1e-300)
    first, second = (*np.argsort(-spread, kind="stable")[:2], 0)[:2]
    plot_study(path, tally(solves), vectors[:, [first, second]], (names[first], names[second]), title)


def _record(solve: "Solve") -> dict[str, Any]:
    return {"task": solve.task.vector.tolist(), "kind": json.loads(solve.task.kind), "value": solve.value, **solve.about}


def _plain(task: dict[str, Any]) -> dict[str, Any]:
    return {name: part.tolist() if isinstance(part, np.ndarray) else part for name, part in task.items()}


def _shown(part: Any) -> str:
    return f"{part:.6g}" if isinstance(part, float) else str(part)
