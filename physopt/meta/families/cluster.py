"""A cluster of thirteen atoms of two kinds."""

from typing import ClassVar

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from .physics import AbstractPhysics


class Cluster(AbstractPhysics):
    r"""Lennard-Jones atoms in a harmonic trap, $\sum_{i<j} 4 \epsilon_{ij} (s^{2p} - s^p) + t \sum_i |r_i|^2$, $s = \sigma_{ij} / r_{ij}$.

    Of two atoms of the second kind $\sigma$ and $\epsilon$ are the task's `size` and `depth`, of unlike ones $\sigma$ is the arithmetic and
    $\epsilon$ the geometric mean. The cold start is a stretched icosahedron, in which the kinds are mixed; so all tasks share a basin.

    **Arguments:** `power`: $p$, 6 for Lennard-Jones.

    ??? cite "Reference"
        Doye, Meyer, *Phys. Rev. Lett.* 95 (2005) 063401 (binary Lennard-Jones clusters).
    """

    power: int = eqx.field(default=6, static=True)
    traceable: bool = eqx.field(default=True, static=True)
    ranges: ClassVar = {"size": (0.85, 1.05), "depth": (0.7, 1.4), "trap": (0.0, 0.5)}
    limits: ClassVar = {"depth": (0.4, np.inf), "trap": (0.0, np.inf)}
    frame: ClassVar = "Cartesian coordinates; rotations change nothing"

    @property
    def unknowns(self) -> int:
        """Three for each atom."""
        return 39

    def value(self, x: Float[Array, " n"], mu: Float[Array, " mu"]) -> Float[Array, ""]:
        """Return the energy."""
        first, second = np.triu_indices(13, 1)
        atoms = x.reshape(13, 3)
        share = 0.5 * ((first < 7).astype(float) + (second < 7))  # of the second kind in a pair
        sigma, depth = 1.0 + (mu[0] - 1.0) * share, mu[1] ** share
        s = (((atoms[first] - atoms[second]) ** 2).sum(1) / sigma**2) ** (-self.power / 2)
        return (4.0 * depth * (s * s - s)).sum() + mu[2] * (atoms**2).sum()

    def cold(self) -> Float[ndarray, " n"]:
        """Return a stretched icosahedron, its shell in random order."""
        golden = 0.5 * (1.0 + 5.0**0.5)
        shell = np.array([[0.0, a, b * golden] for a in (1, -1) for b in (1, -1)])
        shell = np.concatenate([shell, shell[:, [1, 2, 0]], shell[:, [2, 0, 1]]]) * 1.08 / np.hypot(1.0, golden)
        random = np.random.default_rng(1)
        turned = random.permutation(shell) @ np.linalg.qr(random.normal(size=(3, 3)))[0]
        return np.concatenate([np.zeros(3), turned.ravel()])

    def novel(self) -> "Cluster":
        """Return softer atoms."""
        return Cluster(power=4)
