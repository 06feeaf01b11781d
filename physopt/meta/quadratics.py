"""A small family for meta-learning: random wells whose cheap model is only approximately right."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from physopt.core.problem import AbstractFamily, AbstractModel, AbstractProblem, Evaluation, shorten
from physopt.core.tree import Scalar
from physopt.meta.starts.modes import LowRank


class Metric(AbstractModel):
    r"""The quadratic model $m(v) = \langle g, v \rangle + \tfrac12 v^T P^{-1} v$ of a fixed inverse curvature $P$.

    - `grad`: $g$. `inverse`: $P$, symmetric and positive definite, a matrix or of low rank.
    """

    grad: Float[Array, " n"] | Float[np.ndarray, " n"]
    inverse: Float[Array, "n n"] | Float[np.ndarray, "n n"] | LowRank

    def minimize(self, tilt: PyTree | None = None, radius: Scalar | None = None) -> Any:
        """Return $-P (g + t)$, shortened to `radius`. See `AbstractModel.minimize`."""
        force = self.grad if tilt is None else self.grad + tilt
        return shorten(-(self.inverse @ force), radius)


def parabola(z: Float[Array, " n"]) -> Float[Array, " n"]:
    r"""Return $\tfrac12 z^2$: the well of a quadratic problem."""
    return 0.5 * z * z


def log_cosh(z: Float[Array, " n"]) -> Float[Array, " n"]:
    r"""Return $\tfrac19 \log \cosh 3z$: curvature 1 at the bottom and 0 far away, so that a quadratic model misleads."""
    return (jnp.logaddexp(3.0 * z, -3.0 * z) - jnp.log(2.0)) / 9.0


class Well(AbstractProblem):
    r"""The problem $f(x) = \sum_i \lambda_i \phi(z_i)$ with $z = Q^T (x - x_*)$, and a `Metric` as its model.

    With $\phi$ the `parabola`, $f(x) = \tfrac12 (x - x_*)^T A (x - x_*)$ and $A = Q \Lambda Q^T$.

    - `axes`: $Q$, orthogonal. `curvatures`: $\lambda > 0$. `bottom`: $x_*$.
    - `inverse`: $P \approx A^{-1}$, the model's. `shape`: $\phi$, applied elementwise.
    """

    axes: Float[Array, "n n"]
    curvatures: Float[Array, " n"]
    bottom: Float[Array, " n"]
    inverse: Float[Array, "n n"]
    shape: Callable[[Float[Array, " n"]], Float[Array, " n"]] = eqx.field(static=True)
    traceable: bool = eqx.field(default=True, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key: PRNGKeyArray) -> Float[Array, " n"]:
        """Draw a standard normal point."""
        return jax.random.normal(key, self.bottom.shape, self.bottom.dtype)

    def evaluate(self, point: Float[Array, " n"]) -> Evaluation:
        """Return value, gradient and the approximate model."""

        def value(x: Float[Array, " n"]) -> Float[Array, ""]:
            return (self.curvatures * self.shape(self.axes.T @ (x - self.bottom))).sum()

        f, grad = jax.value_and_grad(value)(point)
        return Evaluation(f, grad, Metric(grad, self.inverse))

    def retract(self, point: Float[Array, " n"], step: Float[Array, " n"] | Float[np.ndarray, " n"]) -> Float[Array, " n"]:
        """Return `point + step`."""
        return point + step


class Quadratics(AbstractFamily):
    r"""Wells of `dim` dimensions with task vector $\mu = (\log_{10} \kappa, \log_{10} \sigma, \log_{10} b, \text{seed})$.

    The curvatures are spaced evenly in the logarithm from 1 down to $1 / \kappa$. The model's curvature is
    $P^{-1} = b \, A^{1/2} R D R^T A^{1/2}$ with a random rotation $R$ and $D$ spaced evenly in the logarithm from $\sigma^{-1/2}$ to
    $\sigma^{1/2}$: hence $P A$ has condition number $\sigma$ exactly, and $b$ is a bias. The seed determines $Q$, $R$ and $x_*$.

    **Arguments:**

    - `dim`: number of unknowns, at least 2. `shape`: the well, `parabola` or `log_cosh`.
    - `log_condition`, `log_spread`, `log_bias`: the ranges the first three components are drawn from, uniformly.
    """

    dim: int = eqx.field(default=16, static=True)
    shape: Callable[[Float[Array, " n"]], Float[Array, " n"]] = eqx.field(default=parabola, static=True)
    log_condition: tuple[float, float] = (1.0, 4.0)
    log_spread: tuple[float, float] = (0.5, 1.5)
    log_bias: tuple[float, float] = (-0.25, 0.25)
    traceable: bool = eqx.field(default=True, static=True)

    def __check_init__(self) -> None:
        if self.dim < 2:
            raise ValueError(f"Quadratics(dim={self.dim}): a condition number needs at least 2 dimensions; write dim=2 or more.")

    def sample(self, key: PRNGKeyArray) -> Float[Array, " 4"]:
        """Draw a task vector."""
        ranges, seeds = jax.random.split(key)
        low, high = jnp.asarray([self.log_condition, self.log_spread, self.log_bias], float).T
        # A float holds integers exactly up to 2^24 even in single precision.
        seed = jax.random.randint(seeds, (1,), 0, 2**24).astype(low.dtype)
        return jnp.concatenate([low + (high - low) * jax.random.uniform(ranges, (3,), low.dtype), seed])

    def problem(self, mu: Float[Array, " 4"]) -> Well:
        """Build the well with task vector `mu`; traceable in `mu`."""
        condition, spread, bias = 10.0 ** mu[0], 10.0 ** mu[1], 10.0 ** mu[2]
        of_axes, of_model, of_bottom = jax.random.split(jax.random.key(mu[3].astype(jnp.uint32)), 3)
        grid = jnp.linspace(0.0, 1.0, self.dim, dtype=mu.dtype)
        curvatures = condition**-grid
        axes = _rotation(of_axes, grid)
        mixed = (axes * curvatures**-0.5) @ _rotation(of_model, grid)
        inverse = (mixed * spread ** (grid - 0.5)) @ mixed.T / bias
        bottom = jax.random.normal(of_bottom, grid.shape, grid.dtype)
        return Well(axes=axes, curvatures=curvatures, bottom=bottom, inverse=inverse, shape=self.shape)


def _rotation(key: PRNGKeyArray, like: Float[Array, " n"]) -> Float[Array, "n n"]:
    # Reflections at random planes mix all axes and need no LAPACK call inside the compiled step of a training.
    rotation = jnp.eye(like.size, dtype=like.dtype)
    for normal in jax.random.normal(key, (6, like.size), like.dtype):
        rotation = rotation - (2.0 / (normal @ normal)) * jnp.outer(normal, normal @ rotation)
    return rotation
