"""Reading a run back: live, killed, interrupted or packed; only what was committed."""

import contextlib
import dataclasses
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .folder import MANIFEST, PACKED, is_live, is_vacant, pieces, read_manifest
from .guard import GuardedFile, opened
from .schema import Column, UnreadableRunError, checkpoint_crc, columns_from_json, restored_leaf

_DTYPE = re.compile(r"[<|](b1|[iu][1248]|f[248]|c8|c16)")


@dataclasses.dataclass(frozen=True)
class Run:
    """A recorded run.

    - `columns`: one array per quantity, a row per record, in the unit that `units` names.
    - `spec`: the provenance given when it began. `summary`: how it ended; `None` unless `status` is "finished" or "ended".
    - `status`: "live" (some process is recording now), "interrupted" (killed or closed early), "ended" (out of budget or patience) or
      "finished"; interrupted and ended ones can be resumed.
    - `created`: when it began, ISO 8601, UTC. `versions`: of the software that began it.
    - `asked`: what the run was asked for; a resumed one must be asked for the same. `leaves`: names of the arrays of its checkpoint.
    """

    folder: Path
    columns: dict[str, np.ndarray]
    units: dict[str, str]
    spec: dict[str, Any]
    summary: dict[str, Any] | None
    status: str
    created: str
    versions: dict[str, str]
    asked: dict[str, Any] = dataclasses.field(default_factory=dict)
    leaves: list[str] = dataclasses.field(default_factory=list)

    @property
    def num_records(self) -> int:
        """The number of committed records."""
        return len(next(iter(self.columns.values()), ()))


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The arrays stored with record `index`, to resume from."""

    index: int
    leaves: list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Piece:
    """The committed records of one file: `commit[i]` is (index, CRC of columns, CRC of checkpoint, nanoseconds)."""

    path: Path
    commit: np.ndarray
    columns: dict[str, np.ndarray]
    units: dict[str, str]
    summary: dict[str, Any] | None

    @property
    def first(self) -> int:
        """Index of the first record."""
        return int(self.commit[0, 0]) if len(self.commit) else 0

    def cut(self, count: int) -> "Piece":
        """Return the first `count` records."""
        columns = {name: column[:count] for name, column in self.columns.items()}
        return dataclasses.replace(self, commit=self.commit[:count], columns=columns)

    def damaged(self) -> list[int]:
        """Return the rows whose columns no longer have the checksum they were committed with."""
        stamps = np.ascontiguousarray(self.commit[:, [0, 3]])
        parts = [_bytes_of_rows(stamps), *(_bytes_of_rows(self.columns[name]) for name in sorted(self.columns))]
        return [row for row, crc in enumerate(self.commit[:, 1].tolist()) if _crc_of_row(parts, row) != crc]


def load(folder: str | Path) -> Run:
    """Read the committed records of a run folder, across all its process attempts; works while it is written.

    Every record is compared with the checksum that it was committed with.

    **Raises:** `UnreadableRunError` for a damaged or foreign folder, `FileNotFoundError` if there is none.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    live = is_live(folder)
    described = columns_from_json(manifest["columns"], str(folder / MANIFEST))
    stack = superseded(read_pieces(folder, described))
    empty = {name: np.empty((0, *column.shape), column.stored) for name, column in described.items()}
    columns = {name: np.concatenate([p.columns[name] for p in stack]) if stack else empty[name] for name in described}
    units = {name: column.unit for name, column in described.items()}
    status = status_of(stack, live, manifest)
    summary = {"finished": stack[-1].summary if stack else None, "ended": manifest.get("ended")}.get(status)
    told = {name: manifest[name] for name in ("spec", "created", "versions")}
    return Run(folder, columns, units, summary=summary, status=status, **told, **_since_1_1(manifest))


