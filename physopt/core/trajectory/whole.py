"""The folder of a run in several parts: its `run.json` describes the whole run and how it ended, folders below hold the parts."""

import contextlib
import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from .folder import MANIFEST, is_live, locked, parts_of, read_manifest, write_manifest
from .read import Run
from .schema import RecordingStoppedWarning, software_versions


class Whole:
    """The writer of the `run.json` of the whole run; it locks the folder until it is closed."""

    def __init__(self, folder: Path, spec: Mapping[str, Any], asked: Mapping[str, Any]):
        self._folder = folder
        with contextlib.ExitStack() as resources:
            resources.enter_context(locked(folder))
            if (folder / MANIFEST).exists():
                self._manifest = {name: each for name, each in read_manifest(folder).items() if name != "ended"}
            else:
                created = datetime.now(UTC).isoformat(timespec="seconds")
                self._manifest = {"status": "open", "created": created, "versions": software_versions(), "spec": dict(spec)}
                self._manifest |= {"columns": {}, "checkpoint": [], "parts": True, "asked": dict(asked)}
            write_manifest(folder, self._manifest)
            self._resources = resources.pop_all()

    def end(self, finished: bool, summary: Mapping[str, Any]) -> None:
        """Record how the run ended."""
        state = {"status": "finished", "summary": dict(summary)} if finished else {"ended": dict(summary)}
        try:
            write_manifest(self._folder, {**self._manifest, **state})
        except OSError as error:
            warnings.warn(f"{self._folder} does not say how the run ended: {error}.", RecordingStoppedWarning, stacklevel=4)

    def close(self) -> None:
        """Release the lock. Idempotent."""
        self._resources.close()


def parts(folder: str | Path) -> list[Path]:
    """Return the run folders of the parts of a run, in their order; none for a run in one part.

    **Raises:** `UnreadableRunError` for a folder that is not a run.
    """
    folder = Path(folder)
    if not folder.is_dir() or ((folder / MANIFEST).exists() and not read_manifest(folder).get("parts")):
        return []
    return parts_of(folder)


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return the manifest of the whole run; it is short if the parts were recorded one by one."""
    return read_manifest(folder) if (folder / MANIFEST).exists() else {"status": "open", "created": "", "versions": {}, "spec": {}}


def joined(folder: Path, runs: Sequence[Run]) -> Run:
    """Return the records of stages as those of one run, one after the other.

    **Raises:** `ValueError` for parts that are not stages.
    """
    if not all(run.folder.name.startswith("stage-") and run.units == runs[0].units for run in runs):
        raise ValueError(f"{folder} holds {', '.join(run.folder.name for run in runs[:4])}: runs of their own. Name one of them.")
    columns = {name: np.concatenate([run.columns[name] for run in runs]) for name in runs[0].units}
    return dataclasses.replace(runs[-1], folder=folder, columns=columns, status=status_of_whole(folder, manifest_of(folder)))


def status_of_whole(folder: Path, manifest: Mapping[str, Any]) -> str:
    """Return the status of a run, as in `Run`, from its manifest; if its parts were recorded one by one, from the parts."""
    if manifest["status"] == "finished":
        return "finished"
    inside = parts_of(folder)
    if is_live(folder) or any(is_live(part) for part in inside):
        return "live"
    if inside and not (folder / MANIFEST).exists():
        states = {status_of_whole(part, read_manifest(part)) for part in inside}
        return states.pop() if len(states) == 1 else "interrupted"
    return "ended" if isinstance(manifest.get("ended"), dict) else "interrupted"
