"""Poisson's equation on the unit square, with a solution known in advance."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from physopt.core.gauss_newton import GaussNewton
from physopt.core.problem import AbstractProblem, Evaluation
from physopt.core.tree import tree_add


class Poisson(AbstractProblem):
    r"""Find $u$ with $-\Delta u = f$ on the unit square, $u = 0$ on its edge, as a network: $u(x, y) = x (1-x) y (1-y) \, N_\theta(x, y)$.

    The solution is manufactured, $u^*(x, y) = \sum_{kl} a_{kl} \sin k \pi x \, \sin l \pi y$, and $f$ follows from it. The value is
    $\tfrac12 |r|^2$ with $r_i = (\Delta u + f)(x_i) / \sqrt{n}$ at $n$ collocation points. A point is the arrays of an
    `equinox.nn.MLP`; steps are added. One evaluation is one residual with its Jacobian.

    **Arguments:**

    - `amplitude`: $a_{kl}$, shape `(modes, modes)`, $k, l = 1, 2, \dots$
    - `collocation`: points of the open unit square.
    - `width`, `depth`: of the tanh network. `damping`: $c$ in the model's $\lambda = c |r|$: large far from a solution, zero at a solution.

    **Raises:** `ValueError` unless JAX computes in float64: Gauss-Newton squares the condition number.

    ??? cite "Reference"
        Hard boundary conditions: Lagaris, Likas, Fotiadis, IEEE Trans. Neural Networks 9 (1998) 987, eq. (10).
    """

    amplitude: Float[Array, "k l"]
    collocation: Float[Array, "n 2"]
    width: int = eqx.field(default=16, static=True)
    depth: int = eqx.field(default=2, static=True)
    damping: float = 0.05
    traceable: bool = eqx.field(default=True, static=True)
    unit: str = eqx.field(default="1", static=True)

    def __check_init__(self) -> None:
        if jnp.result_type(float) != jnp.float64:
            raise ValueError(
                "Poisson needs float64, which JAX leaves off by default: the normal equations of Gauss-Newton lose half of all digits. "
                'Write jax.config.update("jax_enable_x64", True) before the first array.'
            )
        if min(self.width, self.depth) < 1:
            raise ValueError(f"A network of width {self.width} and depth {self.depth} is empty; write at least 1, such as 16 and 2.")

    def init(self, key: PRNGKeyArray | Array) -> PyTree:
        """Return the parameters of a fresh network."""
        return eqx.filter(self._network(key), eqx.is_array)

    def evaluate(self, point: PyTree) -> Evaluation:
        """Compute the residual and its Jacobian in one sweep over the collocation points."""
        flat, unravel = ravel_pytree(point)
        scale = len(self.collocation) ** -0.5

        def residual(theta: Float[Array, " p"], x: Float[Array, "2"]) -> Float[Array, ""]:
            return scale * (_laplacian(lambda z: self.solution(unravel(theta), z), x) + self.source(x))

        r, jacobian = jax.vmap(jax.value_and_grad(residual), (None, 0))(flat, self.collocation)
        square, grad = r @ r, unravel(jacobian.T @ r)
        return Evaluation(0.5 * square, grad, GaussNewton(grad, jacobian.T @ jacobian, self.damping * jnp.sqrt(square)))

    def retract(self, point: PyTree, step: PyTree) -> PyTree:
        """Return `point + step`."""
        return tree_add(point, step)

    def solution(self, point: PyTree, x: Float[Array, "2"]) -> Float[Array, ""]:
        """Return the network's $u$ at one position."""
        network = eqx.combine(point, eqx.filter_eval_shape(self._network, jax.random.key(0)))
        return jnp.prod(x * (1.0 - x)) * network(x)

    def exact(self, x: Float[Array, "2"]) -> Float[Array, ""]:
        r"""Return $u^*$ at one position."""
        return jnp.sum(self.amplitude * _modes(self.amplitude, x))

    def source(self, x: Float[Array, "2"]) -> Float[Array, ""]:
        r"""Return $f = \sum_{kl} a_{kl} \pi^2 (k^2 + l^2) \sin k \pi x \, \sin l \pi y$ at one position."""
        k, ell = _wave_numbers(self.amplitude.shape)
        return jnp.sum(jnp.pi**2 * (k**2 + ell**2) * self.amplitude * _modes(self.amplitude, x))

    def error(self, point: PyTree, num: int = 64) -> Float[Array, ""]:
        r"""Return the relative error $|u - u^*| / |u^*|$ in $L^2$, by the midpoints of `num` by `num` cells."""
        x = square_grid(num)
        u, exact = jax.vmap(lambda z: self.solution(point, z))(x), jax.vmap(self.exact)(x)
        return jnp.linalg.norm(u - exact) / jnp.linalg.norm(exact)

    def _network(self, key: PRNGKeyArray | Array) -> eqx.nn.MLP:
        return eqx.nn.MLP(2, "scalar", self.width, self.depth, jnp.tanh, key=key)


def single_mode(frequency: int) -> Float[Array, "k l"]:
    r"""Return the amplitudes of $u^* = \sin k \pi x \, \sin k \pi y$ with $k$ = `frequency`."""
    if frequency < 1:
        raise ValueError(f"The frequency is {frequency}; the solution vanishes on the edge only for whole numbers from 1 on.")
    return jnp.zeros((frequency, frequency)).at[-1, -1].set(1.0)


def scatter(key: PRNGKeyArray | Array, num: int) -> Float[Array, "n 2"]:
    """Return `num` collocation points, uniform in the open unit square; the same key gives the same points."""
    if num < 1:
        raise ValueError(f"{num} collocation points pose no equation; write at least as many as the network has parameters.")
    return jax.random.uniform(key, (num, 2))


def square_grid(num: int) -> Float[Array, "cells 2"]:
    """Return the midpoints of `num` by `num` cells of the unit square, the first coordinate slowest."""
    middle = (jnp.arange(num) + 0.5) / num
    return jnp.stack(jnp.meshgrid(middle, middle, indexing="ij"), axis=-1).reshape(-1, 2)


def _modes(amplitude: Float[Array, "k l"], x: Float[Array, "2"]) -> Float[Array, "k l"]:
    k, ell = _wave_numbers(amplitude.shape)
    return jnp.sin(k * jnp.pi * x[0]) * jnp.sin(ell * jnp.pi * x[1])


def _wave_numbers(shape: tuple[int, ...]) -> tuple[Float[Array, "k 1"], Float[Array, "1 l"]]:
    return jnp.arange(1.0, shape[0] + 1)[:, None], jnp.arange(1.0, shape[1] + 1)[None, :]


def _laplacian(function: Callable[[Array], Array], x: Float[Array, "2"]) -> Float[Array, ""]:
    def second(direction: Array) -> Array:
        return jax.jvp(lambda z: jax.jvp(function, (z,), (direction,))[1], (x,), (direction,))[1]

    return jnp.sum(jax.vmap(second)(jnp.eye(2)))
