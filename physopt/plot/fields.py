"""Pictures of fields: the solution of a differential equation, the design of a structure, and the run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from physopt.core.iterate import History
from physopt.topopt.surface import Surface

from .canvas import FAINT, INK, LINE, new_figure, readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_solution(
    path: str | Path, title: str, solution: Float[ndarray, "n n"], difference: Float[ndarray, "n n"], history: History
) -> None:
    """Draw a solution on the unit square (first coordinate to the right), its error, and the value after each evaluation, into `path`."""
    figure = new_figure(11.5, 3.6)
    axes = figure.subplots(1, 3)
    reach = np.abs(difference).max()
    for axis, field, name, colors, bound in (
        (axes[0], solution, f"u: {title}", "viridis", None),
        (axes[1], difference, "u - exact", "RdBu_r", reach),
    ):
        low = None if bound is None else -bound
        image = axis.imshow(field.T, origin="lower", extent=(0, 1, 0, 1), cmap=colors, vmin=low, vmax=bound, interpolation="bilinear")
        figure.colorbar(image, ax=axis, shrink=0.85)
        axis.set(xticks=(0, 1), yticks=(0, 1))
        axis.set_title(readable(name), fontsize=10, color=INK, parse_math=False)
    _draw_history(axes[2], history.value, "value: half the mean squared residual", "evaluation (residual and Jacobian)")
    figure.savefig(path, dpi=160)


def plot_design(
    path: str | Path,
    title: str,
    density: Float[ndarray, "..."],
    history: Any,
    surface: Surface | None = None,
    *,
    work: Float[ndarray, " n"] | None = None,
) -> None:
    """Draw a structure and the value after each finite-element solve into `path`.

    In 2D the picture shows the densities, solid in black; in 3D the `surface`, with x to the right, y up and z towards the viewer.

    **Arguments:**

    - `history`: anything with a `value` for each solve; NaN ends one line, and the next begins. `work`: the position of each value.
    """
    wide, high = density.shape[:2]
    figure = new_figure(10.5, max(3.0, min(6.0, 6.5 * high / wide + 1.0)) if density.ndim == 2 else 5.0)
    grid = figure.add_gridspec(1, 2, width_ratios=[1.7, 1.0])
    if surface is None:
        left = figure.add_subplot(grid[0])
        left.imshow(density.T, origin="lower", cmap="gray_r", vmin=0.0, vmax=1.0)
        left.set(xticks=(), yticks=())
    else:
        left = figure.add_subplot(grid[0], projection="3d")
        _draw_surface(left, surface)
    left.set_title(readable(title), fontsize=10, color=INK, parse_math=False)
    counted = "finite-element solve" if work is None else "work / solves of the finest grid, all starts"
    _draw_history(figure.add_subplot(grid[1]), history.value, "value", counted, work, cut=10.0)
    figure.savefig(path, dpi=160)


def animate(path: str | Path, title: str, frames: Sequence[Float[ndarray, "..."]], seconds: float = 6.0) -> None:
    """Draw the designs of a run one after the other as an animated GIF of about this length; in 3D, their mean along z."""
    kept = [frames[k] for k in np.unique(np.linspace(0, len(frames) - 1, min(len(frames), 90)).astype(int))]
    wide, high = kept[-1].shape[:2]
    figure = new_figure(6.4, max(1.6, 6.0 * high / wide + 0.5))
    axis = figure.subplots()
    axis.set_title(readable(title), fontsize=9, color=INK, parse_math=False)
    axis.set(xticks=(), yticks=())
    image = axis.imshow(np.zeros((high, wide)), origin="lower", cmap="gray_r", vmin=0.0, vmax=1.0, extent=(0, wide, 0, high))
    from matplotlib.animation import PillowWriter

    writer = PillowWriter(fps=max(round(len(kept) / seconds), 2))
    with writer.saving(figure, str(path), dpi=100):
        for frame in [*kept, *[kept[-1]] * 10]:
            image.set_data((frame if frame.ndim == 2 else frame.mean(axis=2)).T)
            writer.grab_frame()


def _draw_surface(axis: Any, surface: Surface) -> None:
    x, y, z = surface.vertices.T
    # Matplotlib's third axis points up and its second one away from the viewer: y and -z, which keeps the hand.
    axis.plot_trisurf(x, -z, y, triangles=surface.faces, color=LINE, linewidth=0.0, antialiased=False, shade=True)
    axis.set(box_aspect=np.ptp(surface.vertices, axis=0)[[0, 2, 1]], xticks=(), yticks=(), zticks=(), xlabel="x", ylabel="z", zlabel="y")


def _draw_history(
    axis: "Axes", values: ArrayLike, name: str, counted: str, work: Float[ndarray, " n"] | None = None, cut: float = np.inf
) -> None:
    value = np.asarray(values, float)
    value = np.where(np.isfinite(value), value, np.nan)
    where = np.arange(1, len(value) + 1) if work is None else work
    axis.plot(where, value, color=LINE, linewidth=1.6, marker="." if len(value) <= 60 else None)
    seen = value[np.isfinite(value)]
    # The output of a mechanism is negative, which a logarithm cannot show.
    axis.set(yscale="log" if len(seen) and seen.min() > 0.0 else "linear", xlabel=counted)
    if len(seen) and 0.0 < cut * seen.min() < seen.max():  # a start that breaks the structure would hide all others
        axis.set_ylim(top=cut * seen.min())
        name = f"{name}, up to {cut:g} times the lowest"
    axis.set_title(name, fontsize=10, color=INK)
    axis.grid(color=FAINT, linewidth=0.7)
    axis.spines[["top", "right"]].set_visible(False)