def _since_1_1(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return what runs have said since schema 1.1, if it is of the right kind."""
    kinds = {"asked": dict, "leaves": list}
    return {name: manifest[name] for name, kind in kinds.items() if isinstance(manifest.get(name), kind)}


def status_of(stack: list[Piece], live: bool, manifest: dict[str, Any]) -> str:
    """Return the status of a run: see `Run`."""
    ended = "ended" if isinstance(manifest.get("ended"), dict) else "interrupted"
    return "finished" if stack and stack[-1].summary is not None else "live" if live else ended


def load_checkpoint(folder: str | Path) -> Checkpoint | None:
    """Return the newest committed checkpoint of a run folder; `None` if the folder is missing, empty or has no record yet.

    A checkpoint damaged by a power failure is recognized by its checksum and the one before it is returned.

    **Raises:** `UnreadableRunError` for a damaged or foreign folder.
    """
    folder = Path(folder)
    if is_vacant(folder):
        return None
    read_manifest(folder)
    return _while_moving(folder, lambda paths: next((c for c in map(newest_checkpoint, reversed(paths)) if c is not None), None))


def newest_checkpoint(path: Path) -> Checkpoint | None:
    """Return the newest intact checkpoint of one file; of a live one, at least as new as the newest record at the call."""
    found = None
    for _ in range(50):  # a live writer may overwrite both slots while they are read
        live = is_live(path)
        with opened(path) as file:
            promised = _read_commit(file)[-1:, 0].max(initial=-1)
        if promised < 0:
            return None
        with opened(path) as file:
            slots = [read_checkpoint(file, slot) for slot in range(2)]
            # Read after the slots: a fast writer has moved on, but the row that vouches for what was read is there.
            found = _vouched_for(_read_commit(file), slots)
        if not live or (found is not None and found.index >= promised):
            break
    return found


def _vouched_for(commit: np.ndarray, slots: list[tuple[list[np.ndarray], list[np.dtype]]]) -> Checkpoint | None:
    for index, _, crc, _ in commit[:-17:-1].tolist():
        stored, dtypes = slots[index % 2]
        if checkpoint_crc(index, stored) == crc:
            return Checkpoint(index, [restored_leaf(s, d) for s, d in zip(stored, dtypes, strict=True)])
    return None


def read_pieces(folder: Path, described: dict[str, Column], read: Callable[[Path], Piece] | None = None) -> list[Piece]:
    """Read all files of a run that hold records, oldest first, which all have the columns that the manifest describes."""
    found = _while_moving(folder, lambda paths: [p for p in map(read or read_piece, paths) if len(p.commit) or p.summary is not None])
    layout = {name: (column.unit, column.stored, column.shape) for name, column in described.items()}
    for piece in found:
        if {name: (piece.units[name], column.dtype, column.shape[1:]) for name, column in piece.columns.items()} != layout:
            raise UnreadableRunError(f"{piece.path} holds other columns or units than {MANIFEST} says: files of two runs were mixed.")
    return found


def read_piece(path: Path) -> Piece:
    """Read the committed records of one file, without a newest one that is still being written; all others must be intact."""
    piece = read_whole(path)
    count, damaged = len(piece.commit), piece.damaged()
    if count and (count - 1 in damaged or piece.commit[-1, 0] != piece.first + count - 1):
        piece, damaged = piece.cut(count - 1), [row for row in damaged if row < count - 1]
    if damaged:
        raise UnreadableRunError(
            f"{path}: record {piece.commit[damaged[0], 0]} differs from what was committed, one of {len(damaged)}: the file was damaged "
            "(`physopt runs verify` lists them). Its best point can still be exported; record into another folder."
        )
    return piece


def read_whole(path: Path) -> Piece:
    """Read all records that one file declares, for `verify` to check."""
    with opened(path) as file:
        names = file.names("columns")
        # Before the columns: whatever it vouches for is then already in the file.
        commit = _read_commit(file)
        columns = {name: file.rows(f"columns/{name}", len(commit)) for name in names}
        units = {name: file.text(f"columns/{name}", "units") for name in names}
        summary = file.json("summary") if "summary" in file.names("/") else None
        return Piece(path, commit, columns, units, summary)


def superseded(stack: list[Piece]) -> list[Piece]:
    """Drop rows that a later attempt recorded again, so that indices run from 0 without a gap.

    **Raises:** `UnreadableRunError` if records are missing in between.
    """
    kept: list[Piece] = []
    for piece in stack:
        while kept and kept[-1].first >= piece.first:
            kept.pop()
        if kept:
            last = kept[-1]
            kept[-1] = last.cut(min(len(last.commit), piece.first - last.first))
        expected = kept[-1].first + len(kept[-1].commit) if kept else 0
        if piece.first != expected:
            raise UnreadableRunError(
                f"{piece.path} begins with record {piece.first}, not {expected}: an earlier file of the run is missing."
            )
        kept.append(piece)
    return kept


def read_checkpoint(file: GuardedFile, index: int) -> tuple[list[np.ndarray], list[np.dtype]]:
    """Return the leaves in the slot of record `index` as stored, and the types they had."""
    names = sorted(file.names("checkpoint"))
    dtypes = [file.text(f"checkpoint/{name}", "dtype") for name in names]
    if not all(map(_DTYPE.fullmatch, dtypes)):
        raise file.refusal("checkpoint", "has leaves of an unknown type")
    return [file.row(f"checkpoint/{name}", index % 2) for name in names], [np.dtype(d) for d in dtypes]


def _while_moving(folder: Path, read: Callable[[list[Path]], Any]) -> Any:
    """Call `read` with the files of a run; again if the run was packed meanwhile, so that its segments are gone."""
    for _ in range(5):
        with contextlib.suppress(FileNotFoundError):
            return read(_relevant(folder))
    raise UnreadableRunError(f"{folder}: its files vanish while they are read; wait until whatever moves them is done.")


def _relevant(folder: Path) -> list[Path]:
    """Return the files to read: a finished run is whole in its packed file, segments beside it escaped their removal."""
    paths = pieces(folder)
    if paths and paths[0].name == PACKED:
        with opened(paths[0]) as file:
            return paths[:1] if "summary" in file.names("/") else paths
    return paths


def _bytes_of_rows(column: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(column).reshape(len(column), -1).view(np.uint8) if len(column) else np.empty((0, 0), np.uint8)


def _crc_of_row(parts: list[np.ndarray], row: int) -> int:
    crc = 0
    for part in parts:
        crc = zlib.crc32(part[row].data, crc)
    return crc


def _read_commit(file: GuardedFile) -> np.ndarray:
    commit = file.rows("commit")
    if commit.ndim != 2 or commit.shape[1] != 4 or commit.dtype != np.dtype("<i8"):
        raise file.refusal("commit", f"has shape {commit.shape} and type {commit.dtype}, not (n, 4) 64-bit integers")
    indices = commit[:, 0]
    # The newest row is judged by its checksum.
    if len(indices) and (indices[0] < 0 or not np.array_equal(indices[:-1], np.arange(indices[0], indices[0] + len(indices) - 1))):
        raise file.refusal("commit", "has record indices that do not follow each other")
    return commit
