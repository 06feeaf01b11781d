"""A folder of recorded solves, one file each, that any number of processes read and write at the same time."""

import shutil
import uuid
import warnings
from pathlib import Path

from .solve import Solve

FORMAT = ".solve.h5"
MOST = 20_000  # files that are read


class UnreadableSolveWarning(UserWarning):
    """A file in a folder of solves is damaged or foreign, and is left out."""


class Folder:
    """Recorded solves; the folder is made with the first.

    A file appears when it is complete. So a killed process loses the solve that it was writing, and nothing else. A file that cannot be
    read is left out with a warning.
    """

    def __init__(self, folder: str | Path):
        self.path = Path(folder)
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(f"{folder}: is a file. Name a folder for the solves, which is made if missing.")
        self._read: dict[str, Solve | None] = {}

    def add(self, solve: Solve) -> Path:
        """Write a solve into a file of its own, and return the file.

        **Raises:** `ValueError` for numbers that are not finite, `OSError` if it cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / f"{uuid.uuid4().hex}{FORMAT}"
        solve.write(file)
        self._read[file.name] = solve
        return file

    def solves(self, kind: str | None = None) -> list[Solve]:
        """Return the solves of one kind of task, or all, in the order in which they were written."""
        return [solve for _, solve in self.files(kind)]

    def files(self, kind: str | None = None) -> list[tuple[Path, Solve]]:
        """Return the same with the file of each."""
        found = [(path.stat().st_mtime_ns, path.name) for path in self._files()]
        for _, name in found:
            if name not in self._read:
                self._read[name] = self._one(self.path / name)
        solves = [(self.path / name, solve) for _, name in sorted(found) if (solve := self._read[name]) is not None]
        return [(path, solve) for path, solve in solves if kind is None or solve.task.kind == kind]

    def take(self, other: "Folder") -> int:
        """Copy the solves of another folder that this one does not hold yet, and return how many; each keeps its time.

        **Raises:** `OSError` if a file cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        held, taken = {_content(solve) for solve in self.solves()}, 0
        for path, solve in other.files():
            if _content(solve) in held:
                continue
            half = self.path / f".{uuid.uuid4().hex}"
            shutil.copy2(path, half)
            half.replace(self.path / f"{uuid.uuid4().hex}{FORMAT}")  # complete, or not there
            held.add(_content(solve))
            taken += 1
        return taken

    def _files(self) -> list[Path]:
        files = [path for path in self.path.glob(f"*{FORMAT}") if path.is_file() and not path.name.startswith(".")]
        if len(files) > MOST:
            raise ValueError(f"{self.path}: holds {len(files)} solves, and {MOST} are read at most. Move the older ones elsewhere.")
        return files

    def _one(self, path: Path) -> Solve | None:
        try:
            return Solve.read(path)
        except (ValueError, OSError) as error:  # of a damaged file HDF5 raises an OSError, too
            text = " ".join(str(error).split())[:300]
            warnings.warn(f"{path}: is left out ({text}).", UnreadableSolveWarning, stacklevel=4)
            return None


def _content(solve: Solve) -> tuple[str, bytes, bytes]:
    return solve.task.kind, solve.task.vector.tobytes(), solve.point.tobytes()
