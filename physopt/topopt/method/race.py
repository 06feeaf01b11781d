"""Classical methods on the design's own grid: where coarser ones cannot help, two starts race, and the lower one goes on."""

from physopt.rules.mma import MMA, Poles
from physopt.rules.oc import OptimalityCriteria
from physopt.topopt import SIMP
from physopt.topopt.multilevel import NARROWEST

from .stages import Stage

# Each the best of several settings; see `methods`.
TUNED = MMA(Poles(0.5, 2.0, 0.6))
FINISH = MMA(Poles(0.2, 2.0, 0.6), 0.3)  # smaller steps at first, for designs that others have begun
CRITERIA = OptimalityCriteria(0.65, 0.2)
ACROSS = 6  # elements that a grid has along each side at least, if a layout is to be found on it
FLOOR = 20  # solves that may go by without a gain before tuned `MMA` on the design's own grid ends
HEAT, GAIN = 10, 1e-3  # each of two starts goes on while this many solves still gain this fraction
EVEN = 15  # solves by the criteria
SLOW = 60  # solves after which a start with slow asymptotes is given up if it is still above the others


def averaged(problem: SIMP, halvings: int = 1) -> SIMP | None:
    """Return the problem with equilibrium on a coarser grid; `None` if that cannot distinguish loads from supports."""
    try:
        return problem.changed(halvings=halvings)
    except ValueError:
        return None


def unhelpful(problem: SIMP) -> str | None:
    """Return in words why coarser grids cannot be used for a problem; `None` if they can.

    Half the resolution must leave a filter radius that reaches neighbors, and six elements across.
    """
    rmin, across = problem.densities.filtering.rmin, min(problem.equilibrium.structure.shape)
    if rmin < 2.0 * NARROWEST:
        return f"the filter radius is {rmin:g} elements, below {2.0 * NARROWEST:g}: half the resolution has no room for members so thin"
    if across < 2 * ACROSS:
        return f"the grid is {across} elements across, below {2 * ACROSS}: half of that tells too little"
    return None if averaged(problem) is not None else "half the resolution would put a load on a support"


def race(problem: SIMP, solutions: int) -> list[Stage]:
    r"""Return the stages of two classical starts, each until it hardly gains any more; the lower one goes on.

    Tuned `MMA` is the quicker one on most structures, but its first steps may break the structure, and it drops bars that it never finds
    again. The other start begins with the criteria, whose even pace does neither; `MMA` with smaller steps ends it. If the criteria refuse
    the problem, as with several functions, tuned `MMA` runs alone.

    Before the run may settle there is a third start, with Svanberg's own slow asymptotes. It seldom ends lower, but then by far: a
    cantilever under a load along its whole length by 16 %.
    """
    if problem.functions > 1 or not problem.densities.filtering.exact:
        return [Stage(problem, TUNED, solutions, patience=FLOOR, fresh=True)]
    until = {"patience": HEAT, "gain": GAIN, "floor": True}
    return [
        Stage(problem, TUNED, solutions, fresh=True, **until),
        Stage(problem, CRITERIA, EVEN, fresh=True),
        Stage(problem, FINISH, solutions, **until),
        Stage(problem, FINISH, solutions, patience=FLOOR, best=True),
        Stage(problem, MMA(), solutions, patience=SLOW, fresh=True),
    ]
