"""A folder that a solution is recorded in on its way, and from which a killed one goes on."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from physopt.core.recording import Recording
from physopt.core.trajectory import UnreadableRunError, read_arrays, software_versions, write_arrays
from physopt.core.trajectory.folder import locked
from physopt.pinn.answer import Piece
from physopt.pinn.problem import Problem
from physopt.pinn.space import Products

from .march import Course
from .packed import packed, unpacked
from .system import Guess, System
from .together import Search

KIND = "physopt-pinn-run"
FORMAT = ".pinn.h5"
SCHEMA = 1


class Record:
    """One file for each window that was solved, or for each attempt at all times together; the first says what the problem is.

    A file appears when it is complete, so a killed process loses the window that it was in, and nothing else.
    """

    def __init__(self, folder: Path, known: Course | Search | None, number: int) -> None:
        self._folder, self.known, self._number = folder, known, number

    def keep(self, state: Course | Search) -> None:
        """Write a state; of a course only its last piece, since the others are there."""
        pieces = list(state.pieces) if isinstance(state, Course) else []
        described, numbers = packed(state._replace(pieces=tuple(pieces[-1:])) if isinstance(state, Course) else state)
        header = {"schema": SCHEMA, "pieces": len(pieces), "state": described}
        self._number += 1
        write_arrays(_file(self._folder, self._number), KIND, header, {"numbers": numbers})


@contextmanager
def recorded(recording: Recording, problem: Problem, asked: dict[str, float]) -> Iterator[Record]:
    """Make the folder, or read what it holds of this very problem, and keep it locked.

    **Raises:** `FileExistsError` for a folder that holds something, unless it is to be resumed; `ValueError` for one that holds another
    problem; `BlockingIOError` while another process writes there.
    """
    folder, seen = Path(recording.folder), _seen(problem)
    asked = {**asked, **problem.parameters}
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
        yield Record(folder, *_newest(folder, problem))


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}{FORMAT}"


def _seen(problem: Problem) -> np.ndarray:
    """Return the residuals and a slope of them at some fields: they tell whether equation, conditions, places and readings are the same."""
    space, rng = Products.of(problem, problem.time), np.random.default_rng(0)
    guess = Guess(0.1 * rng.standard_normal((space.size, len(problem.fields))), np.array(list(problem.unknowns.values())))
    system = System(problem, space, problem.time)
    with np.errstate(all="ignore"):
        return system.jacobian(guess) @ np.ones(guess.coefficients.size + len(guess.unknowns)) + system.residual(guess)


def _refuse_other(folder: Path, asked: dict[str, float], seen: np.ndarray) -> None:
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


def _newest(folder: Path, problem: Problem) -> tuple[Course | Search | None, int]:
    """Return the newest state that can be read with all before it, and its number."""
    state, pieces, number = None, [], 0
    for path in sorted(folder.glob(f"*{FORMAT}"))[1:]:
        try:
            if path != _file(folder, number + 1):
                raise ValueError("the one before it is missing")
            header, arrays = read_arrays(path, KIND)
            found = unpacked(header.get("state"), arrays["numbers"])
            if not isinstance(found, Course if problem.marches else Search):
                raise ValueError("it is no state of a solution")
            if isinstance(found, Course):
                pieces = [*pieces, *found.pieces] if header["pieces"] > 1 else list(found.pieces)
                if len(pieces) != header["pieces"] or not all(isinstance(piece, Piece) for piece in pieces):
                    raise ValueError("a window is missing")
                found = found._replace(pieces=tuple(pieces))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OSError) as error:
            text = " ".join(str(error).split())[:200]
            warnings.warn(f"{path} cannot be read ({text}); the solution goes on from the one before.", UserWarning, stacklevel=5)
            break
        state, number = found, number + 1
    return state, number
