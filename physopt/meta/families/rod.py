"""An elastic rod that bends far."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from .physics import AbstractPhysics


class Rod(AbstractPhysics):
    r"""A clamped rod of `links` links in the plane, under a force at its end and its own weight.

    With the links' angles $\theta_i$ and strains $s_i = e^{\epsilon_i} - 1$ as unknowns,
    $f = \tfrac12 K h \sum s_i^2 + \tfrac{B}{2h} \sum (2 \tan \tfrac{\theta_i - \theta_{i-1}}{2})^2 - F \cdot r_\mathrm{end} + w h \sum y_i$
    with $h$ the length of a link. In these unknowns the Hessian turns little from task to task; in the nodes' coordinates it turns with
    the rod.

    **Arguments:** `stiffening`: coefficient of terms of fourth order in strain and bend.

    ??? cite "Reference"
        Bergou et al., "Discrete elastic rods", *ACM Trans. Graph.* 27 (2008) 63.
    """

    links: int = eqx.field(default=16, static=True)
    stiffening: float = 0.0
    traceable: bool = eqx.field(default=True, static=True)
    ranges: ClassVar = {"stretch": (20.0, 80.0), "bend": (0.5, 1.5), "pull": (-2.0, 1.0), "lift": (0.5, 3.0), "weight": (0.0, 1.5)}
    limits: ClassVar = {"stretch": (8.0, np.inf), "bend": (0.3, np.inf), "weight": (0.0, np.inf)}
    frame: ClassVar = "angles and logarithmic stretches of the links"

    @property
    def unknowns(self) -> int:
        """Two for each link."""
        return 2 * self.links

    def value(self, x: Float[Array, " n"], mu: Float[Array, " mu"]) -> Float[Array, ""]:
        """Return the energy."""
        h = 1.0 / self.links
        angles, stretches = x[: self.links], jnp.exp(x[self.links :])
        x_end, y = h * (stretches * jnp.cos(angles)).sum(), h * jnp.cumsum(stretches * jnp.sin(angles))
        strain, bend = stretches - 1.0, 2.0 * jnp.tan(0.5 * jnp.diff(angles, prepend=0.0))
        inner = 0.5 * mu[0] * h * (strain**2).sum() + 0.5 * mu[1] / h * (bend**2).sum()
        inner += self.stiffening * (0.25 * mu[0] * h * (strain**4).sum() + 0.25 / h**3 * (bend**4).sum() / 200.0)
        return inner - mu[2] * x_end - mu[3] * y[-1] + mu[4] * h * y.sum()

    def cold(self) -> Float[ndarray, " n"]:
        """Return the straight rod."""
        return np.zeros(self.unknowns)

    def novel(self) -> "Rod":
        """Return a rod that stiffens."""
        return Rod(links=self.links, stiffening=200.0)
