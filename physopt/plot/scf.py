"""Pictures of SCF runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from physopt.scf.meter import GRAD_TOL
from physopt.scf.xyz import Molecule

from .canvas import new_figure, readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from physopt.scf.trace import Trace

COLORS = {"pyscf": "#8a8f98", "physopt": "#d1495b"}
# Jmol's element colors, radii in angstrom; everything else is drawn as a gray metal.
ELEMENTS = {
    "H": ("#f5f5f5", 0.31), "B": ("#ffb5b5", 0.84), "C": ("#5c6066", 0.76), "N": ("#4a6fe3", 0.71), "O": ("#e3342f", 0.66),
    "F": ("#7ed957", 0.57), "Si": ("#d9b382", 1.11), "P": ("#ff8c1a", 1.07), "S": ("#f2c744", 1.05), "Cl": ("#3fbf3f", 1.02),
}  # fmt: skip
UNKNOWN = ("#b0a8b9", 1.4)


def plot_traces(
    path: str | Path, title: str, molecule: Molecule, panels: Mapping[str, Sequence["Trace"]], tolerance: float = GRAD_TOL
) -> None:
    """Draw the molecule and, for each panel, how the orbital gradient of each method falls with exact Fock builds.

    **Arguments:**

    - `path`: the PNG to write. `panels`: title to traces, PySCF's first. `tolerance`: of the gradient norm, hartree.
    """
    figure = new_figure(3.6 + 4.4 * len(panels), 4.4)
    axes = figure.subplots(1, 1 + len(panels), width_ratios=[0.8] + [1.0] * len(panels))
    _draw_molecule(axes[0], molecule)
    axes[0].set_title(readable(title), fontsize=11, parse_math=False)
    for axis, (name, traces) in zip(axes[1:], panels.items(), strict=True):
        for trace in traces:
            _draw_trace(axis, trace)
        axis.axhline(tolerance, color="#444", linewidth=0.8, linestyle=(0, (4, 3)))
        axis.annotate(
            "converged below", (0.99, tolerance), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8, color="#444"
        )
        axis.set(yscale="log", xlabel="exact Fock builds", xlim=(0.5, None))
        axis.set_title(readable(name) + "\n", parse_math=False)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].set_ylabel("orbital gradient |g| / hartree")
    figure.savefig(path, dpi=160)


def _draw_trace(axis: "Axes", trace: "Trace") -> None:
    color = COLORS.get(trace.method, "#30638e")
    axis.plot(trace.builds, trace.grad_norms, "o-", color=color, linewidth=2, markersize=5, label=trace.method)
    # The vertical line is the bill: builds after the last cycle count, too.
    axis.axvline(trace.total_builds, color=color, linewidth=1, alpha=0.6)
    axis.annotate(
        f"{trace.method}: {trace.total_builds}", (trace.total_builds, 1.0), xycoords=("data", "axes fraction"),
        xytext=(0, 3), textcoords="offset points", ha="center", va="bottom", color=color, fontsize=10,
    )  # fmt: skip


def flattest(coords: Float[np.ndarray, "atom 3"]) -> Float[np.ndarray, "atom 3"]:
    """Return centered coordinates along their principal axes, the longest first: no reflection, which would show the enantiomer."""
    axes = np.linalg.svd(coords, full_matrices=True)[2]
    axes[2] *= np.linalg.det(axes)
    return coords @ axes.T


def _draw_molecule(axis: "Axes", molecule: Molecule) -> None:
    coords = np.asarray(molecule.coords) - np.mean(molecule.coords, axis=0)
    x, y, z = flattest(coords).T
    radii = np.asarray([ELEMENTS.get(s, UNKNOWN)[1] for s in molecule.symbols])
    for i in range(len(coords)):
        for j in range(i):
            if np.linalg.norm(coords[i] - coords[j]) < 1.25 * (radii[i] + radii[j]):
                axis.plot(x[[i, j]], y[[i, j]], color="#c9ccd1", linewidth=5, solid_capstyle="round", zorder=2 * min(z[i], z[j]))
    for i in np.argsort(z):
        color = ELEMENTS.get(molecule.symbols[i], UNKNOWN)[0]
        axis.scatter(x[i], y[i], s=700 * radii[i], color=color, edgecolor="#33363b", linewidth=1.0, zorder=2 * z[i] + 1)
    reach = max(np.ptp(x), np.ptp(y), 1.0) / 2 + 0.9
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axis.axis("off")
