"""The training of the response kernel: a deterministic fit to exact responses, and its value in exact builds."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.optimize
from numpy import ndarray
from pyscf import gto

from physopt.scf.auxiliary import Auxiliary
from physopt.scf.learned import KernelWeights
from physopt.scf.meter import GRAD_TOL, Meter
from physopt.scf.method.accelerate import accelerate

from .lessons import Lesson

RIDGE = 0.02  # of a weight of 1, in decades of the error
SHARED = 20  # lessons that settle the exponents of all elements

Tell = Callable[[str, float], None]


def loss(lessons: Sequence[Lesson], weights: KernelWeights) -> float:
    r"""Return the mean $\log_{10}$ of the relative error of the response; all lessons have equal weight."""
    auxiliary = weights.auxiliary()
    return float(np.mean([np.log10(lesson.errors(auxiliary)).mean() for lesson in lessons]))


def fit(lessons: Sequence[Lesson], start: KernelWeights, *, evaluations: int, tell: Tell = lambda stage, value: None) -> KernelWeights:
    """Fit the weights to the lessons: first the exponents of all elements, then a scale for each element that occurs.

    The methods are Powell's and Brent's, which need no derivatives and give the same result each time. A ridge keeps
    weights in place on which the lessons do not depend.

    **Arguments:**

    - `start`: the starting weights, to which the ridge pulls. `evaluations`: of the loss, for the exponents.
    - `tell`: called as `tell(stage, loss)` after each evaluation.

    ??? cite "Reference"
        Powell, Comput. J. 7 (1964) 155; Brent, Algorithms for Minimization without Derivatives (1973), chapter 5.
    """
    few = lessons[:: -(-len(lessons) // SHARED)]

    def shared(values: ndarray) -> float:
        value = loss(few, dataclasses.replace(start, exponents=values))
        tell("exponents", value)
        return value + RIDGE * float(np.sum((values - start.exponents) ** 2)) / len(values)

    options = {"maxfev": evaluations, "xtol": 0.01, "ftol": 1e-4}
    found = scipy.optimize.minimize(shared, start.exponents, method="Powell", options=options)
    weights = dataclasses.replace(start, exponents=np.asarray(found.x))
    for symbol in sorted(frozenset().union(*(lesson.symbols for lesson in lessons))):
        weights = _scaled(symbol, [lesson for lesson in lessons if symbol in lesson.symbols], start, weights, tell)
    return weights


def _scaled(symbol: str, lessons: Sequence[Lesson], start: KernelWeights, weights: KernelWeights, tell: Tell) -> KernelWeights:
    number = gto.charge(symbol)

    def moved(value: float) -> KernelWeights:
        scales = weights.scales.copy()
        scales[number] = value
        return dataclasses.replace(weights, scales=scales)

    def each(value: float) -> float:
        found = loss(lessons, moved(value))
        tell(symbol, found)
        return found + RIDGE * float(value - start.scales[number]) ** 2

    centre = float(start.scales[number])
    found = scipy.optimize.minimize_scalar(
        each, bounds=(centre - 1.0, centre + 1.0), method="bounded", options={"maxiter": 8, "xatol": 0.02}
    )
    return moved(float(found.x)) if found.fun < each(centre) else weights


def score(mf: Any, auxiliary: Auxiliary) -> dict[str, Any]:
    """Return the exact builds of one accelerated run and $|g|$, in PySCF's norm, after each of the first three.

    A run that has ended counts a twentieth of its last gradient, so that means remain defined.
    """
    norms: list[float] = []
    meter = Meter()
    mf = meter.watch(accelerate(mf, weights=auxiliary, start="fitted"))
    mf.conv_tol_grad = GRAD_TOL
    mf.callback = lambda envs: norms.append(float(envs["norm_gorb"]))
    mf.kernel()
    first = [*norms[:3], *[norms[-1] / 20.0] * (3 - len(norms))]
    return {"exact_builds": meter.builds, "converged": bool(mf.converged), "grad_norms": first}
