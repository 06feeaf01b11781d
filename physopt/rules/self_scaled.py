"""The self-scaled Broyden method: quasi-Newton steps with the whole inverse Hessian, for some thousand unknowns."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from physopt.core.problem import Evaluation
from physopt.core.rule import AbstractRule, Move
from physopt.core.tree import choose, tree_norm, tree_sub, tree_zeros

from .search import Backtracking, SearchState, search_or_shorten


class SelfScaledState(eqx.Module):
    """The search, the gradient at the base, the inverse Hessian, and whether a secant pair is in it."""

    search: SearchState
    grad: PyTree
    inverse: Any
    taught: Any


class SelfScaledBroyden(AbstractRule):
    r"""Step along $-H g$, with $H$ from Broyden's family, scaled anew in each step:

    $$H_+ = \frac1\tau \left( H - \frac{H y y^T H}{y^T H y} + \phi \, v v^T \right) + \frac{s s^T}{y^T s}, \quad
    v = \sqrt{y^T H y} \left( \frac{s}{y^T s} - \frac{H y}{y^T H y} \right)$$

    for a step $s$ that changes the gradient by $y$. $\tau$ and $\phi$ are Al-Baali's, see `weights`. Pairs without positive curvature are
    left out. The first step has the norm `first_step`, and the first pair sets the scale of $H$.

    **Arguments:**

    - `first_step`: in units of the tangent.

    ??? cite "Reference"
        Al-Baali, Spedicato, Maggioni, *Broyden's quasi-Newton methods for a nonlinear system of equations and unconstrained optimization*,
        Optim. Methods Softw. 29, 937 (2014); Urbán, Stefanou, Pons, J. Comput. Phys. 523, 113656 (2025), for networks.
    """

    first_step: float = 0.1
    search: Backtracking = Backtracking()

    def init(self, evaluation: Evaluation) -> SelfScaledState:
        """Start with the identity."""
        flat = ravel_pytree(evaluation.grad)[0]
        return SelfScaledState(
            self.search.init(evaluation), tree_zeros(evaluation.grad), jnp.eye(flat.size, dtype=flat.dtype), jnp.asarray(False)
        )

    def step(self, evaluation: Evaluation, state: SelfScaledState) -> tuple[Move, SelfScaledState]:
        """Make a quasi-Newton step, or shorten the last one."""

        def direction(evaluation: Evaluation) -> tuple[PyTree, Any]:
            g, unravel = ravel_pytree(evaluation.grad)
            s, y = ravel_pytree(state.search.step)[0], ravel_pytree(tree_sub(evaluation.grad, state.grad))[0]
            curved = s @ y > 1e-12 * jnp.linalg.norm(s) * jnp.linalg.norm(y)
            scaled = choose(state.taught, 1.0, jnp.where(curved, s @ y / (y @ y + (y @ y == 0.0)), 1.0)) * state.inverse
            inverse = choose(curved, broyden(scaled, s, y, -state.search.slope), state.inverse)
            taught = state.taught | curved
            step = -(inverse @ g)
            length = self.first_step / (tree_norm(evaluation.grad) + 1e-300)
            step = jnp.where(taught, step, -length * g)
            step = jnp.where(step @ g < 0.0, step, -length * g)
            return unravel(step), (evaluation.grad, inverse, taught)

        kept = (state.grad, state.inverse, state.taught)
        accept, search, (grad, inverse, taught) = search_or_shorten(self.search, evaluation, state.search, direction, kept)
        return Move(search.step, accept), SelfScaledState(search, grad, inverse, taught)


def broyden(inverse: Float[Array, "n n"], s: Float[Array, " n"], y: Float[Array, " n"], descent: Any) -> Float[Array, "n n"]:
    r"""Return $H_+$; `descent` is $-g^T s$ at the point that the step left, so that $s^T H^{-1} s$ is known without $H^{-1}$."""
    hy = inverse @ y
    sound = (s @ y > 0.0) & (y @ hy > 0.0) & (descent > 0.0)  # elsewhere the result is not used, but must have a derivative
    sy, yhy, descent = (jnp.where(sound, value, 1.0) for value in (s @ y, y @ hy, descent))
    tau, phi = weights(descent / sy, yhy / sy, s.size)
    v = jnp.sqrt(yhy) * (s / sy - hy / yhy)
    return (inverse - jnp.outer(hy, hy) / yhy + phi * jnp.outer(v, v)) / tau + jnp.outer(s, s) / sy


def weights(b: Any, h: Any, size: int) -> tuple[Any, Any]:
    r"""Return $\tau$ and $\phi$ from $b = s^T H^{-1} s / y^T s$ and $h = y^T H y / y^T s$, where $h b \ge 1$.

    With $a = h b - 1$ and $c = \sqrt{a / (1 + a)}$ let $\rho = \min(1, h (1 - c))$, and $\theta$ be $(1 - b) / b$, but at least
    $(\rho - 1) / a$ and at most $1 / \rho$. Then $\phi = (1 - \theta) / (1 + a \theta)$, and with $\sigma = 1 + a \theta$ and
    $\tau_1 = \min(1, 1 / b)$

    $$\tau = \tau_1 \min(\sigma^{-1/(n-1)}, 1 / \theta) \text{ for } \theta > 0, \text{ else } \min(\tau_1 \sigma^{-1/(n-1)}, \sigma).$$
    """
    a = jnp.maximum(h * b - 1.0, 1e-12)
    rho = jnp.minimum(1.0, h * (1.0 - jnp.sqrt(a / (1.0 + a))))
    theta = jnp.maximum((rho - 1.0) / a, jnp.minimum(1.0 / rho, (1.0 - b) / b))
    sigma = 1.0 + a * theta
    first, root = jnp.minimum(1.0, 1.0 / b), sigma ** (-1.0 / max(size - 1, 1))
    positive = first * jnp.minimum(root, 1.0 / jnp.where(theta > 0.0, theta, 1.0))
    return jnp.where(theta > 0.0, positive, jnp.minimum(first * root, sigma)), (1.0 - theta) / sigma
