"""A reaction that heats itself, in a square."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from .physics import AbstractPhysics


class Bratu(AbstractPhysics):
    r"""The energy of Bratu's equation $-D \Delta u = \lambda e^u + q$ in the unit square, $u = 0$ on its boundary, on `side`$^2$ nodes.

    The load is $q = A e^{-|r - r_0|^2 / 0.03}$.

    **Arguments:** `even`: with $\lambda \cosh 2u$ in the energy in place of $-\lambda e^u$: a reaction that damps itself.

    ??? cite "Reference"
        Mohsen, "A simple solution of the Bratu problem", *Comput. Math. Appl.* 67 (2014) 26.
    """

    side: int = eqx.field(default=14, static=True)
    even: bool = eqx.field(default=False, static=True)
    traceable: bool = eqx.field(default=True, static=True)
    ranges: ClassVar = {"diffusion": (0.9, 1.4), "reaction": (1.0, 4.0), "load": (2.0, 8.0), "x": (0.3, 0.7), "y": (0.3, 0.7)}
    # Beyond lambda = 6.8 D there is no solution, with a load sooner.
    limits: ClassVar = {"diffusion": (0.85, np.inf), "reaction": (0.0, 4.0), "x": (0.12, 0.88), "y": (0.12, 0.88)}
    frame: ClassVar = "nodes of a grid"

    @property
    def unknowns(self) -> int:
        """One for each node."""
        return self.side**2

    @property
    def hessian_calls(self) -> int:
        """Five colours, so that no two neighbours of a node share one."""
        return 5

    def value(self, x: Float[Array, " n"], mu: Float[Array, " mu"]) -> Float[Array, ""]:
        """Return the energy."""
        u, h = jnp.pad(x.reshape(self.side, self.side), 1), 1.0 / (self.side + 1)
        place = np.arange(1, self.side + 1) * h
        gradient = (jnp.diff(u, axis=0) ** 2).sum() + (jnp.diff(u, axis=1) ** 2).sum()
        load = mu[2] * jnp.exp(-((place[:, None] - mu[3]) ** 2 + (place[None] - mu[4]) ** 2) / 0.03)
        inner = u[1:-1, 1:-1]
        reaction = 3.0 * mu[1] * jnp.cosh(2.0 * inner) if self.even else -mu[1] * jnp.exp(inner)
        return 0.5 * mu[0] * gradient + h * h * (reaction - load * inner).sum()

    def cold(self) -> Float[ndarray, " n"]:
        """Return zero."""
        return np.zeros(self.unknowns)

    def novel(self) -> "Bratu":
        """Return a reaction that damps itself."""
        return Bratu(side=self.side, even=True)
