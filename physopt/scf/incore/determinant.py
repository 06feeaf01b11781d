"""A determinant's energy as a problem of the core: any rule minimizes it, under `jit` and `vmap`."""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from physopt.core.problem import AbstractModel, AbstractProblem, Evaluation, shorten
from physopt.core.tree import Scalar

from .field import Spins, _diis, energy, fock, mixed, occupied, rotation
from .integrals import Integrals


class Gaps(AbstractModel):
    r"""$m(\kappa) = \langle g, \kappa \rangle + \tfrac12 \sum d_{ai} \kappa_{ai}^2$, $d_{ai}$ from the orbitals' distances in energy."""

    grad: list[Array]
    distances: list[Array]

    def minimize(self, tilt: list[Array] | None = None, radius: Scalar | None = None) -> list[Array]:
        """Return $-(g + t) / d$, shortened to `radius`. See `AbstractModel.minimize`."""
        tilt = [jnp.zeros_like(g) for g in self.grad] if tilt is None else tilt
        return shorten([-(g + t) / d for g, t, d in zip(self.grad, tilt, self.distances, strict=True)], radius)


class Determinant(AbstractProblem):
    r"""The energy of one determinant from stored integrals.

    A point is the orbitals of each spin, `(spins, n, n)`, occupied ones first; a tangent is a list of rotations $\kappa_{ai}$, virtual by
    occupied, and turns $C$ by Cayley's rotation. One evaluation is one Fock matrix.

    **Arguments:** `unrestricted`: whether spins have orbitals of their own.
    """

    integrals: Integrals
    unrestricted: bool = eqx.field(default=False, static=True)
    traceable: bool = eqx.field(default=True, static=True)
    unit: str = eqx.field(default="hartree", static=True)

    def init(self, key: PRNGKeyArray | None = None) -> Spins:
        """Return the orbitals of the guess; nothing is drawn."""
        return _diis(self.integrals, jnp.stack([self.integrals.guess] * (2 if self.unrestricted else 1)), 0.0, 0)[0]

    def evaluate(self, point: Spins) -> Evaluation:
        r"""Return the energy, and $dE/d\kappa_{ai} = 4 F_{ai}$, or $2 F_{ai}$ for each spin of its own."""
        integrals, factor = self.integrals, 4.0 / len(point)
        density = occupied(point, integrals.electrons)
        built = fock(integrals, density)
        levels = jnp.einsum("sni,snm,smi->si", point, built, point)
        grad = [factor * f for f in mixed(integrals, point, integrals.electrons)]
        pairs = zip(levels, integrals.electrons, strict=False)
        distances = [factor * jnp.maximum(jnp.abs(e[k:, None] - e[None, :k]), 0.1) for e, k in pairs]
        return Evaluation(energy(integrals, density, built), grad, Gaps(grad, distances))

    def retract(self, point: Spins, step: list[Float[Array, "_ _"]]) -> Spins:
        """Return the orbitals turned by `step`."""
        return jnp.stack([c @ rotation(x, self.integrals.size) for c, x in zip(point, step, strict=True)])

    def shown(self, point: Spins) -> Mapping[str, np.ndarray]:
        """Return the density of each spin."""
        return {"density": np.asarray(jax.jit(occupied, static_argnums=1)(point, self.integrals.electrons))}
