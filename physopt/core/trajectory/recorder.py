"""Recording a run: the only writer."""

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .asked import differences
from .folder import clear_debris, locked, pieces, read_manifest, refuse_occupied, segment_path, segments, write_manifest
from .packing import pack_locked
from .read import load_checkpoint
from .schema import Column, RecordingStoppedWarning, UnreadableRunError, check_names, software_versions, stored_leaf, to_json
from .segment import Segment


class Recorder:
    """Write a run into a folder, record by record; each survives `kill -9` once `append` has returned.

    **Arguments:**

    - `folder`: made if missing; one folder holds one run, and one process at a time writes it.
    - `columns`: the quantities of every record.
    - `checkpoint`: arrays of the types and shapes that every record's checkpoint will have; only the newest is kept.
    - `spec`: provenance; anything that JSON can hold.
    - `resume`: continue an interrupted run after its newest intact checkpoint; starts a new one if there is none.
    - `durability`: "process" survives the death of the process; "power" also syncs the disk after each record.
    - `asked`: what the run is asked for, as names and values that JSON can hold; stored, and compared by `compare`.
    - `leaves`: a name for each array of the checkpoint.

    **Raises:** `FileExistsError` if the folder holds a run and `resume` is false, a finished run, or something else;
    `BlockingIOError` if another process is writing there; `ValueError` if a resumed run has other columns or checkpoints.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        columns: Mapping[str, Column],
        checkpoint: Sequence[Any],
        spec: Mapping[str, Any],
        resume: bool,
        durability: Literal["process", "power"],
        asked: Mapping[str, Any] | None = None,
        leaves: Sequence[str] = (),
    ):
        check_names(columns)
        arrays = [np.asarray(leaf) for leaf in checkpoint]
        self._folder, self._columns = Path(folder), dict(columns)
        self._leaves = [{"dtype": leaf.dtype.newbyteorder("<").str, "shape": list(leaf.shape)} for leaf in arrays]
        self.failed, self._closed = False, False
        created, versions = datetime.now(UTC).isoformat(timespec="seconds"), software_versions()
        header = {"created": created, "versions": versions, "spec": dict(spec)}
        header |= {} if asked is None else {"asked": dict(asked), "leaves": list(leaves)}
        described = {name: column.as_json for name, column in columns.items()}
        to_json(header)  # a spec that JSON cannot say is refused before anything is written
        with contextlib.ExitStack() as resources:
            self._folder.mkdir(parents=True, exist_ok=True)
            resources.enter_context(locked(self._folder))
            refuse_occupied(self._folder, resume)
            clear_debris(self._folder)
            if not pieces(self._folder):  # a run that never got to its first file is not there
                write_manifest(self._folder, {"status": "open", **header, "columns": described, "checkpoint": self._leaves})
            self._manifest = read_manifest(self._folder)
            self.next_index = self._resumed_index(described)
            number = max(segments(self._folder), default=-1) + 1
            if self._manifest.pop("ended", None) is not None:
                write_manifest(self._folder, self._manifest)
            self._segment = Segment(segment_path(self._folder, number), header, columns, arrays, durability == "power")
            self._resources = resources.pop_all()

    def append(self, values: Mapping[str, Any], checkpoint: Sequence[Any]) -> int:
        """Commit one record and return its index.

        After a failed write (see `failed`) indices go on counting, but nothing is recorded.

        **Raises:** `ValueError` if names, types or shapes are not those declared at the start.
        """
        if self._closed:
            raise ValueError(f"The recorder of {self._folder} is closed; open a new one, with resume=True to continue this run.")
        record = {name: self._as_stored(name, values) for name in self._columns}
        if len(values) != len(record):
            raise ValueError(f"A record with {sorted(values)} was given to a run of {sorted(record)}; announce every column at the start.")
        leaves = [np.asarray(leaf) for leaf in checkpoint]
        given = [{"dtype": leaf.dtype.newbyteorder("<").str, "shape": list(leaf.shape)} for leaf in leaves]
        if given != self._leaves:
            raise ValueError(f"A checkpoint of {given} was given where {self._leaves} was announced; its types and shapes never change.")
        index = self.next_index
        if not self.failed:
            try:
                self._segment.append(index, record, [stored_leaf(leaf) for leaf in leaves])
            except OSError as error:
                self._stop_recording(error)
        self.next_index = index + 1
        return index

    def finish(self, summary: Mapping[str, Any]) -> None:
        """End the run: record how it ended and pack the folder into one compressed, verified file."""
        to_json(summary)
        if not self.failed:
            try:
                self._segment.close()
                pack_locked(self._folder, self._manifest, summary)
            except (OSError, UnreadableRunError) as error:
                self._stop_recording(error)
        self.close()

    def end(self, summary: Mapping[str, Any]) -> None:
        """Record how the run ended, and leave it open: with a larger budget it may be resumed."""
        if not self.failed:
            try:
                write_manifest(self._folder, {**self._manifest, "ended": dict(summary)})
            except OSError as error:
                self._stop_recording(error)
        self.close()

    def close(self) -> None:
        """Stop recording; without `finish` the run can be resumed. Idempotent."""
        if not self.failed:
            try:
                self._segment.close()
            except OSError as error:
                self._stop_recording(error)
        self._closed = True
        self._resources.close()

    def _resumed_index(self, described: Mapping[str, Any]) -> int:
        stored = {"columns": self._manifest["columns"], "checkpoint": self._manifest["checkpoint"]}
        for what, now in {"columns": dict(described), "checkpoint": self._leaves}.items():
            if stored[what] != now:
                raise ValueError(
                    f"{self._folder} was recorded with other {what} than this run has: it is another problem or rule "
                    f"({_first_difference(stored[what], now)}). Resume with the same ones, or record into another folder."
                )
        newest = load_checkpoint(self._folder)
        return 0 if newest is None else newest.index + 1

    def _as_stored(self, name: str, values: Mapping[str, Any]) -> np.ndarray:
        if name not in values:
            raise ValueError(f"A record lacks {name!r}; it was announced as a column, so every record needs it.")
        column = self._columns[name]
        stored = np.asarray(values[name]).astype(column.stored)
        if stored.shape != column.shape:
            raise ValueError(f"{name!r} was given with shape {stored.shape} but announced with {column.shape}; announce its real shape.")
        return stored

    def _stop_recording(self, error: Exception) -> None:
        self.failed = True
        with contextlib.suppress(OSError):  # the first error is the one to report
            self._segment.close()
        reason = " ".join(str(error).split())[:200]
        warnings.warn(
            f"Recording into {self._folder} stopped before record {self.next_index}: {reason}. What was committed is safe; free space and "
            "resume, or record elsewhere.",
            RecordingStoppedWarning,
            stacklevel=4,
        )


def _first_difference(stored: Any, now: Any) -> str:
    return next(iter(differences(stored, now)), "in their order")
