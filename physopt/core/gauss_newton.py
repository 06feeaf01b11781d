"""Damped Gauss-Newton: the model of a sum of squared residuals."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from .problem import AbstractModel, shorten
from .tree import Scalar


class GaussNewton(AbstractModel):
    r"""$m(v) = \langle g, v \rangle + \tfrac12 v^T (J^T J + \lambda) v$: residuals linearized, as Levenberg and Marquardt damp them.

    - `grad`: $g = J^T r$, a pytree like the parameters.
    - `gram`: $J^T J$ in the order of `ravel_pytree(grad)`.
    - `damping`: $\lambda > 0$, in units of `gram`; the fixed points are exact for any value.

    ??? cite "Reference"
        Nocedal, Wright, *Numerical Optimization*, 2nd ed. (2006), section 10.3.
    """

    grad: PyTree
    gram: Float[Array, "p p"]
    damping: Float[Array, ""]

    def minimize(self, tilt: PyTree | None = None, radius: Scalar | None = None) -> PyTree:
        r"""Return $-(J^T J + \lambda)^{-1} (g + t)$ by Cholesky, shortened to `radius`. See `AbstractModel.minimize`."""
        force, unravel = ravel_pytree(self.grad)
        if tilt is not None:
            force = force + ravel_pytree(tilt)[0]
        # Below this the damping is lost in the rounding of the gram matrix, which may then have no Cholesky factor.
        least = 16.0 * jnp.finfo(force.dtype).eps * jnp.trace(self.gram)
        damped = self.gram + jnp.maximum(self.damping, least) * jnp.eye(force.size, dtype=force.dtype)
        factor = jax.scipy.linalg.cho_factor(damped, lower=True)
        return shorten(unravel(-jax.scipy.linalg.cho_solve(factor, force)), radius)
