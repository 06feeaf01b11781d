"""The run folder as a directory: manifest, lock, and which files make up the run."""

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .schema import ENCODING_TYPE, ENCODING_VERSION, JSON_LIMIT, UnreadableRunError, check_encoding, from_json, to_json

try:
    import fcntl
except ModuleNotFoundError:  # Windows: reading works, recording says why it does not
    fcntl = None

MANIFEST = "run.json"
PACKED = "run.h5"
_SEGMENT = re.compile(r"seg-(\d{4,9})\.h5")
_DEBRIS = re.compile(r"\.(seg-\d{4,9}|run\.json|run\.h5)\.tmp")
_FIELDS = {"created": str, "status": str, "versions": dict, "spec": dict, "columns": dict, "checkpoint": list}


def segment_path(folder: Path, number: int) -> Path:
    """Return the file of the `number`-th process attempt."""
    return folder / f"seg-{number:04d}.h5"


def temporary(path: Path) -> Path:
    """Return the name that `path` has until it is complete."""
    return path.with_name(f".{path.stem if path.suffix == '.h5' and path.name != PACKED else path.name}.tmp")


def segments(folder: Path) -> dict[int, Path]:
    """Return the segments by number, oldest first."""
    found = {int(m[1]): folder / m[0] for m in (_SEGMENT.fullmatch(path.name) for path in folder.iterdir()) if m}
    return dict(sorted(found.items()))


def pieces(folder: Path) -> list[Path]:
    """Return the HDF5 files that make up the run, oldest first: what is packed, then the segments since."""
    # In this order: a run packed meanwhile has lost its segments only after its packed file was there.
    since, packed = list(segments(folder).values()), folder / PACKED
    return [packed, *since] if os.path.lexists(packed) else since


def clear_debris(folder: Path) -> None:
    """Remove files that a killed process left half-made. The caller holds the lock."""
    for path in folder.iterdir():
        if _DEBRIS.fullmatch(path.name):
            path.unlink()


def is_vacant(folder: Path) -> bool:
    """Say whether nothing is there yet: no folder, or an empty one."""
    return not os.path.lexists(folder) or (folder.is_dir() and all(_DEBRIS.fullmatch(path.name) for path in folder.iterdir()))


def require_regular(path: Path) -> None:
    """Refuse links, pipes and devices: a foreign folder must not lead the reader elsewhere or block it."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise UnreadableRunError(f"{path} is a link, pipe or folder, not a regular file; physopt follows none of them inside a run.")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the content of `run.json`."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; name the run folder that was given as `record`.")
    if not os.path.lexists(path):
        raise UnreadableRunError(f"{folder} holds no {MANIFEST}, so it is no run folder; name the folder that was given as `record`.")
    require_regular(path)
    with path.open("rb") as file:
        encoded = file.read(JSON_LIMIT + 1)
    if len(encoded) > JSON_LIMIT:
        raise UnreadableRunError(f"{path} is larger than {JSON_LIMIT} bytes; it was not written by physopt.")
    manifest = from_json(encoded, str(path))
    check_encoding(manifest.get("encoding-type"), manifest.get("encoding-version"), str(path))
    for field, kind in _FIELDS.items():
        if not isinstance(manifest.get(field), kind):
            raise UnreadableRunError(f"{path} lacks a valid {field!r}; it was damaged or not written by physopt.")
    return manifest


def refuse_occupied(folder: Path, resume: bool) -> None:
    """Raise `FileExistsError` for a folder that holds a run which may not be written to, or something else."""
    if is_vacant(folder):
        return
    if not (folder / MANIFEST).exists():
        raise FileExistsError(f"{folder} exists and is no run folder; record into a new or empty folder.")
    manifest = read_manifest(folder)
    if not pieces(folder):
        return
    if manifest["status"] == "finished":
        raise FileExistsError(f"{folder} holds a finished run; record into another folder.")
    if not resume:
        raise FileExistsError(
            f"{folder} already holds a run, and runs are never overwritten; continue it with resume=True (--resume), or record elsewhere."
        )


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Put `run.json` in place in one step that survives a power failure."""
    path = folder / MANIFEST
    encoded = to_json({"encoding-type": ENCODING_TYPE, "encoding-version": ENCODING_VERSION, **content})
    with temporary(path).open("wb") as file:
        file.write(encoded)
        file.flush()
        os.fsync(file.fileno())
    publish(path)


def publish(path: Path) -> None:
    """Give a complete file its name, and make the name durable."""
    temporary(path).rename(path)
    with _descriptor(path.parent) as descriptor:
        os.fsync(descriptor)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only writer of a folder; the lock is the kernel's, so a killed process leaves none behind.

    **Raises:** `BlockingIOError` if another process is writing there, `OSError` on a file system without locks.
    """
    if fcntl is None:
        raise OSError("Recording needs POSIX file locks, which this system lacks; run without `record`.")
    with _descriptor(folder) as descriptor:
        for _ in range(40):  # a reader that looks whether the run is live holds the lock for an instant
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.025)
        else:
            raise BlockingIOError(f"{folder} is being written by another process; wait for it, or record into another folder.")
        yield


def hold(descriptor: int) -> None:
    """Mark an open file as being written until it is closed or its process dies; see `is_live`."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_live(path: Path) -> bool:
    """Say whether some process is recording into the folder, or writing the file, now."""
    if fcntl is None:
        return False
    with _descriptor(path) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@contextlib.contextmanager
def _descriptor(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
