"""`physopt topopt`: optimize the topology of a structure."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts
import numpy as np
from cyclopts import Parameter
from rich.table import Table

from .arguments import check_count, check_share
from .exits import NotConverged
from .outputs import Outputs
from .progress import Progress, screen
from .topopt_outcome import Files, draw, history, tell

if TYPE_CHECKING:
    from physopt.topopt.definition import Definition
    from physopt.topopt.library import Library, Start

app = cyclopts.App(name="topopt", help="Find the best structure of a given volume.")

Problem = Annotated[str, Parameter(help="Name of the gallery (`physopt topopt gallery`), or a TOML file.")]
Shape = Annotated[str | None, Parameter(help="Elements along each axis, for problems of the gallery.")]


@app.default
def topopt(
    problem: Problem,
    *,
    shape: Shape = None,
    volfrac: float | None = None,
    rmin: float | None = None,
    penal: float | None = None,
    beta: float | None = None,
    filtering: Annotated[Literal["sensitivity", "density"] | None, Parameter(name="--filter")] = None,
    method: Literal["auto", "physopt", "oc", "mma", "gcmma", "mirror", "mma-multilevel"] = "auto",
    gain: float = 1e-3,
    max_iterations: int = 300,
    library: Path | None = None,
    gif: Path | None = None,
    vti: Path | None = None,
    stl: Path | None = None,
    drop_loose: bool = False,
    outputs: Outputs = Outputs(),
) -> None:
    """Optimize a structure until no density changes by more than 0.01, or the value no longer falls.

    Parameters
    ----------
    volfrac
        Fraction of the box to fill.
    rmin
        Filter radius, in elements.
    penal
        Exponent of the SIMP law, or the q of RAMP.
    beta
        Sharpness of the projection; 0 does not project.
    filtering
        What the filter acts on.
    method
        "auto" is physopt, or oc with a sensitivity filter.
    gain
        Stop when a start from the lowest design, or 20 solves of a method without such starts, has lowered the value by less than this
        fraction; 0 switches this off.
    max_iterations
        Give up after this many finite-element solves on the finest grid.
    library
        Folder of designs found before: start from the nearest one, if any is near, and add the outcome.
    gif
        Animation of the designs of all starts.
    vti
        Folder for a file that ParaView opens.
    stl
        Printable surface of the design, in the units and at the position of an STL file in [space].
    drop_loose
        Leave pieces that do not connect a load to a support out of the surface.
    """
    check_count("--max-iterations", max_iterations)
    check_share("--gain", gain, "1e-3, or 0 to go on")
    files = Files(outputs, gif, vti, stl, drop_loose)
    files.check(problem)
    changes = {"volfrac": volfrac, "rmin": rmin, "penal": penal, "beta": beta, "filter": filtering}
    definition = read_problem(problem, shape, {name: value for name, value in changes.items() if value is not None})
    files.check_shape(definition.shape)
    place = definition.place()
    # Loaded now and not with this module: a problem that is refused does not wait for JAX.
    from physopt.core.run import Interrupted
    from physopt.topopt.method.methods import remember, solve
    from physopt.topopt.method.race import unhelpful
    from physopt.topopt.method.stages import Step

    chosen = ("oc" if definition.filter == "sensitivity" else "physopt") if method == "auto" else method
    solved, start = _near(library, definition, outputs.resume)
    if chosen == "physopt" and start is None and (why := unhelpful(definition.problem())) is not None:
        screen().print(f"on the design's own grid first: {why}")
    sides = "x".join(map(str, definition.shape))
    settings = {"problem": definition.name, "shape": sides, "method": chosen, **_spec(definition)}
    if start is not None:
        settings |= {"method": "library", "start": start.entry.file.name, "start_distance": start.distance}
    frames: list[Any] = []
    with Progress(f"{definition.name} {sides}", total=max_iterations) as progress:

        def follow(step: Step) -> None:
            progress.update(math.ceil(step.equivalents), value=step.value, volume=step.volume)
            if gif is not None:
                density = step.density
                frames.append((density if density.ndim == 2 else density.mean(axis=2)).astype(np.float32))

        wanted, interrupted = outputs.recording(settings, _asked(definition, chosen)), None
        options = {"solutions": max_iterations, "gain": gain, "record": wanted, "callback": follow}
        try:
            design = solve(definition, chosen, start=start, **options)
        except Interrupted as signal:
            design, interrupted = signal.found, signal
            if not design.steps:
                raise
    if solved is not None:
        remember(solved, definition, design)
    found = design.verify(drop_loose=drop_loose)
    result = {
        **settings,
        "evaluations": len(design.steps),
        "equivalents": design.steps[-1].equivalents,
        "seconds": design.steps[-1].seconds,
        "compliance": float(design.solution.evaluation.value),
        **found,
        "converged": design.settled,
        "history": history(design.steps),
    }
    outputs.write([result])
    written, failed = draw(definition, design, found, frames, files, place)
    tell(definition, design, found, written)
    if failed:
        raise failed[0]
    if interrupted is not None:
        raise interrupted  # after all was written that was asked for
    if not design.settled:
        raise NotConverged(f"the design still changed after {max_iterations} solves; allow more with --max-iterations")


@app.command
def validate(problem: Problem, *, shape: Shape = None) -> None:
    """Solve once, check the gradient by differences, and estimate what an optimization would cost."""
    definition = read_problem(problem, shape, {})
    from physopt.topopt.method.check import check

    report = check(definition.problem())
    table = Table(title=f"{definition.name} {'x'.join(map(str, definition.shape))}", show_header=False)
    for name, value in report.items():
        table.add_row(name, value)
    screen().print(table)


@app.command
def gallery() -> None:
    """List the named problems, with their sources."""
    from physopt.topopt.gallery import GALLERY

    table = Table("name", "shape", "volume", "what", "source")
    for name, make in GALLERY.items():
        made = make()
        what = (make.__doc__ or "").removeprefix("Return ").rstrip(".")
        table.add_row(name, "x".join(map(str, made.shape)), f"{made.volfrac:g}", what, made.source)
    screen().print(table)


def read_problem(problem: str, shape: str | None, changes: dict[str, Any]) -> "Definition":
    """Return a problem of the gallery or of a TOML file, with some entries changed, after a check that it can be solved."""
    from physopt.topopt.definition import changed, read_definition
    from physopt.topopt.gallery import GALLERY

    if problem in GALLERY:
        make = GALLERY[problem]
        definition = make() if shape is None else make(read_shape(shape))
    elif Path(problem).suffix.lower() != ".toml":
        raise ValueError(f"{problem!r} is no problem; write the path of a TOML file, or one of: {', '.join(GALLERY)}.")
    elif shape is not None:
        raise ValueError(f"--shape is for problems of the gallery; {problem} says its own.")
    else:
        definition = read_definition(Path(problem))
    definition = changed(definition, changes)
    try:
        definition.check()
    except ValueError as error:
        raise ValueError(f"{problem}: {error}") from None
    return definition


def read_shape(text: str) -> tuple[int, ...]:
    """Return a grid's elements along each axis from text like "60x20" or "48x24x24"."""
    if not re.fullmatch(r"\d{1,5}(x\d{1,5}){1,2}", text, re.ASCII):
        raise ValueError(f"--shape {text!r} names no grid; write the elements along each axis, such as 60x20 or 48x24x24.")
    return tuple(int(side) for side in text.split("x"))


def _near(folder: Path | None, definition: "Definition", resume: bool) -> "tuple[Library | None, Start | None]":
    from physopt.topopt.library import Library

    if folder is None:
        return None, None
    if resume:
        raise ValueError("--resume goes on from where a run was, and --library begins anew: leave one of them out.")
    start = (library := Library(folder)).start(definition)
    if start is not None:
        volfrac, sides = start.entry.definition["volfrac"], "x".join(map(str, start.entry.shape))
        name = f"{start.entry.definition['name']} {sides} at volume {volfrac:g}"
        screen().print(f"starting from {name}, at distance {start.distance:.3f}")
    return library, start


def _asked(definition: "Definition", method: str) -> dict[str, Any]:
    """Return what a resumed run must have in common with the recorded one: all but names; files of `space` by what they say."""
    import msgspec

    named = {"name", "source", "space"}
    whole = {name: value for name, value in msgspec.to_builtins(definition).items() if name not in named}
    return {"method": method, **_spec(definition), "shape": "x".join(map(str, definition.shape)), "definition": whole}


def _spec(definition: "Definition") -> dict[str, Any]:
    names = ("volfrac", "rmin", "penal", "beta", "filter")
    return {name: getattr(definition, name) for name in names}
