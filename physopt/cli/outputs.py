"""Checks of the places that a command writes to, before the work begins."""

import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from cyclopts import Parameter

from physopt.core.extras import need

if TYPE_CHECKING:
    from physopt.core.recording import Recording

PICTURES = (".png", ".pdf", ".svg", ".jpg")
# The optional packages that write files of these endings.
WRITERS = {".gif": ("matplotlib",), ".stl": ("trimesh", "skimage"), ".vti": ("pyevtk",), **dict.fromkeys(PICTURES, ("matplotlib",))}
# What the numbers of a report depend on.
PACKAGES = ("physopt", "jax", "equinox", "numpy", "scipy", "pyscf", "h5py", "openorbitaloptimizer-pyscf")


@Parameter(name="*")
@dataclass(frozen=True)
class Report:
    """The file for the result, which every command has."""

    json_file: Annotated[Path | None, Parameter(name="--json", help="File to write the result in.")] = None

    @property
    def picture(self) -> Path | None:
        """The picture, where a command draws one."""
        return None

    def check(self, *files: Path | None, read: Sequence[Path] = ()) -> None:
        """Raise an error now for a place that could not be written when the work is done; `files` are the command's own."""
        check_outputs(self.json_file, *files, picture=self.picture, read=read)

    def write(self, records: Sequence[Mapping[str, Any]], **more: Any) -> None:
        """Write the result, if it was asked for."""
        write_report(self.json_file, records, **more)


@Parameter(name="*")
@dataclass(frozen=True)
class Drawn(Report):
    """The same, and a picture."""

    plot: Annotated[Path | None, Parameter(help="Picture to draw: .png, .pdf, .svg or .jpg.")] = None

    @property
    def picture(self) -> Path | None:
        """The picture."""
        return self.plot


@Parameter(name="*")
@dataclass(frozen=True)
class Recorded(Report):
    """The file for the result, and a folder for the record."""

    record: Annotated[Path | None, Parameter(help="Folder to record the run in.")] = None
    resume: Annotated[bool, Parameter(help="Continue the run in that folder, if it was killed.")] = False

    def check(self, *files: Path | None, read: Sequence[Path] = ()) -> None:
        """See `Report.check`; `--resume` needs `--record`."""
        super().check(*files, read=read)
        if self.record is None and self.resume:
            raise ValueError("--resume continues a recorded run: name its folder with --record DIR.")

    def recording(self, spec: Mapping[str, Any], asked: Mapping[str, Any], part: str | None = None) -> "Recording | None":
        """Return the recording that was asked for, of a part of the run if named; a resumed run must agree with `asked`."""
        if self.record is None:
            return None
        from physopt.core.recording import Recording

        return Recording(self.record if part is None else self.record / part, spec=spec, resume=self.resume, asked=asked)


@Parameter(name="*")
@dataclass(frozen=True)
class Outputs(Recorded, Drawn):
    """The file for the result, a folder for the record, and a picture."""


def check_outputs(*files: Path | None, picture: Path | None = None, read: Sequence[Path] = ()) -> None:
    """Raise an `OSError` for a file, or a `ValueError` for a kind of picture, that could not be written when the work is done.

    No two of them may be the same file, and none may be a file in `read`. `MissingExtraError` where a package is missing that writes them.
    """
    if picture is not None and picture.suffix.lower() not in PICTURES:
        raise ValueError(f"{picture}: pictures end in {', '.join(PICTURES)}. Name it {picture.with_suffix('.png').name}, say.")
    # Not Path.resolve, which raises where a link leads to itself.
    taken = {os.path.realpath(file): "what the command reads" for file in read}
    for file in filter(None, (*files, picture)):
        _check_writable(file)
        need(*WRITERS.get(file.suffix.lower(), ()))
        if file.exists() and not file.is_file():
            continue  # a device, such as /dev/null
        place = os.path.realpath(file)
        if place in taken:
            raise ValueError(f"{file}: would overwrite {taken[place]}. Give it a name of its own.")
        taken[place] = "another output"


def check_folder(folder: Path | None, what: str) -> None:
    """Raise an `OSError` for a folder that could not be made or written into when the work is done."""
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: is a file. Name a folder, to write {what} into.")
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"{folder}: there is no folder {folder.parent}. Make it first, or write elsewhere.")
    if not os.access(folder if folder.exists() else folder.parent, os.W_OK):
        raise PermissionError(f"{folder}: may not be written into. Write elsewhere.")


def check_ending(file: Path | None, ending: str, what: str) -> None:
    """Raise a `ValueError` for a file name whose ending is wrong for its kind."""
    if file is not None and file.suffix.lower() != ending:
        raise ValueError(f"{file}: {what} end in {ending}. Name it {file.with_suffix(ending).name}, say.")


def _check_writable(file: Path) -> None:
    if not file.parent.is_dir():
        raise FileNotFoundError(f"{file}: there is no folder {file.parent}. Make it first, or write elsewhere.")
    if file.is_dir():
        raise IsADirectoryError(f"{file}: is a folder. Name a file in it.")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise PermissionError(f"{file}: may not be written. Write elsewhere.")


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
    report = _finite({"command": command_line(), "versions": versions, "machine": machine, **more, "records": list(records)})
    file.write_text(json.dumps(report, indent=1, allow_nan=False, default=_number) + "\n")


def _finite(content: Any) -> Any:
    """Return nested lists and tables with null for what is not finite: a calculation that failed is reported, too."""
    if isinstance(content, Mapping):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float | np.floating) and not np.isfinite(content) else content


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
