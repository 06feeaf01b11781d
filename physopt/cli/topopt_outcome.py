"""The output of `physopt topopt`: numbers, warnings, and the files that were asked for."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physopt.core.extras import OPTIONAL, need

from .outputs import WRITERS, Outputs, check_ending, check_folder
from .progress import screen, significant

if TYPE_CHECKING:
    from physopt.topopt.definition import Definition
    from physopt.topopt.method.stages import Design, Step
    from physopt.topopt.outcome import Outcome
    from physopt.topopt.surface import Surface
    from physopt.topopt.voxels import Placement


@dataclass(frozen=True)
class Files:
    """The files that were asked for, and whether pieces that carry no load are left out of surfaces."""

    outputs: Outputs
    gif: Path | None
    vti: Path | None
    stl: Path | None
    drop_loose: bool

    @property
    def plot(self) -> Path | None:
        """The picture of the design."""
        return self.outputs.plot

    def check(self, problem: str) -> None:
        """Raise `ValueError` or `OSError` for a file that could not be written when the work is done."""
        self.outputs.check(self.gif, self.stl, read=[Path(problem)] if Path(problem).suffix else [])
        check_ending(self.gif, ".gif", "animations")
        check_ending(self.stl, ".stl", "surfaces")
        if self.vti is not None:
            check_folder(self.vti, "the .vti file")
            need(*WRITERS[".vti"])

    def check_shape(self, shape: Sequence[int]) -> None:
        """Raise `MissingExtraError` where pictures of a design of this shape could not be drawn: those in space show its surface."""
        if self.plot is not None and len(shape) == 3:
            need("skimage")


def history(steps: "list[Step]") -> list[dict[str, Any]]:
    """Return the result of every solve of every start, those of cheaper problems included."""
    return [
        {
            "stage": step.stage,
            "own": step.own,
            "equivalents": step.equivalents,
            "value": step.value,
            "volume": step.volume,
        }
        for step in steps
    ]


def tell(definition: "Definition", design: "Design", found: "Outcome", written: Sequence[Path]) -> None:
    """Print the result and the files that are written, and on stderr the problems with building the design."""
    from physopt.topopt.outcome import concerns

    value, steps = float(design.solution.evaluation.value), design.steps
    line = f"{design.problem.objective.label} {significant(value)}, volume {significant(found['volume'])} after {len(steps)} solves"
    screen().print(f"{line} worth {steps[-1].equivalents:.1f} of the finest grid, {steps[-1].seconds:.1f} s", soft_wrap=True)
    screen().print(f"greyness {found['greyness']:.3f}{_said_of_surface(found)}", soft_wrap=True)
    for concern in concerns(found):
        print(f"physopt: warning: {concern}", file=sys.stderr)
    for file in written:
        screen().print(f"wrote {file}", soft_wrap=True)


def draw(
    definition: "Definition", design: "Design", found: "Outcome", frames: list[Any], files: Files, place: "Placement"
) -> tuple[list[Path], list[Exception]]:
    """Write pictures, animation, image and surface; return the files written, and why the others are not."""
    from physopt.plot import fields
    from physopt.topopt import export

    density, trace = design.density, design.trace()
    title = f"{definition.name[:40]} {'x'.join(map(str, definition.shape))}: {significant(float(design.solution.evaluation.value))}"
    title = f"{title} at volume {density.mean():.3g}"
    surface = _surface(design, found, files.drop_loose) if files.stl is not None or (files.plot is not None and density.ndim == 3) else None
    shown = None if density.ndim == 2 else surface
    flat = density if density.ndim == 2 or shown is not None else density.mean(axis=2)
    image = None if files.vti is None else files.vti / f"{definition.name}.vti"
    tasks: list[tuple[Path | None, Callable[[Path], object]]] = [
        (files.plot, lambda file: fields.plot_design(file, title, flat, trace, shown, work=trace.work)),
        (files.gif, lambda file: fields.animate(file, title, [*frames, density])),
        (image, lambda file: (file.parent.mkdir(exist_ok=True), export.write_vti(file, density, place))),
        (files.stl, lambda file: export.write_stl(file, density if surface is None else surface, place=place)),
    ]
    written, failed = [], []
    for file, write in tasks:
        if file is not None:
            try:
                write(file)
                written.append(file)
            except Exception as error:  # what could not be written must not cost the rest
                failed.append(error)
    return written, failed


def _surface(design: "Design", found: "Outcome", drop_loose: bool) -> "Surface | None":
    """Return the surface to draw and to print; `None` for a design without contrast."""
    from physopt.topopt.outcome import carrying
    from physopt.topopt.surface import surface_of

    if found["level"] is None:
        return None
    surface = surface_of(design.density, found["level"])
    kept = carrying(surface, design.problem.equilibrium.structure) if drop_loose else set()
    return surface.only(kept) if kept else surface


def _said_of_surface(found: "Outcome") -> str:
    if found["pieces"] is None:
        return f"; pieces are not counted ({OPTIONAL['skimage'].sentence})"
    pieces = "1 piece" if found["pieces"] == 1 else f"{found['pieces']} pieces"
    return "" if found["level"] is None else f", surface at density {found['level']:.2f} in {pieces}"
