"""What is optimized: an expensive oracle, the cheap model that comes with its answers, and families of such oracles."""

import abc
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import numpy as np
from equinox import AbstractVar
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .tree import Scalar, namespace, tree_add, tree_dot, tree_norm, tree_scale


class Endpoint(eqx.Module):
    """Name a step by the point where it ends: `move_along(problem, x, Endpoint(y))` is `y`.

    Some models find their minimizer directly, not as a tangent (a diagonalization yields orbitals, not a
    rotation). The driver accepts an `Endpoint` wherever it accepts a tangent; arithmetic on it raises an error.
    """

    point: PyTree


class AbstractModel(eqx.Module):
    r"""A cheap approximation of the oracle near one point: $m(v) \approx f(\mathrm{retract}(x, v))$.

    Leaves may be learned. Two laws hold for *any* value of the parameters, so that a fixed point stays exact:

    - $\nabla m(0)$ is the evaluation's gradient $g$; hence `minimize(-g)` is zero, and a zero gradient proposes no move.
    - First-order decrease: $\langle g, \mathrm{minimize}(0) \rangle < 0$ wherever $g \neq 0$.
    """

    @abc.abstractmethod
    def minimize(self, tilt: PyTree | None = None, radius: Scalar | None = None) -> PyTree:
        r"""Return $\arg\min_{|v| \le r} m(v) + \langle t, v \rangle$, exactly or approximately.

        **Arguments:**

        - `tilt`: the tangent $t$, in units of value per tangent; `None` is zero.
        - `radius`: the trust radius $r$, in units of the tangent; `None` is unbounded.

        **Returns:** a tangent.
        """


class Evaluation(eqx.Module):
    r"""The oracle's answer at one point.

    - `value`: $f(x)$, in the problem's `unit`.
    - `grad`: the tangent $g$ with $\frac{d}{dt} f(\mathrm{retract}(x, t v))|_{t=0} = \langle g, v \rangle$ for every $v$.
    - `model`: the domain's cheap approximation of the oracle near this point.
    - `cost`: what the problem has spent since its last answer, this one included, in units of one full call of its oracle: less than 1
      for a batch in part, more where the model's own work is counted.
    """

    value: Scalar
    grad: PyTree
    model: AbstractModel
    cost: Scalar = 1.0


def finite(evaluation: Evaluation, grad_norm: Any | None = None) -> Any:
    """Say whether value and gradient are finite."""
    norm = tree_norm(evaluation.grad) if grad_norm is None else grad_norm
    xp = namespace(norm)
    return xp.isfinite(evaluation.value) & xp.isfinite(norm)


def predicted_decrease(evaluation: Evaluation) -> Any:
    r"""Return $-\tfrac12 \langle g, \mathrm{minimize}(0) \rangle$: what a quadratic model still expects to gain."""
    return -0.5 * tree_dot(evaluation.grad, evaluation.model.minimize())


class Euclidean(AbstractModel):
    r"""The model of steepest descent, $m(v) = \langle g, v \rangle + \tfrac12 |v|^2$: the model of a plain gradient."""

    grad: PyTree

    def minimize(self, tilt: PyTree | None = None, radius: Scalar | None = None) -> PyTree:
        """Return `-(grad + tilt)`, shortened to `radius`. See `AbstractModel.minimize`."""
        force = self.grad if tilt is None else tree_add(self.grad, tilt)
        return shorten(tree_scale(-1.0, force), radius)


def shorten(step: PyTree, radius: Scalar | None) -> PyTree:
    r"""Return `step` scaled by $\min(1, r / |v|)$; `None` leaves it unchanged."""
    if radius is None:
        return step
    norm = tree_norm(step)
    return tree_scale(namespace(norm).minimum(1.0, radius / (norm + 1e-300)), step)


class AbstractProblem(eqx.Module):
    """An oracle on a space with a cheap retraction. It never sees the rule, files, budgets or stopping tests.

    - `traceable`: may JAX trace through `evaluate` and `retract`? Read by the driver only.
    - `unit`: the unit of the value, written into every record ("hartree", "1").
    """

    traceable: AbstractVar[bool]
    unit: AbstractVar[str]

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray) -> PyTree:
        """Return a starting point; its cost counts as the oracle's."""

    @abc.abstractmethod
    def evaluate(self, point: PyTree) -> Evaluation:
        """Call the oracle: the expensive step. Deterministic: the same point gives the same answer."""

    @abc.abstractmethod
    def retract(self, point: PyTree, step: PyTree) -> PyTree:
        """Move along a tangent; the manifold, bounds and constraints are enforced here. Law: `retract(x, 0)` is `x`."""

    def curve(self, point: PyTree, evaluation: Evaluation) -> Callable[[PyTree], PyTree] | None:
        r"""Return the product of the exact Hessian with a tangent at a stationary point, $v \mapsto d g(\mathrm{retract}(x, t v)) / dt$.

        By default `None`: whoever needs it takes differences of gradients, or JAX's derivative of a traceable problem.
        """
        return None

    def shown(self, point: PyTree) -> Mapping[str, np.ndarray]:
        """Return readable arrays of a point by name, to be stored with it in a record, such as physical densities. Empty by default."""
        return {}


class AbstractFamily(eqx.Module):
    """A distribution over problems, indexed by a task vector `mu`.

    - `traceable`: are its problems? Read before one is built.
    """

    traceable: AbstractVar[bool]

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray) -> Float[Array, " mu"]:
        """Draw a task vector."""

    @abc.abstractmethod
    def problem(self, mu: Float[Array, " mu"]) -> AbstractProblem:
        """Build the problem with task vector `mu`; traceable in `mu` if the problem is."""

    def query(self, mu: Float[Array, " mu"]) -> AbstractProblem:
        """Return the problem that a solution of the task is judged by: the same one, but for few shots of data that of other data."""
        return self.problem(mu)


def move_along(problem: AbstractProblem, base: PyTree, step: PyTree | Endpoint) -> PyTree:
    """Return the point that `step`, a tangent at `base` or an `Endpoint`, leads to."""
    return step.point if isinstance(step, Endpoint) else problem.retract(base, step)


def step_norm(step: PyTree | Endpoint) -> Any:
    """Return the norm of a tangent; NaN for an `Endpoint`, which has none."""
    return float("nan") if isinstance(step, Endpoint) else tree_norm(step)
