"""Second derivatives of the objective in the design: one adjoint solve of the equilibrium for each product."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .averaged import Averaged
from .element import corners
from .problem import SIMP

SMALL = 1e-4  # a change of densities for differences of what is cheap: no solve is made for these


def curvature(problem: SIMP, design: Float[ndarray, "..."]) -> Callable[[Float[ndarray, "..."]], Float[ndarray, "..."]]:
    r"""Return the product $H p$ of $H = \partial^2 f / \partial x^2$ at a design, for an objective of one function.

    With $\delta K = \sum_e E_e' \, \delta \hat x_e \, K_0$ the displacements change by $K \, \delta u = - \delta K \, u$, which is one
    solve, and $\partial f / \partial E_e = - \sum_{ij} W_{ij} u_{i,e}^T K_0 u_{j,e}$ by the product rule. How $W$, the stiffness and the
    projection bend is taken by central differences, without a solve.

    **Raises:** `ValueError` for several functions, or a problem that is solved on an averaged grid.
    """
    equilibrium = problem.equilibrium
    if isinstance(equilibrium, Averaged):
        raise ValueError("Second derivatives are those of the exact equilibrium; take the problem with halvings=0.")
    if problem.functions != 1:
        raise ValueError(
            f"The objective is the largest of {problem.functions} functions, which has kinks: use MeanCompliance or PowerMean."
        )
    span, law = problem.solid - problem.softest, problem.interpolation
    density = problem.density(design)
    young, stiffening = problem.young(density), law.slope(density, problem.penal, span)
    work = equilibrium.work(young)
    weights = problem.objective.linearized(work.matrix)[1]
    (slope,) = work.slopes(weights)

    def between(function: Callable[[float], ndarray], size: float) -> ndarray:
        """Return the derivative at zero of a function that is cheap, along something of a size."""
        h = SMALL / max(size, 1e-300)
        return (function(h) - function(-h)) / (2.0 * h)

    def product(p: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        reach = float(abs(p).max())
        if reach == 0.0:
            return np.zeros_like(p)
        change = between(lambda t: problem.density(design + t * p), reach)
        softer = stiffening * change
        bent = between(lambda t: law.slope(density + t * change, problem.penal, span), float(abs(change).max()))
        loads = -gathered(softer * work.forces)
        moved = equilibrium.answered(young, loads)
        inner = -np.einsum("abie,abje,e->ij", *(part.reshape(*part.shape[:3], -1) for part in (work.fields, work.forces)), softer.ravel())
        turned = between(
            lambda t: problem.objective.linearized(work.matrix + t * inner)[1], float(abs(inner).max() / abs(work.matrix).max())
        )
        cross = work._replace(fields=equilibrium.local(moved))
        sloped = 2.0 * cross.slopes(weights)[0] + work.slopes(turned)[0]
        pulled = problem.densities.pulled(design, bent * slope + stiffening * sloped)
        if problem.densities.sharpness > 0.0:
            pulled = pulled + between(lambda t: problem.densities.pulled(design + t * p, stiffening * slope), reach)
        return pulled

    return product


def gathered(forces: Float[ndarray, "corner comp case ..."]) -> Float[ndarray, "case comp ..."]:
    """Return the forces on nodes, given those on the corners of each element."""
    shape = forces.shape[3:]
    nodes = np.zeros((forces.shape[2], forces.shape[1], *(n + 1 for n in shape)))
    for corner, part in zip(corners(len(shape)), forces, strict=True):
        nodes[..., *(slice(k, k + n) for k, n in zip(corner, shape, strict=True))] += np.moveaxis(part, 0, 1)
    return nodes
