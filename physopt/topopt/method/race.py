"""Classical methods on the design's own grid: where coarser ones cannot help, two starts race, and the lower one goes on."""

import dataclasses

from physopt.rules.mma import MMA, Poles
from physopt.rules.oc import OptimalityCriteria
from physopt.topopt import SIMP, SensitivityFilter
from physopt.topopt.multilevel import NARROWEST

from .stages import Stage

# Each the best of several settings; see `topopt_methods`.
TUNED = MMA(Poles(0.5, 2.0, 0.6))
FINISH = MMA(Poles(0.2, 2.0, 0.6), 0.3)  # smaller steps at first, for designs that others have begun
CRITERIA = OptimalityCriteria(0.65, 0.2)
ACROSS = 6  # elements that a grid has along each side at least, if a layout is to be found on it
FLOOR = 20  # solutions that may go by without a gain before tuned `MMA` on the design's own grid ends
HEAT = 15  # solutions that each of two starts gets before they are compared
SOFTER = (0.5, 0.75)  # shares of the penalty, above none, with which the second start begins


def averaged(problem: SIMP, halvings: int = 1) -> SIMP | None:
    """Return the problem with equilibrium on a coarser grid; `None` where that tells loads and supports no longer apart."""
    try:
        return problem.changed(halvings=halvings)
    except ValueError:
        return None


def unhelpful(problem: SIMP) -> str | None:
    """Return why coarser grids cannot be relied on for a problem, in words; `None` where they can.

    Half the resolution has to leave a filter that sees neighbors, and six elements across.
    """
    rmin, across = problem.densities.filtering.rmin, min(problem.equilibrium.structure.shape)
    if rmin < 2.0 * NARROWEST:
        return f"the filter radius is {rmin:g} elements, below {2.0 * NARROWEST:g}: half the resolution has no room for members so thin"
    if across < 2 * ACROSS:
        return f"the grid is {across} elements across, below {2 * ACROSS}: half of that tells too little"
    return None if averaged(problem) is not None else "half the resolution would put a load on a support"


def race(problem: SIMP, solutions: int) -> list[Stage]:
    r"""Return the stages of two starts for `HEAT` solutions each, the lower of which goes on until it stalls.

    Both begin with the criteria, whose even pace keeps bars that `MMA` may drop; the second penalizes less for two thirds of the way, so
    that its layout is less of a guess. They go on with `MMA`, which is quicker near the end. Then comes tuned `MMA` from the uniform
    design, and then the other one of the two. Where the criteria refuse, as with several functions, it is tuned `MMA` alone.
    """
    if len(problem.coefficients) > 1 or isinstance(problem.densities.filtering, SensitivityFilter):
        return [Stage(problem, TUNED, solutions, patience=FLOOR, fresh=True)]
    softer = [Stage(problem.changed(penal=1.0 + share * (problem.penal - 1.0)), CRITERIA, HEAT // 3) for share in SOFTER]
    stages = [Stage(problem, CRITERIA, HEAT, fresh=True, contest=True), dataclasses.replace(softer[0], fresh=True), *softer[1:]]
    stages += [Stage(problem, CRITERIA, HEAT - len(softer) * (HEAT // 3), contest=True)]
    lower, other = (Stage(problem, FINISH, solutions, patience=FLOOR, place=place) for place in (0, 1))
    return [*stages, lower, Stage(problem, TUNED, solutions, patience=FLOOR, fresh=True, floor=True), other]
