"""Differentiate through a solve: the derivative of a stationary point by one linear solve, however it was found; traceable problems."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import PyTree

from .problem import AbstractProblem
from .tree import is_traced, tree_norm, tree_zeros


class Implicit(eqx.Module):
    r"""Give a stationary point its derivative with respect to the arrays of its problem.

    The gradient vanishes there for any problem, $g(x^*(\mu), \mu) = 0$, so that with the Hessian $H$ along the retraction

    $$\frac{d x^*}{d\mu} = - H^{-1} \frac{\partial g}{\partial \mu}.$$

    The rule that found the point and its number of evaluations do not matter, and no memory is spent on them. Forward and reverse mode
    take one linear solve, by a dense $H$: for up to a few thousand unknowns. Derivatives of higher order are right, too.

    ```py
    jax.grad(lambda mu: loss(physopt.minimize(family.problem(mu), rule, start, adjoint=physopt.Implicit()).point))(mu)
    ```

    `minimize` runs on the host; under `jit` or `vmap` use `unroll`, and then `Implicit()(problem, carry.best)`.

    **Arguments:**

    - `grad_norm`: a point with a larger $|g|$ is no solution, and refused; in the problem's unit per tangent.
    - `singular`: a Hessian with an eigenvalue of so small a fraction of the largest is refused.

    ??? cite "Reference"
        Blondel et al., *Efficient and modular implicit differentiation*, NeurIPS 2022.
    """

    grad_norm: float = 1e-6
    singular: float = 1e-12

    def __call__(self, problem: AbstractProblem, point: PyTree) -> PyTree:
        """Return the point with its derivative.

        **Raises:** `TypeError` for a host problem. `ValueError` where the point is not stationary; under a trace that, and a singular
        Hessian, is a `RuntimeError` when the compiled code runs.
        """
        self.check(problem)
        point, fixed = held(point), held(problem)
        grad = fixed.evaluate(point).grad
        point = self._stationary(point, tree_norm(grad))

        def slope(step: PyTree) -> PyTree:
            return problem.evaluate(problem.retract(point, step)).grad

        step = jax.lax.custom_root(slope, tree_zeros(grad), lambda _, start: start, self._tangent)
        return problem.retract(point, step)

    def check(self, problem: AbstractProblem, *given: PyTree) -> None:
        """Raise `TypeError` for a host problem, and where `minimize` is given what is traced, as under `jit` or `vmap`."""
        if not problem.traceable:
            raise TypeError(f"{type(problem).__name__} runs on the host, where JAX cannot differentiate: use physopt.sensitivity.")
        if given and is_traced(problem, *given):
            raise TypeError("minimize runs on the host, and not under jit or vmap: use unroll, and then Implicit()(problem, carry.best).")

    def _stationary(self, point: PyTree, norm: Any) -> PyTree:
        message = "Only a stationary point has a derivative: go on until it has converged, or allow it by Implicit(grad_norm=...)."
        if is_traced(norm):
            return eqx.error_if(point, ~(norm <= self.grad_norm), f"|g| is above {self.grad_norm:g}. {message}")
        if not norm <= self.grad_norm:
            raise ValueError(f"|g| is {float(norm):.3g} at this point, above {self.grad_norm:g}. {message}")
        return point

    def _tangent(self, product: Any, force: PyTree) -> PyTree:
        flat, unravel = ravel_pytree(force)
        rows = jax.vmap(lambda unit: ravel_pytree(product(unravel(unit)))[0])(jnp.eye(flat.size, dtype=flat.dtype))
        sizes = jnp.abs(jnp.linalg.eigvalsh(0.5 * (rows + rows.T)))
        bound = jnp.maximum(self.singular, flat.size * jnp.finfo(flat.dtype).eps) * sizes.max()
        rows = eqx.error_if(
            rows,
            ~(sizes.min() > bound),
            "The Hessian is singular at this point: along some direction the minimum is not isolated, and its derivative not defined. "
            "Remove that freedom from the problem, or add a term that decides it, such as a small multiple of |x|^2.",
        )
        return unravel(jnp.linalg.solve(rows.T, flat))


def held(tree: PyTree) -> PyTree:
    """Return a pytree whose arrays are constants to JAX's derivatives."""
    arrays, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(jax.lax.stop_gradient(arrays), rest)
