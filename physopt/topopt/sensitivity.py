"""How an optimal design moves with the parameters of its problem: the optimality conditions differentiated, by one linear solve each."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from physopt.core.boxed import Program, boxed_program
from physopt.core.sensitivity import conjugate_gradients, differences

from .curvature import curvature
from .problem import SIMP

NEAR = 1e-9  # of the width of the bounds: a density this near to a bound is at it


class DesignSensitivity(NamedTuple):
    r"""How the optimum changes with one parameter.

    - `design`: $dx^* / d\mu$; zero where a density stays at its bound. `multiplier`: $d\lambda / d\mu$ of the volume constraint.
    - `value`: $df^* / d\mu$ of the minimum, for which the design's own change does not matter.
    """

    design: Float[ndarray, "..."]
    multiplier: float
    value: float


class Optimum(NamedTuple):
    r"""What the optimality conditions say of a design: $c' + \lambda w$ is zero where it is `free`, and points outward at bounds."""

    program: Program
    slope: Float[ndarray, "..."]
    free: Bool[ndarray, "..."]
    price: float

    def residual(self) -> float:
        r"""Return the largest $|c' + \lambda w|$ of a free density, relative to $\lambda w$."""
        off = (self.slope + self.price * self.program.weights)[self.free]
        return float(abs(off).max() / abs(self.price * self.program.weights).max())


def sensitivity(
    problem_of: Callable[[Any], SIMP],
    mu: float | int | Float[ndarray, " d"],
    design: Float[ndarray, "..."],
    *,
    tolerance: float = 1e-6,
    step: float | int | Float[ndarray, " d"] | None = None,
) -> list[DesignSensitivity]:
    r"""Return how an optimal design changes with each parameter: of its loads, supports, filter, volume, objective, ...

    With the active bounds held, the conditions $c' + \lambda w = 0$ on the free densities and $w \cdot x = V$ give

    $$\begin{pmatrix} H & w \\ w^T & 0 \end{pmatrix} \begin{pmatrix} dx \\ d\lambda \end{pmatrix}
    = - \begin{pmatrix} \partial_\mu c' + \lambda \, \partial_\mu w \\ \partial_\mu w \cdot x - \partial_\mu V \end{pmatrix},$$

    by conjugate gradients on the designs of equal volume. A product with $H$ is one adjoint solve of the equilibrium; see `curvature`.

    **Arguments:**

    - `problem_of`: the problem with given parameters. `design`: a minimum of `problem_of(mu)`.
    - `tolerance`: of $|c' + \lambda w|$ on free densities, relative to $\lambda w$, and of the volume; what is further off is refused.
    - `step`: of the differences of $c'$, $w$ and $V$, in units of `mu`, at four solves a parameter. See `physopt.sensitivity`.

    **Raises:** `ValueError` for a design that is not optimal, or where a density has just reached its bound, so that there is a kink;
    for a sensitivity filter, and for the largest of several functions. `numpy.linalg.LinAlgError` where the design is no isolated minimum.

    ??? cite "Reference"
        Fiacco, *Introduction to Sensitivity and Stability Analysis in Nonlinear Programming* (1983), theorem 3.2.2.
    """
    problem = problem_of(mu)
    here = optimum(problem, design, tolerance)
    weights, free, price = here.program.weights, here.free, here.price
    along = np.where(free, weights, 0.0)
    steepness = np.maximum(-2.0 * here.slope / design, 1e-12 * float(abs(here.slope / design).max()))  # of a function of 1 / x
    eased = along / steepness

    def projected(field: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        field = np.where(free, field, 0.0)
        return field - along * (along * field).sum() / (along * along).sum()

    def precondition(force: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        eased_force = np.where(free, force / steepness, 0.0)
        return eased_force - eased * (along * eased_force).sum() / (along * eased).sum()

    def posed(other: Any) -> tuple[ndarray, ndarray, ndarray, np.float64]:
        program = boxed_program(problem_of(other).evaluate(design))
        return program.slope, program.weights, np.array(program.volume), program.values[0]

    found, curve = [], curvature(problem, design)
    for slope, weight, volume, value in differences(posed, mu, step):
        force = -(slope + price * weight)
        kept = along * (float(volume) - float((weight * design).sum())) / (along * along).sum()
        right = projected(force - curve(kept)) if kept.any() else projected(force)
        moved = kept + conjugate_gradients(lambda v: projected(curve(v)), right, precondition, 1e-10)
        multiplier = float((along * (force - curve(moved))).sum() / (along * along).sum())
        gain = float(value) + price * (float((weight * design).sum()) - float(volume))
        found.append(DesignSensitivity(moved, multiplier, gain))
    return found


def optimum(problem: SIMP, design: Float[ndarray, "..."], tolerance: float) -> Optimum:
    """Return what the optimality conditions say of a design; see `sensitivity` for what is refused."""
    program = boxed_program(problem.evaluate(design))
    if not program.exact:
        raise ValueError(
            "A sensitivity filter's gradient is the derivative of no function, so that designs have no sensitivity: use DensityFilter."
        )
    slope, weights = program.slope, program.weights
    margin = NEAR * (program.upper - program.lower)
    free = (design > program.lower + margin) & (design < program.upper - margin) & (weights > 0.0)
    if not free.any():
        raise ValueError("Every density is at a bound: the design does not change with small changes of the parameters.")
    price = -float((slope * weights)[free].sum() / (weights * weights)[free].sum())
    here = Optimum(program, slope, free, price)
    short = abs(program.used(design) - program.volume) / program.volume
    if not (here.residual() <= tolerance and short <= tolerance):
        raise ValueError(
            f"The design is not optimal: on free densities c' + lambda w is up to {here.residual():.1e} of lambda w, and the volume is "
            f"off by {short:.1e}, above {tolerance:g}. Give it more solves, or allow it by tolerance=..., with errors of that order."
        )
    outward = np.where(design <= program.lower + margin, 1.0, -1.0) * (slope + price * weights) / float(abs(price * weights).max())
    held = ~free & (weights > 0.0) & (program.upper > program.lower)
    if wrong := int((outward[held] <= tolerance).sum()):
        raise ValueError(
            f"{wrong} densities are at a bound that they are about to leave: the design has a kink there, or is not optimal. "
            "Change the parameters a little, or give it more solves."
        )
    return here
