"""The run folder as a directory: manifest, lock, and which files make up the run."""

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .asked import refuse_other
from .schema import ENCODING_TYPE, ENCODING_VERSION, JSON_LIMIT, UnreadableRunError, check_encoding, checksum, from_json, to_json

try:
    import fcntl
except ModuleNotFoundError:  # Windows: reading works, recording says why it does not
    fcntl = None

MANIFEST = "run.json"
PACKED = "run.h5"
_SEGMENT = re.compile(r"seg-(\d{4,9})\.h5")
_PART = re.compile(r"(stage|seed)-(\d{1,6})")
_DEBRIS = re.compile(r"\.(seg-\d{4,9}|run\.json|run\.h5)\.tmp")
HEADROOM = 256 * 1024  # bytes that a run needs at least
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # what a full disk, a quota and a limit say
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
    """Return the HDF5 files that make up the run, oldest first: the packed file, then the later segments."""
    # In this order: a run packed meanwhile has lost its segments only after its packed file was there.
    since, packed = list(segments(folder).values()), folder / PACKED
    return [packed, *since] if os.path.lexists(packed) else since


def parts_of(folder: Path) -> list[Path]:
    """Return the run folders of the parts of a run, in their order."""
    found = [(m[1], int(m[2]), path) for path in folder.iterdir() if (m := _PART.fullmatch(path.name)) and (path / MANIFEST).exists()]
    return [path for _, _, path in sorted(found)]


def clear_debris(folder: Path) -> None:
    """Remove incomplete files of a killed process. The caller holds the lock."""
    for path in folder.iterdir():
        if _DEBRIS.fullmatch(path.name):
            path.unlink()


def is_vacant(folder: Path) -> bool:
    """Say whether the folder is missing or empty."""
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
    # Since schema 1.1 a checksum vouches for the rest. One flipped bit cannot take it away and leave the version that has none.
    since = "checksum" in manifest or manifest["encoding-version"] != "1.0"
    if since and manifest.pop("checksum", None) != checksum(manifest):
        raise UnreadableRunError(f"{path} differs from what was written, by its checksum; it was damaged or edited.")
    return manifest


def compare(folder: Path, asked: Mapping[str, Any]) -> None:
    """Raise `ValueError` if the folder holds a run that was asked for something else. See `refuse_other`."""
    if not is_vacant(folder) and (folder / MANIFEST).exists():
        manifest = read_manifest(folder)
        if pieces(folder) or manifest.get("parts"):
            refuse_other(folder, manifest, asked)


def refuse_occupied(folder: Path, resume: bool, *, parts: bool = False) -> None:
    """Raise `FileExistsError` for a folder that holds a run that may not be written to, or something else.

    `parts`: is this a run in several parts, each with a folder of its own in this one?
    """
    if is_vacant(folder):
        return
    if not (folder / MANIFEST).exists() and parts and parts_of(folder) and resume:
        return  # begun before the whole had a file of its own
    if not (folder / MANIFEST).exists():
        raise FileExistsError(f"{folder} exists and is no run folder; record into a new or empty folder.")
    manifest = read_manifest(folder)
    if not pieces(folder) and not manifest.get("parts"):
        return
    if manifest["status"] == "finished":
        raise FileExistsError(f"{folder} holds a finished run; record into another folder.")
    if not resume:
        raise FileExistsError(
            f"{folder} already holds a run, and runs are never overwritten; continue it with resume=True (--resume), or record elsewhere."
        )
    if bool(manifest.get("parts")) != parts:
        kinds = ("a run in one piece", "a run in several parts")
        raise FileExistsError(f"{folder} holds {kinds[not parts]}, this is {kinds[parts]}: another method. Record into another folder.")


def try_folder(folder: Path) -> None:
    """Make the folder of a run and test before the work begins that it can be written to, as much as a run needs at least.

    **Raises:** `OSError` if that fails, with an `errno` of `FULL` if only the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        trial = temporary(folder / MANIFEST)
        try:
            with trial.open("wb") as file:
                file.write(bytes(HEADROOM))
        finally:
            trial.unlink(missing_ok=True)


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write `run.json` atomically, so that it survives a power failure."""
    path = folder / MANIFEST
    rest = from_json(to_json({**content, "encoding-type": ENCODING_TYPE, "encoding-version": ENCODING_VERSION}), MANIFEST)
    encoded = to_json({**rest, "checksum": checksum(rest)})
    with temporary(path).open("wb") as file:
        file.write(encoded)
        file.flush()
        os.fsync(file.fileno())
    publish(path)


def publish(path: Path) -> None:
    """Rename a complete file to its final name, and sync the name to disk."""
    temporary(path).rename(path)
    with _descriptor(path.parent) as descriptor:
        os.fsync(descriptor)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder for one writer; the kernel holds the lock, so a killed process leaves none behind.

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
    """Say whether a process is now recording into the folder, or writing the file."""
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
