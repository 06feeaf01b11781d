"""`physopt runs`: list, show, plot, verify, pack and export recorded runs. Run folders are foreign files: a child process reads them."""

import json
import os
import re
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from physopt.core.monitor import Monitor
from physopt.core.trajectory import Run, UnreadableRunError
from physopt.core.trajectory.folder import MANIFEST, parts_of, read_manifest
from physopt.core.trajectory.quarantine import load_isolated, pack_isolated, verify_isolated
from physopt.core.trajectory.whole import joined, manifest_of, parts, status_of_whole
from physopt.plot.runs import plot_run

from .outputs import check_outputs

app = cyclopts.App(name="runs", help="List, show, plot, verify, pack and export recorded runs.")


@app.command
def ls(folder: Path = Path(), /) -> None:
    """List the runs in a folder, or the parts of a run.

    Parameters
    ----------
    folder
        The folder that holds run folders.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; name one that holds run folders.")
    table = Table("run", "status", "records", "created (UTC)", "outcome", box=None, pad_edge=False, header_style="bold")
    entries = sorted(folder.iterdir(), key=lambda entry: [int(p) if p.isdecimal() else p for p in re.split(r"([0-9]+)", entry.name)])
    found = [(entry, summary) for entry in entries if (summary := _summary(entry)) is not None]
    for entry, summary in found:
        table.add_row(*map(_plain, (entry.name, *summary)))
    if found:
        Console().print(table)
    else:
        _say(f"{folder} holds no run folders yet")


@app.command
def show(folder: Path, /, *, rows: int = 10) -> None:
    """Show what a run is, its status, how it went, and its last records; for a run in parts, such as stages, the result of each part.

    Parameters
    ----------
    folder
        The run folder: the one given to --record, or a part in it.
    rows
        How many of the last records to show.
    """
    if rows < 0:
        raise ValueError(f"--rows {rows}: the number of records to show is 0 or more.")
    console = Console()
    if found := parts(folder):
        runs = [load_isolated(part) for part in found]
        facts, table = _facts_of_whole(folder, runs), _parts_table(runs)
    else:
        facts, table = _facts(run := load_isolated(folder)), _last_records(run, rows)
    listed = Table(box=None, show_header=False, pad_edge=False)
    for name, content in facts.items():
        listed.add_row(Text(name, style="bold"), _plain(content))
    console.print(listed)
    console.print(table)


@app.command
def plot(folder: Path, /, *, out: Path | None = None) -> None:
    """Draw the values of a run; for a run in stages, those of all stages, one after the other.

    Parameters
    ----------
    folder
        The run folder: the one given to --record, or a part in it.
    out
        The picture to write: PNG, PDF or SVG. By default, NAME-OF-THE-RUN.png in the working directory.
    """
    target = Path(f"{Path(os.path.realpath(folder)).name}.png") if out is None else out
    check_outputs(picture=target)
    found = parts(folder)
    plot_run(joined(folder, [load_isolated(part) for part in found]) if found else load_isolated(folder), target)
    _say(f"wrote {target}")


@app.command
def verify(folder: Path, /) -> None:
    """Check every record of a run, and its description, against the checksums they were written with.

    Exit code 2 if anything differs.

    Parameters
    ----------
    folder
        The run folder: the one given to --record, or a part in it.
    """
    found = parts(folder)
    for part in found or [folder]:
        report = verify_isolated(part)
        if not report.ok:
            raise UnreadableRunError(f"{part} is damaged: {'; '.join(report.faults[:3])} ({len(report.faults)} faults in all).")
        _say(f"{part}: {report.num_records} records in {report.num_files} files, {report.status}; all as committed")
    if found:
        _say(f"{folder}: {len(found)} parts, {status_of_whole(folder, manifest_of(folder))}; all as committed")


@app.command
def pack(folder: Path, /) -> None:
    """Put a run into one compressed file, or each of its parts into one; an interrupted run can still be resumed.

    Parameters
    ----------
    folder
        The run folder: the one given to --record, or a part in it.
    """
    for part in parts(folder) or [folder]:
        path = pack_isolated(part)
        _say(f"wrote {path} ({path.stat().st_size / 1024:.1f} KiB)")


@app.command
def export(folder: Path, file: Path, /) -> None:
    """Write the best design, network or weights, or the molecule, of a run that is finished, killed or still going.

    Parameters
    ----------
    folder
        The run folder: the one given to --record, or a part in it.
    file
        The file to write. For a design: .npy, .stl, .vti or a picture; for a network or trained weights: .safetensors; for a molecule:
        .xyz; for any run: .npz, all arrays of its best point.
    """
    from .runs_export import write_best

    check_outputs(file)
    _say(write_best(folder, file))


def _summary(folder: Path) -> tuple[str, str, str, str] | None:
    """Return status, number of records, beginning and outcome of a run; `None` where there is none."""
    try:
        if not folder.is_dir():
            return None
        if not os.path.lexists(folder / MANIFEST):
            inside = parts_of(folder)
            return (status_of_whole(folder, manifest_of(folder)), f"{len(inside)} parts", "", "") if inside else None
        manifest = read_manifest(folder)
        inside = parts_of(folder) if manifest.get("parts") else []
    except (UnreadableRunError, OSError) as error:
        return "unreadable", "", "", str(error)
    status = status_of_whole(folder, manifest)
    ended = manifest.get("ended")
    known = manifest.get("records", ended.get("evaluations", "") if isinstance(ended, dict) else "")
    records = f"{len(inside)} parts" if inside else str(known)
    return status, records, manifest["created"], _compact(manifest.get("summary") or manifest.get("ended") or "")


def _facts_of_whole(folder: Path, runs: list[Run]) -> dict[str, str]:
    manifest = manifest_of(folder)
    records = sum(run.num_records for run in runs)
    facts = {"run": str(folder), "status": f"{status_of_whole(folder, manifest)}, {records} records in {len(runs)} parts"}
    facts |= {"created": str(manifest["created"])} if manifest["created"] else {}
    told = {"spec": manifest["spec"], "summary": manifest.get("summary") or manifest.get("ended")}
    return facts | {name: _compact(each) for name, each in told.items() if each}


def _parts_table(runs: list[Run]) -> Table:
    table = Table("part", "status", "records", "lowest", "outcome", box=None, pad_edge=False, header_style="bold")
    for run in runs:
        column = next(iter(run.columns.values()), np.zeros(0))
        seen = column[np.isfinite(column)] if column.ndim == 1 else np.zeros(0)
        lowest = f"{seen.min():.10g}" if len(seen) else "-"
        table.add_row(*map(_plain, (run.folder.name, run.status, str(run.num_records), lowest, _compact(run.summary or ""))))
    return table


def _facts(run: Run) -> dict[str, str]:
    facts = {"run": str(run.folder), "status": f"{run.status}, {run.num_records} records", "created": run.created}
    facts |= {"spec": _compact(run.spec)} if run.spec else {}
    facts |= {"summary": _compact(run.summary)} if run.summary else {}
    facts |= _monitored(run)
    return {**facts, "versions": " ".join(f"{name} {version}" for name, version in run.versions.items())}


def _monitored(run: Run) -> dict[str, str]:
    scalars = {name: column for name, column in run.columns.items() if column.ndim == 1}
    return Monitor.of(scalars).told() if {"value", "grad_norm"} <= scalars.keys() and run.num_records > 1 else {}


def _last_records(run: Run, rows: int) -> Table:
    scalars = {name: column for name, column in run.columns.items() if column.ndim == 1}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("record", justify="right")
    for name in scalars:
        table.add_column(_plain(f"{name}\n({run.units[name]})"), justify="right")
    for index in range(max(0, run.num_records - rows), run.num_records):
        # The first column tells runs apart in its last digits; the others need not be cut in a narrow terminal.
        digits = (10 if number == 0 else 4 for number in range(len(scalars)))
        table.add_row(str(index), *(f"{column[index]:.{n}g}" for n, column in zip(digits, scalars.values(), strict=True)))
    return table


def _compact(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False)[:400]


def _say(text: str) -> None:
    Console(soft_wrap=True).print(_plain(text))


def _plain(text: str) -> Text:
    """Return text that neither the terminal nor rich takes for a command: it may come from a foreign file."""
    return Text("".join(c if c.isprintable() or c == "\n" else "?" for c in str(text)))
