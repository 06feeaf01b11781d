"""Pictures of fields: the solution of a differential equation, the design of a structure, and how the run went."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .core.iterate import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _LINE, _FAINT = "#222222", "#0b6e99", "#d9dde1"


def plot_solution(
    path: str | Path, title: str, solution: Float[ndarray, "n n"], difference: Float[ndarray, "n n"], history: History
) -> None:
    """Draw a solution on the unit square (first coordinate to the right), its error, and the value by evaluation, into `path`."""
    figure = _figure(11.5, 3.6)
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
        axis.set_title(name, fontsize=10, color=_INK)
    _draw_history(axes[2], history, "value: half the mean squared residual", "evaluation (residual and Jacobian)")
    figure.savefig(path, dpi=160)


def plot_design(path: str | Path, title: str, density: Float[ndarray, "nelx nely"], history: History) -> None:
    """Draw the densities of a structure, solid in black, and the compliance by finite-element solution, into `path`."""
    nelx, nely = density.shape
    figure = _figure(10.5, max(3.0, min(6.0, 6.5 * nely / nelx + 1.0)))
    left, right = figure.subplots(1, 2, width_ratios=[1.7, 1.0])
    left.imshow(density.T, origin="lower", cmap="gray_r", vmin=0.0, vmax=1.0)
    left.set(xticks=(), yticks=())
    left.set_title(title, fontsize=10, color=_INK)
    _draw_history(right, history, "compliance", "finite-element solution")
    figure.savefig(path, dpi=160)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _draw_history(axis: "Axes", history: History, name: str, counted: str) -> None:
    value = np.asarray(history.value)
    axis.plot(np.arange(1, len(value) + 1), np.where(np.isfinite(value), value, np.nan), color=_LINE, linewidth=1.6)
    axis.set(yscale="log", xlabel=counted)
    axis.set_title(name, fontsize=10, color=_INK)
    axis.grid(color=_FAINT, linewidth=0.7)
    axis.spines[["top", "right"]].set_visible(False)
