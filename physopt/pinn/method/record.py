"""A folder that a solution, or the training of a network, is recorded in on its way, and from which a killed one goes on."""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from jaxtyping import Float

from physopt.core.recording import Recording
from physopt.core.trajectory import UnreadableRunError, read_arrays, software_versions, write_arrays
from physopt.core.trajectory.folder import locked
from physopt.pinn.answer import Answer, Piece
from physopt.pinn.problem import Problem
from physopt.pinn.space import Products

from .march import Course
from .packed import packed, unpacked
from .progress import Progress
from .system import Guess, System
from .together import Search

KIND = "physopt-pinn-run"
FORMAT = ".pinn.h5"
SCHEMA = 1
EVERY = 10.0  # seconds of a training may be lost

Known = TypeVar("Known", bound=Course | Search | Progress)


class Record(Generic[Known]):
    """One file for each window that was solved, each attempt at all times together, or the progress of a training now and then.

    The first file says what the problem is. A file appears when it is complete, so a killed process loses what it did since the last one,
    and nothing else.
    """

    def __init__(self, folder: Path, known: Known | None, number: int) -> None:
        self._folder, self.known, self._number, self._last = folder, known, number, time.monotonic()

    def keep(self, state: Known) -> None:
        """Write a state; of a course only its last piece, since the others are there."""
        pieces = list(state.pieces) if isinstance(state, Course) else []
        described, numbers = packed(state._replace(pieces=tuple(pieces[-1:])) if isinstance(state, Course) else state)
        header = {"schema": SCHEMA, "pieces": len(pieces), "state": described}
        self._number += 1
        write_arrays(_file(self._folder, self._number), KIND, header, {"numbers": numbers})
        self._last = time.monotonic()

    def keep_late(self, state: Known) -> None:
        """Write a state if the last one was written more than ten seconds ago."""
        if time.monotonic() - self._last > EVERY:
            self.keep(state)


def alike(recording: Recording | None, near: Sequence[Answer], library: str | Path | None) -> Recording | None:
    """Return the recording.

    **Raises:** `ValueError` if there is one, and neighbours to begin from, which may have changed when it is resumed.
    """
    if recording is not None and (near or library is not None):
        raise ValueError("A recorded run has to begin alike when it is resumed, and neighbours may change: leave near= and library= out.")
    return recording


@contextmanager
def recorded(
    recording: Recording, kind: type[Known], asked: Mapping[str, Any], problem: Problem, seen: Float[np.ndarray, " n"]
) -> Iterator[Record[Known]]:
    """Make the folder, or read what it holds of this very run, and keep it locked.

    **Arguments:** `kind`: of the states. `asked`: what a resumed run must have in common, with the parameters of the problem. `seen`:
    numbers that tell whether the rest of the problem is the same, compared to 1e-9.

    **Raises:** `FileExistsError` for a folder that holds something, unless it is to be resumed; `ValueError` for one that holds another
    run; `BlockingIOError` while another process writes there.
    """
    folder = Path(recording.folder)
    asked = {**asked, **{f"parameter {name}" if name in asked else name: value for name, value in problem.parameters.items()}}
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: is a file. Name a folder for the record, which is made if missing.")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        first = _file(folder, 0)
        if not first.exists():
            if any(path.name[0] != "." for path in folder.iterdir()):
                raise FileExistsError(f"{folder} holds something else; record into a new or empty folder.")
            header = {"schema": SCHEMA, "asked": asked, "spec": dict(recording.spec), "versions": software_versions()}
            write_arrays(first, KIND, header, {"seen": seen})
        elif not recording.resume:
            raise FileExistsError(f"{folder} already holds a run; continue it with resume=True (--resume), or record elsewhere.")
        else:
            _refuse_other(folder, asked, seen)
        yield Record(folder, *_newest(folder, kind))


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}{FORMAT}"


def fingerprint(problem: Problem) -> Float[np.ndarray, " n"]:
    """Return the residuals and a slope of them at some fields: they tell whether equation, conditions, places and readings are the same."""
    space, rng = Products.of(problem, problem.time), np.random.default_rng(0)
    guess = Guess(0.1 * rng.standard_normal((space.size, len(problem.fields))), np.array(list(problem.unknowns.values())))
    system = System(problem, space, problem.time)
    with np.errstate(all="ignore"):
        return system.jacobian(guess) @ np.ones(guess.coefficients.size + len(guess.unknowns)) + system.residual(guess)


def _refuse_other(folder: Path, asked: Mapping[str, Any], seen: Float[np.ndarray, " n"]) -> None:
    header, arrays = read_arrays(_file(folder, 0), KIND)
    before: Any = header.get("asked")
    if header.get("schema") != SCHEMA or not isinstance(before, dict) or "seen" not in arrays:
        raise UnreadableRunError(f"{folder}: has schema {header.get('schema')!r:.20}, this physopt reads {SCHEMA}.")
    other = [
        f"{name} was {before.get(name)}, and is {asked.get(name)}" for name in {**before, **asked} if before.get(name) != asked.get(name)
    ]
    if not other and (arrays["seen"].shape != seen.shape or not np.allclose(arrays["seen"], seen, rtol=1e-9, atol=1e-12, equal_nan=True)):
        other = ["the equation, a condition or the readings were others"]
    if other:
        raise ValueError(f"{folder} holds the run of another problem: {'; '.join(other)}. Resume with the same one, or record elsewhere.")


def _newest(folder: Path, kind: type[Known]) -> tuple[Known | None, int]:
    """Return the newest state that can be read, and its number; a course needs all files before it."""
    files = sorted(folder.glob(f"*{FORMAT}"))[1:]
    if kind is Course:
        return _course(folder, files)  # pyright: ignore[reportReturnType]
    for path in reversed(files):
        with _warned(path):
            _, found = _read(path, kind)
            return found, int(path.name.removesuffix(FORMAT))
    return None, 0


def _course(folder: Path, files: list[Path]) -> tuple[Course | None, int]:
    """Return the course that files tell of, each of its last piece, and their number, up to the first that cannot be read."""
    state, pieces, number = None, [], 0
    for path in files:
        with _warned(path):
            if path != _file(folder, number + 1):
                raise ValueError("the one before it is missing")
            count, found = _read(path, Course)
            pieces = [*pieces, *found.pieces] if count > 1 else list(found.pieces)
            if len(pieces) != count or not all(isinstance(piece, Piece) for piece in pieces):
                raise ValueError("a window is missing")
            state, number = found._replace(pieces=tuple(pieces)), number + 1
        if path != _file(folder, number):
            break
    return state, number


def _read(path: Path, kind: type[Known]) -> tuple[int, Known]:
    """Return how many pieces a solution has, and the state that a file holds."""
    header, arrays = read_arrays(path, KIND)
    found = unpacked(header.get("state"), arrays["numbers"])
    if not isinstance(found, kind):
        raise ValueError(f"it is no {kind.__name__}")
    return header["pieces"], found


@contextmanager
def _warned(path: Path) -> Iterator[None]:
    """Make a warning of whatever says that a file cannot be read."""
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OSError) as error:
        text = " ".join(str(error).split())[:200]
        warnings.warn(f"{path} cannot be read ({text}); the solution goes on from the one before.", UserWarning, stacklevel=8)
