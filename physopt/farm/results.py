"""A folder of results, one HDF5 file each, written when the task ends; a second run skips what is there."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from physopt.core.described import describe
from physopt.core.recording import Recording
from physopt.core.trajectory import read_arrays, software_versions, write_arrays
from physopt.core.trajectory.asked import differences
from physopt.core.trajectory.folder import locked

KIND = "physopt-result"
FORMAT = ".result.h5"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.,=+-]{0,149}")
ARRAY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Result(NamedTuple):
    """What a task has found.

    - `numbers`: numbers, texts and truth values by name. `arrays`: of numbers, by name.
    - `error`: why there is nothing, else `None`.
    """

    name: str
    numbers: dict[str, Any]
    arrays: dict[str, np.ndarray]
    error: str | None = None

    @classmethod
    def of(cls, name: str, found: Any) -> "Result":
        """Return the result that a function's mapping of names and values stands for.

        **Raises:** `TypeError` for another kind of value, `ValueError` for numbers that are not finite.
        """
        if not isinstance(found, Mapping):
            raise TypeError(f"It returned {found!r:.60}; a task returns numbers, texts and arrays by name, such as {{'value': 1.0}}.")
        numbers, arrays = {}, {}
        for key, each in found.items():
            if isinstance(each, np.generic) or (np.ndim(each) == 0 and hasattr(each, "__array__")):
                each = np.asarray(each).item()
            if each is None or isinstance(each, bool | int | float | str):
                numbers[str(key)] = each
            elif ARRAY.fullmatch(str(key)) and (array := np.asarray(each)).dtype.kind in "biuf" and array.size:
                arrays[str(key)] = array.astype(float)
            else:
                raise TypeError(f"It returned {key!r} = {each!r:.60}; numbers, texts and arrays of real numbers can be recorded.")
        wrong = [key for key, each in {**numbers, **arrays}.items() if isinstance(each, float | np.ndarray) and not np.isfinite(each).all()]
        if wrong:
            raise ValueError(f"It returned numbers that are not finite: {', '.join(wrong)}.")
        return cls(name, numbers, arrays)


class Results:
    """The results in a folder, by the names of their tasks; see `recorded`."""

    def __init__(self, folder: Path, recording: Recording):
        self._folder, self._recording = folder, recording
        self._known = {path.name.removesuffix(FORMAT): path for path in folder.glob(f"*{FORMAT}") if path.name[0] != "."}

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def read(self, name: str, task: Any) -> Result:
        """Return a recorded result; `ValueError` if it is that of another task of this name, or damaged."""
        path = self._known[name]
        header, arrays = read_arrays(path, KIND)
        if found := differences(header.get("asked"), self._asked(task)):
            raise ValueError(
                f"{path} holds the result of another task: {'; '.join(found[:4])}. Ask for the same, or record into another folder."
            )
        return Result(name, dict(header.get("numbers", {})), arrays)

    def write(self, result: Result, task: Any) -> None:
        """Write a result: when this returns it is on disk, and complete."""
        header = {
            "name": result.name,
            "asked": self._asked(task),
            "numbers": result.numbers,
            "spec": dict(self._recording.spec),
            "versions": software_versions(),
        }
        path = self._folder / f"{result.name}{FORMAT}"
        write_arrays(path, KIND, header, result.arrays)
        self._known[result.name] = path

    def _asked(self, task: Any) -> Any:
        return describe({**self._recording.asked, "task": task})


@contextlib.contextmanager
def recorded(recording: Recording | None) -> Iterator[Results | None]:
    """Lend the results in the folder of a recording, which is made if missing and belongs to this process meanwhile.

    **Raises:** `FileExistsError` for a folder with results that is not to be resumed, or that holds something else; `BlockingIOError`
    while another process writes there.
    """
    if recording is None:
        yield None
        return
    folder = Path(recording.folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: is a file. Name a folder for the results, which is made if missing.")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        there = [path.name for path in folder.iterdir() if path.name[0] != "."]
        if foreign := [name for name in there if not name.endswith(FORMAT)]:
            raise FileExistsError(f"{folder} holds something else ({foreign[0][:60]}); record into a new or empty folder.")
        if there and not recording.resume:
            raise FileExistsError(f"{folder} already holds results; go on with resume=True (--resume), or record elsewhere.")
        yield Results(folder, recording)


def check_names(names: list[str]) -> None:
    """Raise `ValueError` for names of tasks that are no names of files, or not their own."""
    for name in names:
        if not NAME.fullmatch(name) or name.endswith(FORMAT):
            raise ValueError(f"A task cannot be named {name[:160]!r}: write letters, digits and any of ' _.,=+-', at most 150.")
    lower = [name.lower() for name in names]
    if twice := sorted({name for name in names if lower.count(name.lower()) > 1}):
        raise ValueError(f"Several tasks are named {twice[0]!r}; give each a name of its own.")
