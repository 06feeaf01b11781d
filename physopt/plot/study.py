"""A picture of a study: what its solves cost, and where it has been."""

from pathlib import Path

import numpy as np

from physopt.study.report import Tally

from .canvas import FAINT, INK, LINE, new_figure, readable


def plot_study(path: str | Path, tally: Tally, tasks: np.ndarray, names: tuple[str, str], title: str) -> None:
    """Draw the calls of each solve, what was spent against the same number of cold solves, and the tasks solved.

    **Arguments:** `tasks`: two numbers of each task, shape (solves, 2), called `names`.
    """
    figure = new_figure(12.0, 3.8)
    calls, spent, where = figure.subplots(1, 3)
    order = np.arange(1, len(tally.calls) + 1)
    calls.plot(order, tally.calls, "o", color=LINE, markersize=4)
    if np.isfinite(tally.cold):
        calls.axhline(tally.cold, color=INK, linewidth=1.0, linestyle="--")
        calls.annotate("from a cold start, in the median", (order[-1], tally.cold), ha="right", va="bottom", fontsize=8)
        spent.plot(order, tally.cold * order, "--", color=INK, linewidth=1.0, label="cold solves only")
    calls.set(xlabel="solve", ylabel="calls", ylim=(0.0, None), title="Calls of each solve")
    spent.plot(order, np.cumsum(tally.calls + tally.recording), color=LINE, label="the study, with its records")
    spent.set(xlabel="solve", ylabel="calls so far", ylim=(0.0, None), title="All calls so far")
    spent.legend(frameon=False, fontsize=8)
    shown = where.scatter(tasks[:, 0], tasks[:, 1], c=tally.calls, cmap="viridis", s=24)
    figure.colorbar(shown, ax=where, label="calls")
    where.set_xlabel(readable(names[0]), parse_math=False)
    where.set_ylabel(readable(names[1]), parse_math=False)
    where.set(title="Tasks solved")
    for axes in (calls, spent):
        axes.grid(color=FAINT, linewidth=0.6)
    figure.suptitle(readable(title), parse_math=False)
    figure.savefig(path, dpi=160)
