"""Pictures of recorded runs."""

from pathlib import Path
from typing import Any

import numpy as np

from physopt.core.trajectory import Run

from .canvas import FAINT, INK, LINE, new_figure, readable

_MAX_PANELS = 4


def plot_run(run: Run, path: str | Path) -> None:
    r"""Draw a recorded run, and write the picture to `path` (PNG, PDF or SVG, by its suffix).

    A run with columns `value` and `grad_norm` shows $f_k - \min_j f_j$ and $|g_k|$, each in its unit on a logarithmic scale;
    any other run shows its first scalar columns as they are.

    **Raises:** `ValueError` for a run without records or scalar columns, or an unknown suffix.
    """
    panels = _panels(run)
    figure = new_figure(6.4, 2.4 * len(panels) + 0.6)
    axes = np.atleast_1d(figure.subplots(len(panels), 1, sharex=True))
    for ax, (label, values, logarithmic) in zip(axes, panels, strict=True):
        _draw(ax, label, values, logarithmic)
    axes[-1].set_xlabel("record", color=INK)
    axes[-1].xaxis.get_major_locator().set_params(integer=True)  # there is no record 0.5
    axes[0].set_title(f"{readable(run.folder.name)}   {run.num_records} records, {run.status}", loc="left", color=INK, parse_math=False)
    figure.savefig(path, dpi=160)


def _panels(run: Run) -> list[tuple[str, np.ndarray, bool]]:
    scalars = {name: column for name, column in run.columns.items() if column.ndim == 1}
    if not scalars or not run.num_records:
        raise ValueError(f"{run.folder} holds no record with a scalar column yet; there is nothing to draw.")
    if "value" not in scalars:
        return [(f"{name} ({run.units[name]})", column, False) for name, column in list(scalars.items())[:_MAX_PANELS]]
    value = scalars["value"]
    lowest = np.min(value, where=np.isfinite(value), initial=np.inf)
    panels = [(f"value above the lowest ({run.units['value']})", value - lowest, True)]
    if "grad_norm" in scalars:
        panels.append((f"gradient norm ({run.units['grad_norm']})", scalars["grad_norm"], True))
    return panels


def _draw(ax: Any, label: str, values: np.ndarray, logarithmic: bool) -> None:
    shown: np.ndarray = np.where(np.isfinite(values), values, np.nan).astype(float)
    if logarithmic:
        shown = np.where(shown > 0, shown, np.nan)
    if logarithmic and np.isfinite(shown).any():
        ax.set_yscale("log")
    ax.plot(np.arange(len(shown)), shown, color=LINE, linewidth=1.6, marker="o" if len(shown) <= 60 else None, markersize=3.5)
    ax.set_ylabel(readable(label), color=INK, parse_math=False)
    ax.grid(color=FAINT, linewidth=0.7)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(colors=INK)
