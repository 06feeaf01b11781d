"""How a stationary point moves with the parameters of its problem: any problem, on the host, by one linear solve for each parameter."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, PyTree

from .answers import judged, lent
from .problem import AbstractProblem, Evaluation
from .tree import tree_add, tree_combine, tree_dot, tree_norm, tree_scale, tree_sub, tree_zeros

FLAT = 1e-10  # curvature, as a fraction of the largest seen, that counts as none
STENCIL = ((-2.0, 1.0 / 12.0), (-1.0, -2.0 / 3.0), (1.0, 2.0 / 3.0), (2.0, -1.0 / 12.0))  # the derivative, to fourth order


def sensitivity(
    problem_of: Callable[[Any], AbstractProblem],
    mu: float | int | Float[np.ndarray, " d"],
    point: PyTree,
    *,
    grad_norm: float = 1e-6,
    step: float | int | Float[np.ndarray, " d"] | None = None,
    rtol: float = 1e-10,
) -> list[PyTree]:
    r"""Return $dx^*/d\mu_k$ for each parameter, as tangents at a stationary point of `problem_of(mu)`: $v_k = -H^{-1} \partial_k g$.

    So $x^*(\mu + d\mu) \approx \mathrm{retract}(x^*, \sum_k v_k \, d\mu_k)$. $\partial_k g$ is a difference of gradients at the same
    point, four calls of the oracle for each parameter. $H^{-1}$ is conjugate gradients with the problem's `curve`, preconditioned by its
    model: a few products where the model is good.

    **Arguments:**

    - `problem_of`: the problem with given parameters, such as `family.problem`; `point`: solves `problem_of(mu)`.
    - `grad_norm`: a point with a larger $|g|$ is refused; in the problem's unit per tangent.
    - `step`: of the differences, in units of `mu`; by default $10^{-3} |\mu_k|$, or $10^{-3}$ where that is zero.
    - `rtol`: of the linear solve's residual.

    **Raises:** `ValueError` where the point is not stationary; `numpy.linalg.LinAlgError` where the Hessian is not positive definite, or
    singular and the parameter pulls along a direction without curvature. Where nothing pulls along it, the tangent has no part of it.
    """
    checked(mu)
    problem = problem_of(mu)
    evaluation = asked(problem, point)
    refuse_moving(float(tree_norm(evaluation.grad)), grad_norm)
    curve = problem.curve(point, evaluation) or differenced(problem, point)
    changes = differences(lambda other: asked(problem_of(other), point).grad, mu, step)
    return [conjugate_gradients(curve, tree_scale(-1.0, change), by_model(evaluation), rtol) for change in changes]


def by_model(evaluation: Evaluation) -> Callable[[PyTree], PyTree]:
    """Return the inverse of the model's curvature: the step by which a force of the same size would be answered."""
    return lambda force: tree_scale(-1.0, evaluation.model.minimize(tree_sub(force, evaluation.grad)))


def differences(
    function: Callable[[Any], PyTree], mu: float | int | Float[np.ndarray, " d"], step: float | int | Float[np.ndarray, " d"] | None
) -> list[PyTree]:
    """Return the derivative of a function with respect to each parameter, by central differences of fourth order."""
    centre = checked(mu)
    steps = np.broadcast_to(1e-3 * np.where(centre == 0.0, 1.0, np.abs(centre)) if step is None else np.asarray(step, float), centre.shape)
    if not (np.isfinite(steps).all() and (steps > 0.0).all()):
        raise ValueError(f"step={step!r}: differences need finite steps above 0, in the units of the parameters.")
    found = []
    for index in np.ndindex(centre.shape):
        parts = []
        for times, _ in STENCIL:
            moved = centre.copy()
            moved[index] += times * steps[index]
            parts.append(function(moved if centre.ndim else float(moved)))
        found.append(tree_scale(1.0 / float(steps[index]), tree_combine([weight for _, weight in STENCIL], parts)))
    return found


def checked(mu: float | int | Float[np.ndarray, " d"]) -> Float[np.ndarray, "..."]:
    """Return the parameters as an array; `ValueError` for anything but finite numbers."""
    numbers = np.asarray(mu, float)
    if numbers.ndim > 1 or not np.isfinite(numbers).all():
        raise ValueError(f"The parameters are {mu!r}; write one finite number, or a vector of them.")
    return numbers


