"""One recorded solve, and how it lies on disk."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from physopt.core.trajectory import UnreadableRunError, read_arrays, software_versions, write_arrays

from .modes import Modes
from .task import Task

FILE_KIND = "physopt-solve"
SCHEMA = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Solve:
    """The solution of one task.

    - `task`, `point`, `value`: what was solved, where its solution is, and how low.
    - `gradient`, `hessian`: at the point. `tangents`: $dx/d\\mu$, shape (unknowns, entries of the task). `None` where not known.
    - `about`: further numbers, words and lists of these, by name: calls, the rule, the method's own. `versions`: of the programs that
      wrote it, by name, once it has been read. `modes`: the softest ones, where the Hessian is too large.
    """

    task: Task
    point: Float[ndarray, " unknowns"]
    value: float
    gradient: Float[ndarray, " unknowns"] | None = None
    hessian: Float[ndarray, "unknowns unknowns"] | None = None
    tangents: Float[ndarray, "unknowns d"] | None = None
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    modes: Modes | None = None

    def write(self, path: Path) -> None:
        """Write the solve into a file at once.

        **Raises:** `ValueError` for numbers that are not finite, `OSError` if it cannot be written.
        """
        arrays = {"task": self.task.vector, "point": self.point, "value": np.array([self.value])}
        more = {"gradient": self.gradient, "hessian": self.hessian, "tangents": self.tangents}
        arrays |= {name: array for name, array in more.items() if array is not None}
        if self.modes is not None:
            arrays |= {"modes": self.modes.vectors, "pushed": self.modes.pushed, "rest": np.array([self.modes.rest])}
        if wrong := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
            raise ValueError(f"A solve whose {', '.join(wrong)} is not finite teaches nothing; record solutions only.")
        header = {"schema": SCHEMA, "kind": self.task.kind, "about": dict(self.about), "versions": software_versions()}
        write_arrays(path, FILE_KIND, header, arrays)

    @classmethod
    def read(cls, path: Path) -> "Solve":
        """Read the solve in a file.

        **Raises:** `UnreadableRunError` for anything but an intact solve of finite numbers.
        """
        header, arrays = read_arrays(path, FILE_KIND)
        kind, about = header.get("kind"), header.get("about")
        if header.get("schema") != SCHEMA or not isinstance(kind, str) or not isinstance(about, dict):
            raise UnreadableRunError(f"{path}: has schema {header.get('schema')!r:.20}, this physopt reads {SCHEMA}.")
        task, point = arrays.get("task", np.zeros(0)), arrays.get("point", np.zeros(0))
        n, d = point.size, task.size
        k = arrays["modes"].shape[-1] if "modes" in arrays and arrays["modes"].ndim == 2 else 0
        shapes = {"task": (d,), "point": (n,), "value": (1,), "gradient": (n,), "hessian": (n, n), "tangents": (n, d)}
        shapes |= {"modes": (n, k), "pushed": (n, k), "rest": (1,)} if {"modes", "pushed", "rest"} <= arrays.keys() else {}
        sound = all(array.shape == shapes.get(name) and np.isfinite(array).all() for name, array in arrays.items())
        if not (sound and {"task", "point", "value"} <= arrays.keys() and _entries(kind) == d):
            raise UnreadableRunError(f"{path}: its arrays are not those of a solve, or not finite; it was not written by physopt.")
        more = {name: arrays.get(name) for name in ("gradient", "hessian", "tangents")}
        modes = Modes(arrays["modes"], arrays["pushed"], float(arrays["rest"][0])) if "rest" in arrays else None
        versions = header.get("versions")
        versions = versions if isinstance(versions, dict) else {}
        return cls(Task(task, kind), point, float(arrays["value"][0]), **more, about=about, versions=versions, modes=modes)

    def number(self, name: str) -> float:
        """Return a number that `about` has by this name; NaN if there is none."""
        found = self.about.get(name)
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else math.nan


def _entries(kind: str) -> int:
    """Return how many entries the tasks of a kind have; -1 for a kind that is none."""
    try:
        return sum(Task(np.zeros(0), kind).parts.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return -1
