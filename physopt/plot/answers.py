"""Pictures of solved differential equations."""

from pathlib import Path

import numpy as np

from physopt.pinn.answer import Answer
from physopt.pinn.bases import Ring, Spline
from physopt.pinn.domain import product

from .canvas import FAINT, INK, LINE, new_figure, readable

NUM = 241


def plot_answer(path: str | Path, title: str, answer: Answer) -> None:
    """Draw the first field over its one or two coordinates, and its error: against the reference, or as it was estimated.

    White lines separate the windows of time; ticks at the lower edge are the knots where the solution bends.
    """
    names, domain = answer.problem.coordinates, answer.problem.domain
    ends = answer.problem.ends
    axes = [np.linspace(low, high, NUM) for low, high in ends]
    points, order = product(axes), [(0,) * len(axes)]
    outside = ~domain.inside(points[:, : len(domain.names)])
    field, exact = answer.at(points)[:, 0], answer.problem.exact(points)
    correction = answer.looked(points, lambda piece, there: piece.finer.jets(there, order, piece.correction)[:, :, 0])[:, 0]
    error = correction if exact is None else field - exact[:, 0]
    field[outside], error[outside] = np.nan, np.nan
    figure = new_figure(10.5, 3.8)
    left, right = figure.subplots(1, 2)
    name = answer.problem.fields[0]
    heads = (f"{name}: {title}", f"{name} - reference" if exact is not None else f"estimated error of {name}, before it was taken off")
    if len(names) == 1:
        for axis, values, head in ((left, field, heads[0]), (right, error, heads[1])):
            axis.plot(axes[0], values, color=LINE)
            axis.set_xlabel(names[0])
            axis.grid(color=FAINT)
            axis.set_title(readable(head), fontsize=10, color=INK, parse_math=False)
        figure.savefig(path, dpi=160)
        return
    across, up = (0, 1) if answer.problem.time is None else (1, 0)  # time to the right, space upwards
    extent = (*ends[across], *ends[up])
    for axis, values, head, colors in ((left, field, heads[0], "viridis"), (right, error, heads[1], "RdBu_r")):
        table = values.reshape(NUM, NUM) if across == 1 else values.reshape(NUM, NUM).T
        bound = np.nanmax(np.abs(values)) if axis is right else None
        low = -bound if bound is not None else None
        image = axis.imshow(
            table, origin="lower", extent=extent, aspect="auto", cmap=colors, vmin=low, vmax=bound, interpolation="bilinear"
        )
        figure.colorbar(image, ax=axis, shrink=0.85)
        axis.set(xlabel=names[across], ylabel=names[up])
        axis.set_title(readable(head), fontsize=10, color=INK, parse_math=False)
    if answer.problem.time is not None:
        for piece in answer.pieces:
            basis = piece.space.bases[0]
            if piece.window is not None:
                left.axvline(piece.window[1], color="white", linewidth=0.6)
                if isinstance(basis, Spline | Ring):
                    left.plot(
                        np.full(len(basis.spans), piece.window[0]), basis.spans, linestyle="", marker="_", color="white", markersize=3
                    )
        left.set_xlim(*ends[across])
    figure.savefig(path, dpi=160)
