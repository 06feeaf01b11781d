"""A folder of designs, from which the next problem can start."""

import os
import tempfile
import uuid
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from physopt.core.regular import open_regular

from .definition import LARGEST, Definition
from .task import Task, softness, task_of, transferred

SCHEMA = 1
FAR = 0.4  # the farthest measured: beyond it a start is not known to be worth having
FORMAT = ".design.npz"


class Entry(NamedTuple):
    """A file of the folder: the definition, its `Task`, and the value of its design."""

    file: Path
    definition: dict[str, Any]
    task: Task
    shape: tuple[int, ...]
    value: float


class Start(NamedTuple):
    """A starting design, the entry that it was made from, and the distance of that entry."""

    design: Float[ndarray, "..."]
    entry: Entry
    distance: float


class Library:
    """Designs, one file each, in a folder that is made with the first.

    Any number of processes may read and add designs at the same time. A file that cannot be read is skipped with a warning.

    **Arguments:**

    - `folder`: where the files are. `far`: the largest distance, as in `Task`, from which a start is taken.
    """

    def __init__(self, folder: str | Path, *, far: float = FAR):
        self.folder, self.far = Path(folder), far
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"{folder}: is a file. Name a folder for the library, which is made if missing.")
        self._read: dict[Path, Entry] = {}

    def add(self, definition: Definition, design: Float[ndarray, "..."], value: float) -> Path:
        """Store the design for a definition, and its value; return the file.

        **Raises:** `ValueError` for a design of another shape, or with numbers that are not finite.
        """
        if design.shape != tuple(definition.shape) or not (np.isfinite(design).all() and np.isfinite(value)):
            raise ValueError(f"A design of shape {design.shape} and value {value}; add one of shape {tuple(definition.shape)}, all finite.")
        problem = definition.problem()
        task = task_of(definition, problem)
        text = msgspec.json.encode({"schema": SCHEMA, "definition": definition, "kind": task.kind, "value": float(value)})
        density = np.clip(problem.density(design), 0.0, 1.0)  # the filter rounds
        arrays = {"layout": task.layout, "numbers": task.numbers, "design": design, "density": density}
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{uuid.uuid4().hex}{FORMAT}"
        handle, part = tempfile.mkstemp(dir=self.folder, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as stream:
                np.savez_compressed(stream, allow_pickle=False, about=np.frombuffer(text, np.uint8), **arrays)
                stream.flush()
                os.fsync(stream.fileno())
            Path(part).replace(file)  # at once, so that no reader ever sees half of it
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
        return file

    def entries(self) -> list[Entry]:
        """Return the entries of the folder, and warn of files that are not designs."""
        files = sorted(self.folder.glob(f"*{FORMAT}"))
        for file in files:
            if file not in self._read:
                try:
                    self._read[file] = _entry(file)
                except FileNotFoundError:
                    continue  # removed by someone since the folder was listed
                except Exception as error:  # of a damaged file NumPy, zipfile and tokenize raise a dozen kinds
                    _warn(file, error)
        return [self._read[file] for file in files if file in self._read]

    def start(self, definition: Definition) -> Start | None:
        """Return a start from the nearest design, the lowest one if several are equally near; `None` if all are too far.

        It has the bounds and the volume of the definition's problem. The same definition gets its own design back. Objectives that are not
        `transferable` get none.
        """
        problem = definition.problem()
        if not problem.objective.transferable:
            return None
        task, shape = task_of(definition, problem), tuple(definition.shape)
        apart = [(*task.apart(entry.task), entry) for entry in self.entries()]
        for layout, distance, entry in sorted(apart, key=lambda item: (round(item[1], 6), item[2].value)):
            if distance > self.far:
                break
            try:
                if distance < 1e-6 and entry.shape == shape:
                    solved = _array(entry.file, "design", shape)
                    return Start(np.clip(solved, problem.lower, problem.upper), entry, distance)
                density = _array(entry.file, "density", entry.shape)
            except Exception as error:  # of a damaged file NumPy, zipfile and tokenize raise a dozen kinds
                _warn(entry.file, error)
                continue
            return Start(transferred(problem, density, softness(layout, definition.rmin)), entry, distance)
        return None


def _warn(file: Path, error: Exception) -> None:
    warnings.warn(f"{file}: is no design of a library, so it is skipped ({type(error).__name__}: {error}).", stacklevel=3)


def _entry(file: Path) -> Entry:
    with open_regular(file) as stream, np.load(stream, allow_pickle=False) as stored:
        about = msgspec.json.decode(stored["about"].tobytes())
        layout, numbers = stored["layout"], stored["numbers"]
    if about["schema"] != SCHEMA:
        raise ValueError(f"it has schema {about['schema']}, this version reads {SCHEMA}")
    definition, value = about["definition"], about["value"]
    shape = tuple(definition["shape"])
    if not (layout.ndim == numbers.ndim == 1 and np.isfinite(layout).all() and np.isfinite(numbers).all() and np.isfinite(value)):
        raise ValueError("its task or its value is no finite number")
    if len(shape) not in (2, 3) or not 1 <= np.prod(shape, dtype=float) <= LARGEST:
        raise ValueError(f"it has the shape {shape}")
    return Entry(file, definition, Task(about["kind"], layout, numbers), shape, float(value))


def _array(file: Path, name: str, shape: tuple[int, ...]) -> Float[ndarray, "..."]:
    with open_regular(file) as stream, np.load(stream, allow_pickle=False) as stored:
        field = stored[name]
    if field.shape != shape or field.dtype != np.float64 or not ((field >= 0.0) & (field <= 1.0)).all():
        raise ValueError(f"its {name} is no array of shape {shape} of numbers from 0 to 1")
    return field
