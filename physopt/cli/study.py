"""`physopt study`: what a folder of recorded solves has cost and saved, and what it knows."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cyclopts
import numpy as np

from .arguments import check_count
from .outputs import Drawn
from .progress import screen

if TYPE_CHECKING:
    from physopt.meta.starts import Solve

app = cyclopts.App(name="study", help="Show what a study has cost and saved, and what it knows.")


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
    if not folder.is_dir():
        raise ValueError(f"{folder}: is no folder. Name the one that was given to physopt.Study.")
    from physopt.meta.starts import Folder
    from physopt.study.report import report, suggest as suggested

    solves = Folder(folder).solves()
    if not solves:
        raise ValueError(f"{folder}: holds no solves. Name the folder that was given to physopt.Study.")
    screen(140).print(report(solves))
    kinds = list(dict.fromkeys(solve.task.kind for solve in solves))
    tasks = {kind: suggested(of_kind, suggest) for kind in kinds if len(of_kind := _of(solves, kind)) > 1} if suggest else {}
    for task in (task for each in tasks.values() for task in each):
        screen().print("worth solving next: " + ", ".join(f"{name}={_shown(part)}" for name, part in task.items()))
    outputs.write([_record(solve) for solve in solves], suggested=[_plain(task) for each in tasks.values() for task in each])
    if outputs.plot is not None:
        _draw(outputs.plot, _of(solves, max(kinds, key=lambda kind: len(_of(solves, kind)))), folder.name)
    return 0


def _of(solves: "list[Solve]", kind: str) -> "list[Solve]":
    return [solve for solve in solves if solve.task.kind == kind]


def _draw(path: Path, solves: "list[Solve]", title: str) -> None:
    """Draw the kind of task with the most solves, over its two numbers that vary most."""
    from physopt.plot import plot_study
    from physopt.study.report import tally

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
