"""Where a command writes: refused before the work is done, not after it."""

import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from physopt.core.recording import Recording

PICTURES = (".png", ".pdf", ".svg", ".jpg")
# What the numbers of a report depend on.
PACKAGES = ("physopt", "jax", "equinox", "numpy", "scipy", "pyscf", "h5py", "openorbitaloptimizer-pyscf")


def check_outputs(*files: Path | None, picture: Path | None = None) -> None:
    """Raise an `OSError` for a file, or a `ValueError` for a kind of picture, that could not be written when the work is done."""
    if picture is not None and picture.suffix.lower() not in PICTURES:
        raise ValueError(f"{picture}: pictures end in {', '.join(PICTURES)}. Name it {picture.with_suffix('.png').name}, say.")
    for file in (*files, picture):
        _check_writable(file)


def check_ending(file: Path | None, ending: str, what: str) -> None:
    """Raise a `ValueError` for a file whose name does not end as files of its kind do."""
    if file is not None and file.suffix.lower() != ending:
        raise ValueError(f"{file}: {what} end in {ending}. Name it {file.with_suffix(ending).name}, say.")


def _check_writable(file: Path | None) -> None:
    if file is None:
        return
    if not file.parent.is_dir():
        raise FileNotFoundError(f"{file}: there is no folder {file.parent}. Make it first, or write elsewhere.")
    if file.is_dir():
        raise IsADirectoryError(f"{file}: is a folder. Name a file in it.")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise PermissionError(f"{file}: may not be written. Write elsewhere.")


def recording(folder: Path | None, resume: bool, spec: Mapping[str, Any]) -> Recording | None:
    """Return what `--record` and `--resume` ask for; `None` if nothing is to be recorded."""
    if folder is None:
        if resume:
            raise ValueError("--resume continues a recorded run: name its folder with --record DIR.")
        return None
    return Recording(folder, spec=spec, resume=resume)


def command_line() -> str:
    """Return the command as it was typed."""
    return shlex.join(["physopt", *sys.argv[1:]])


def write_report(file: Path | None, records: Sequence[Mapping[str, Any]], **more: Any) -> None:
    """Write `{"command", "versions", "machine", "records"}` and whatever `more` there is, as strict JSON."""
    if file is None:
        return
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # optional peers may be absent
    machine = {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }
    report = {"command": command_line(), "versions": versions, "machine": machine, **more, "records": list(records)}
    file.write_text(json.dumps(report, indent=1, allow_nan=False, default=_number) + "\n")


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
