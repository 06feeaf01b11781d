"""`physopt runs`: list, show, plot, verify and pack recorded runs. Run folders are foreign files: a child process reads them."""

import json
from pathlib import Path
from typing import Any

import cyclopts
from rich.console import Console
from rich.table import Table
from rich.text import Text

from physopt.core.trajectory import Run, UnreadableRunError
from physopt.core.trajectory.folder import MANIFEST, is_live, read_manifest
from physopt.core.trajectory.quarantine import load_isolated, pack_isolated, verify_isolated
from physopt.plot import plot_run

from .outputs import check_outputs

app = cyclopts.App(name="runs", help="List, show, plot, verify and pack recorded runs.")


@app.command
def ls(folder: Path = Path(), /) -> None:
    """List the runs in a folder.

    Parameters
    ----------
    folder
        The folder that holds run folders.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; name one that holds run folders.")
    table = Table("run", "status", "records", "created (UTC)", "outcome", box=None, pad_edge=False, header_style="bold")
    found = sorted(entry for entry in folder.iterdir() if entry.is_dir() and (entry / MANIFEST).exists())
    for entry in found:
        table.add_row(*map(_plain, (entry.name, *_summary(entry))))
    if found:
        Console().print(table)
    else:
        _say(f"{folder} holds no run folders yet")


@app.command
def show(folder: Path, /, *, rows: int = 10) -> None:
    """Show what a run is, how it stands, and its last records.

    Parameters
    ----------
    folder
        The run folder.
    rows
        How many of the last records to show.
    """
    if rows < 0:
        raise ValueError(f"--rows {rows}: the number of records to show is 0 or more.")
    run = load_isolated(folder)
    console = Console()
    facts = Table(box=None, show_header=False, pad_edge=False)
    for name, content in _facts(run).items():
        facts.add_row(Text(name, style="bold"), _plain(content))
    console.print(facts)
    console.print(_last_records(run, rows))


@app.command
def plot(folder: Path, /, *, out: Path | None = None) -> None:
    """Draw the values of a run.

    Parameters
    ----------
    folder
        The run folder.
    out
        The picture to write: PNG, PDF or SVG. By default, NAME-OF-THE-RUN.png in the working directory.
    """
    target = Path(f"{folder.resolve().name}.png") if out is None else out
    check_outputs(picture=target)
    plot_run(load_isolated(folder), target)
    _say(f"wrote {target}")


@app.command
def verify(folder: Path, /) -> None:
    """Check every record of a run against the checksum it was committed with.

    Exit code 2 if anything differs.

    Parameters
    ----------
    folder
        The run folder.
    """
    report = verify_isolated(folder)
    if not report.ok:
        raise UnreadableRunError(f"{folder} is damaged: {'; '.join(report.faults[:3])} ({len(report.faults)} faults in all).")
    _say(f"{folder}: {report.num_records} records in {report.num_files} files, {report.status}; all as committed")


@app.command
def pack(folder: Path, /) -> None:
    """Put a run into one compressed file; an interrupted run can still be resumed.

    Parameters
    ----------
    folder
        The run folder.
    """
    path = pack_isolated(folder)
    _say(f"wrote {path} ({path.stat().st_size / 1024:.1f} KiB)")


def _summary(folder: Path) -> tuple[str, str, str, str]:
    try:
        manifest = read_manifest(folder)
    except UnreadableRunError as error:
        return "unreadable", "", "", str(error)
    if manifest["status"] == "finished":
        return "finished", str(manifest.get("records", "?")), manifest["created"], _compact(manifest.get("summary", {}))
    return "live" if is_live(folder) else "interrupted", "", manifest["created"], ""


def _facts(run: Run) -> dict[str, str]:
    facts = {"run": str(run.folder), "status": f"{run.status}, {run.num_records} records", "created": run.created}
    facts |= {"spec": _compact(run.spec)} if run.spec else {}
    facts |= {"summary": _compact(run.summary)} if run.summary else {}
    return {**facts, "versions": " ".join(f"{name} {version}" for name, version in run.versions.items())}


def _last_records(run: Run, rows: int) -> Table:
    scalars = {name: column for name, column in run.columns.items() if column.ndim == 1}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("record", justify="right")
    for name in scalars:
        table.add_column(_plain(f"{name}\n({run.units[name]})"), justify="right")
    for index in range(max(0, run.num_records - rows), run.num_records):
        table.add_row(str(index), *(f"{column[index]:.10g}" for column in scalars.values()))
    return table


def _compact(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False)[:400]


def _say(text: str) -> None:
    Console(soft_wrap=True).print(_plain(text))


def _plain(text: str) -> Text:
    """Return text that neither the terminal nor rich takes for a command: it may come from a foreign file."""
    return Text("".join(c if c.isprintable() or c == "\n" else "?" for c in str(text)))
