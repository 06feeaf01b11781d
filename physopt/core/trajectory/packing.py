"""Packing a run into one compressed file, and checking what is stored."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .folder import MANIFEST, PACKED, clear_debris, is_live, locked, read_manifest, segments, temporary, write_manifest
from .guard import opened
from .read import (
    Checkpoint,
    Piece,
    load,
    load_checkpoint,
    newest_checkpoint,
    read_checkpoint,
    read_piece,
    read_pieces,
    read_whole,
    status_of,
    superseded,
)
from .schema import Column, UnreadableRunError, columns_from_json, stored_leaf
from .segment import CHECKPOINT_UNITS, COMMIT_UNITS, close, reserve, write_attributes, write_header, write_json, writing


@dataclasses.dataclass(frozen=True)
class Report:
    """What `verify` found: how many records in how many files, and in `faults` one line for each fault."""

    folder: Path
    status: str
    num_records: int
    num_files: int
    faults: list[str]

    @property
    def ok(self) -> bool:
        """Is every record as it was committed?"""
        return not self.faults


def verify(folder: str | Path) -> Report:
    """Check every record of a run, its newest checkpoint and its description against the checksums they were written with.

    **Raises:** `UnreadableRunError` for a damaged or foreign folder, `FileNotFoundError` if there is none.
    """
    folder = Path(folder)
    manifest, live = read_manifest(folder), is_live(folder)
    stack = read_pieces(folder, columns_from_json(manifest["columns"], str(folder / MANIFEST)), read_whole)
    kept = superseded(stack)
    faults = [
        f"{piece.path.name}: record {piece.commit[row, 0]} differs from what was committed" for piece in stack for row in piece.damaged()
    ]
    faults += [fault for piece in stack for fault in _faults_of_header(piece.path, manifest)]
    checkpoint, newest = load_checkpoint(folder), _newest_index(kept)
    # A live run may have moved on meanwhile; a checkpoint behind the records means that newer ones are damaged.
    if _index_of(checkpoint) < newest:
        faults.append(f"the checkpoint of record {newest} is damaged; a resumed run would continue after record {_index_of(checkpoint)}")
    return Report(folder, status_of(kept, live, manifest), newest + 1, len(stack), faults)


def pack(folder: str | Path) -> Path:
    """Put all committed records and the newest checkpoint of a run into one compressed file; returns its path.

    The segments are removed once the new file reads back equal. An interrupted run stays resumable.

    **Raises:** `UnreadableRunError` for a damaged or foreign folder, `BlockingIOError` if it is being written.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    with locked(folder):
        return pack_locked(folder, manifest, load(folder).summary)


def pack_locked(folder: Path, manifest: Mapping[str, Any], summary: Mapping[str, Any] | None) -> Path:
    """Do `pack` for a caller that holds the lock; a `summary` marks the run as finished."""
    clear_debris(folder)
    described = columns_from_json(manifest["columns"], str(folder / MANIFEST))
    stack, checkpoint = superseded(read_pieces(folder, described)), load_checkpoint(folder)
    if summary is None and _index_of(checkpoint) < _newest_index(stack):
        raise UnreadableRunError(f"{folder}: the newest checkpoint is damaged; resume the run, or read it as it is, before packing it.")
    path = folder / PACKED
    if segments(folder) or not path.exists():
        header = {name: manifest[name] for name in ("created", "versions", "spec", "asked", "leaves") if name in manifest}
        with writing(path) as file:
            write_header(file, header)
            merged = _write(file, stack, described, checkpoint, summary)
            close(file)
            _check(temporary(path), merged, checkpoint)
        for segment in segments(folder).values():  # oldest first: a kill in between leaves a run that still reads whole
            segment.unlink()
    if summary is not None:
        rest = {name: each for name, each in manifest.items() if name != "ended"}
        write_manifest(folder, {**rest, "status": "finished", "records": _newest_index(stack) + 1, "summary": dict(summary)})
    return path


def _faults_of_header(path: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Read what nothing else reads: the provenance beside the numbers, and the types of the checkpoint."""
    try:
        with opened(path) as file:
            file.json("header")
            _, dtypes = read_checkpoint(file, 0)
    except UnreadableRunError as error:
        return [str(error)]
    told = [leaf.get("dtype") for leaf in manifest["checkpoint"] if isinstance(leaf, dict)]
    return [] if [d.str for d in dtypes] in ([], told) else [f"{path.name}: the checkpoint has other types than {MANIFEST} says"]


def _write(
    file: h5py.File, stack: list[Piece], described: Mapping[str, Column], checkpoint: Checkpoint | None, summary: Mapping[str, Any] | None
) -> dict[str, np.ndarray]:
    merged = {"commit": np.concatenate([np.empty((0, 4), "<i8"), *(piece.commit for piece in stack)])}
    _compressed(file, "commit", merged["commit"], units=COMMIT_UNITS)
    group = file.create_group("columns", track_order=True)
    for name, column in described.items():
        merged[name] = np.concatenate([np.empty((0, *column.shape), column.stored), *(piece.columns[name] for piece in stack)])
        _compressed(group, name, merged[name], units=column.unit)
    slots = file.create_group("checkpoint")
    for i, leaf in enumerate(checkpoint.leaves if checkpoint is not None else ()):
        stored = stored_leaf(leaf)
        _compressed(slots, f"{i:04d}", np.stack([stored, stored]), units=CHECKPOINT_UNITS, dtype=leaf.dtype.newbyteorder("<").str)
    if summary is not None:
        write_json(file, "summary", summary)
    return merged


def _compressed(parent: h5py.Group, name: str, data: np.ndarray, **attributes: str) -> None:
    storage: dict[str, Any] = {"compression": "gzip", "shuffle": True, "fletcher32": True, "chunks": _chunks(data)} if data.size else {}
    reserve(parent.file, data.nbytes)
    write_attributes(parent.create_dataset(name, data=data, **storage), **attributes)


def _chunks(data: np.ndarray) -> tuple[int, ...]:
    """Return chunks of at most 128 KiB: larger ones of a constant would shrink so far that our own reader takes them for a bomb."""
    chunks = list(data.shape)
    for axis in range(data.ndim):
        rest = data.itemsize * math.prod(data.shape[axis + 1 :])
        chunks[axis] = max(1, min(data.shape[axis], 2**17 // rest))
        if rest <= 2**17:
            break
    return tuple(chunks)


def _check(path: Path, merged: Mapping[str, np.ndarray], checkpoint: Checkpoint | None) -> None:
    found = read_piece(path)
    same = all(stored.tobytes() == merged[name].tobytes() for name, stored in {"commit": found.commit, **found.columns}.items())
    if not same or _index_of(newest_checkpoint(path)) != _index_of(checkpoint):
        raise UnreadableRunError(f"{path} does not read back as it was written: the disk is failing. The segments were kept.")


def _index_of(checkpoint: Checkpoint | None) -> int:
    return -1 if checkpoint is None else checkpoint.index


def _newest_index(stack: list[Piece]) -> int:
    return stack[-1].first + len(stack[-1].commit) - 1 if stack else -1