def refuse_moving(norm: float, bound: float) -> None:
    """Raise `ValueError` for a gradient that is not small."""
    if not norm <= bound:
        raise ValueError(
            f"|g| is {norm:.3g} at this point, above {bound:g}. Only a stationary point has a sensitivity: go on until it has converged, "
            "or allow it by grad_norm=..., with errors of that order."
        )


def conjugate_gradients(
    curve: Callable[[PyTree], PyTree], force: PyTree, precondition: Callable[[PyTree], PyTree], rtol: float, most: int | None = None
) -> PyTree:
    r"""Return $H^{-1} b$ for positive definite $H$; the preconditioner may be approximate, and differ a little from call to call.

    **Raises:** `numpy.linalg.LinAlgError` where $H$ is singular or not positive definite along some direction, or the solve does not end.

    ??? cite "Reference"
        Notay, SIAM J. Sci. Comput. 22 (2000) 1444, flexible conjugate gradients.
    """
    solution, residual = tree_zeros(force), force
    goal = rtol * float(tree_norm(force))
    if goal == 0.0:
        return solution
    rng = np.random.default_rng(0)
    drawn = jax.tree.map(lambda leaf: rng.standard_normal(np.shape(leaf)).astype(leaf.dtype), force)
    largest = abs(float(tree_dot(drawn, curve(drawn)))) / float(tree_dot(drawn, drawn))  # the force alone may pull where it is flat
    most = 10 * sum(np.size(leaf) for leaf in jax.tree.leaves(force)) + 20 if most is None else most
    direction = precondition(residual)
    for _ in range(most):
        image = curve(direction)
        square, curvature = float(tree_dot(direction, direction)), float(tree_dot(direction, image))
        largest = max(largest, abs(curvature) / square)
        if not curvature > FLAT * largest * square:
            raise np.linalg.LinAlgError(
                f"The Hessian is {'singular' if abs(curvature) <= FLAT * largest * square else 'not positive definite'} here: along a "
                f"direction its curvature is {curvature / square:.2g}, the largest is {largest:.2g}. The minimum is not isolated, or no "
                "minimum; remove that freedom from the problem, or go on to a minimum."
            )
        length = float(tree_dot(residual, direction)) / curvature
        solution = tree_combine([1.0, length], [solution, direction])
        residual = tree_combine([1.0, -length], [residual, image])
        if float(tree_norm(residual)) <= goal:
            return solution
        rest = precondition(residual)
        against = float(tree_dot(rest, image)) / curvature
        direction = tree_combine([1.0, -against], [rest, direction])
    raise np.linalg.LinAlgError(
        f"The linear solve left {float(tree_norm(residual)) / float(tree_norm(force)):.1e} of its right side after {most} products, not "
        f"{rtol:g}: the Hessian is nearly singular, or `curve` is not symmetric."
    )


def asked(problem: AbstractProblem, point: PyTree) -> Evaluation:
    """Return the oracle's answer; host arrays are copied before."""
    return judged(problem, problem.evaluate(lent(point)))


def differenced(problem: AbstractProblem, point: PyTree, step: float = 1e-3) -> Callable[[PyTree], PyTree]:
    """Return the Hessian's product with a tangent: JAX's derivative, or of a host problem central differences, four calls of the oracle.

    **Arguments:** `step`: length of the displacement of these, in units of the tangent.
    """
    if problem.traceable:
        zero = tree_zeros(problem.evaluate(point).grad)
        return jax.linearize(lambda tangent: problem.evaluate(problem.retract(point, tangent)).grad, zero)[1]

    def product(tangent: PyTree) -> PyTree:
        norm = float(tree_norm(tangent))
        if norm == 0.0:
            return tangent
        total = tree_zeros(tangent)
        for times, weight in STENCIL:
            grad = asked(problem, problem.retract(lent(point), tree_scale(times * step / norm, tangent))).grad
            total = tree_add(total, tree_scale(weight * norm / step, grad))
        return total

    return product
