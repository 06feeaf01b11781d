"""Performance profiles: for each method the fraction of cases within a factor of the quickest method."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .canvas import new_figure


def plot_profiles(path: str | Path, title: str, panels: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    r"""Draw, for each panel, the fraction of cases that a method solves in at most $\tau$ times the work of the quickest one.

    **Arguments:**

    - `path`: the picture to write. `panels`: title to methods to the work for each case, the same cases for all; infinite if never.

    ??? cite "Reference"
        Dolan, More, Math. Program. 91 (2002) 201.
    """
    figure = new_figure(4.6 * len(panels), 4.0)
    from matplotlib.ticker import FixedLocator, ScalarFormatter

    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axis, (name, works) in zip(axes[0], panels.items(), strict=True):
        for method, (ratios, shares) in profiles(works).items():
            axis.step(ratios, shares, where="post", linewidth=2, label=method, zorder=3 if method == "physopt" else 2)
        axis.set(xscale="log", xlim=(1.0, FARTHEST), ylim=(0.0, 1.02), xlabel="work, in that of the quickest method", title=name)
        axis.xaxis.set_major_locator(FixedLocator([1.0, 2.0, 4.0, 8.0, 16.0]))
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_locator(FixedLocator([]))
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("fraction of cases")
    axes[0, 0].legend(frameon=False, fontsize=8)
    figure.suptitle(title)
    figure.savefig(path, dpi=160)


FARTHEST = 20.0


def profiles(works: Mapping[str, Sequence[float]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return, for each method, ratios from 1 on and the fractions of cases solved within them; unsolved cases count, too."""
    table = np.array([list(work) for work in works.values()], float)
    quickest = table.min(axis=0)
    ratios = np.where(np.isfinite(quickest), table / np.where(np.isfinite(quickest), quickest, 1.0), np.inf)
    found = {}
    for method, mine in zip(works, ratios, strict=True):
        steps = np.sort(mine[np.isfinite(mine)])
        shares = np.arange(1, len(steps) + 1) / table.shape[1]
        begin = float(np.count_nonzero(steps <= 1.0)) / table.shape[1]
        found[method] = (np.array([1.0, *steps, FARTHEST]), np.array([begin, *shares, shares[-1] if len(shares) else 0.0]))
    return found
