"""An independent check of a design: the value by a direct solve, and the surface that would be built."""

from typing import TypedDict

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from physopt.core.extras import installed

from .problem import SIMP
from .structure import Structure
from .surface import Surface, surface_of, thickness

DIRECT = 150_000  # unknowns: up to here a direct solve verifies a design
GRAY = 0.35  # from here on much of a design is neither solid nor void
APART = 0.02  # fraction by which the surface may miss the volume without a word


class Outcome(TypedDict):
    """The value, by a direct solve if the size allows, and properties of the densities and their surface; see `outcome_of`."""

    verified: float
    volume: float
    greyness: float
    level: float | None
    surface_volume: float | None
    pieces: int | None
    carrying: int | None
    uncarried: int | None
    dropped: int | None


def outcome_of(problem: SIMP, point: Float[ndarray, "..."], *, drop_loose: bool = False) -> Outcome:
    """Return an independent check of a design; with `drop_loose`, of its surface without the pieces that carry no load.

    - `verified`: the value, by a direct solve up to 150000 unknowns. `volume`: the mean density.
    - `greyness`: the mean of $4 x (1 - x)$: 0 for solid and void, 1 for density 1/2 everywhere.
    - `level`, `surface_volume`: the density at which the surface keeps the volume best, and the fraction of the box in it; `None`
      for a design without contrast.
    - `pieces`, `carrying`: the bodies that this surface bounds, and how many of them touch both a load and a support.
    - `uncarried`: the load cases, and outputs of a mechanism, that act on none of these. `dropped`: the pieces left out.

    All six that say something of the surface are `None` without scikit-image, which the extra `mesh` brings.
    """
    small, density = problem.equilibrium.structure.held.size <= DIRECT, problem.density(point)
    judge = problem.changed(iterative=False) if small else problem
    found: Outcome = {
        "verified": float(judge.evaluate(point).value),
        "volume": float(density.mean()),
        "greyness": float((4.0 * density * (1.0 - density)).mean()),
        "level": None,
        "surface_volume": None,
        "pieces": None,
        "carrying": None,
        "uncarried": None,
        "dropped": None,
    }
    if installed("skimage"):
        _judge_surface(found, problem.equilibrium.structure, density, drop_loose)
    return found


def _judge_surface(found: Outcome, structure: Structure, density: Float[ndarray, "..."], drop_loose: bool) -> None:
    found["dropped"] = 0
    if np.ptp(density) <= 1e-6:
        found["pieces"], found["carrying"], found["uncarried"] = 0, 0, 0
        return
    surface = surface_of(density)
    bodies = carrying(surface, structure)
    if drop_loose and bodies:
        found["dropped"] = surface.pieces - len(bodies)
        surface = surface.only(bodies)
    found["level"], found["pieces"] = surface.level, surface.pieces
    found["surface_volume"] = surface.volume / density.size / (1 if density.ndim == 3 else thickness(density.shape))
    found["carrying"], found["uncarried"] = len(bodies), sum(not surface.at(np.any(f != 0.0, axis=0)) & bodies for f in structure.force)


def carrying(surface: Surface, structure: Structure) -> set[int]:
    """Return the bodies that touch both a load, or the output of a mechanism, and a support; springs count if nothing is fixed."""
    anchors = structure.held if structure.held.any() or structure.spring is None else structure.spring > 0.0
    loaded = np.any(structure.force != 0.0, axis=(0, 1))
    return surface.at(loaded) & surface.at(np.any(anchors, axis=0))


def concerns(found: Outcome) -> list[str]:
    """Return the problems with building a design, each with advice."""
    if found["pieces"] == 0:
        return ["the design has no contrast yet, so there is no surface of it; allow more solves"]
    said = _concerns_of_pieces(found)
    if found["greyness"] > GRAY:
        said.append(
            f"the greyness is {found['greyness']:.2f}: much is neither solid nor void, so a real part will not have this value; "
            "write a higher penal, a beta such as 8, or a smaller rmin"
        )
    if found["surface_volume"] is not None and abs(found["surface_volume"] / found["volume"] - 1.0) > APART:
        said.append(
            f"the surface encloses {found['surface_volume']:.3g} of the box and the design fills {found['volume']:.3g}; "
            "where many densities are the same no surface keeps the volume, a finer shape or a larger rmin helps"
        )
    return said


def _concerns_of_pieces(found: Outcome) -> list[str]:
    pieces, carrying, said = found["pieces"], found["carrying"], []
    if pieces is None or carrying is None:
        return []
    if not carrying:
        said.append(
            "no piece of the surface reaches from a load to a support, as what connects them is gray or thin; "
            "write more volfrac, a finer shape, or continuation towards a higher penal and beta"
        )
    elif found["uncarried"]:
        said.append(
            f"{found['uncarried']} of the load cases, or the output, act on no piece that reaches to a support; "
            "write more volfrac, a finer shape, or continuation towards a higher penal and beta"
        )
    if carrying and pieces > carrying:
        said.append(
            f"the surface is in {pieces} pieces, {pieces - carrying} of which carry no load from where it acts to a support; "
            "--drop-loose leaves these out, more volfrac or a finer shape may join them"
        )
    if found["dropped"]:
        said.append(
            f"{found['dropped']} pieces that carry no load are left out of the surface; more volfrac or a finer shape may join them"
        )
    return said
