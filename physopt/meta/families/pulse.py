"""A pulse for a gate of two qubits."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float
from numpy import ndarray

from .physics import AbstractPhysics

X, Y, Z, ONE = (np.array(each, complex) for each in ([[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]], [[1, 0], [0, 1]]))
CNOT = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], complex)
ISWAP = np.array([[1, 0, 0, 0], [0, 0, 1j, 0], [0, 1j, 0, 0], [0, 0, 0, 1]], complex)
PENALTY = 1e-3


class Pulse(AbstractPhysics):
    r"""Piecewise constant controls of two coupled qubits for a gate: infidelity, and a small penalty on power and on jumps.

    $f = 1 - |\mathrm{tr}\, G^\dagger U|^2 / 16 + 10^{-3} (\overline{u^2} + \sum_t (u_{t+1} - u_t)^2)$, $U$ the product of
    $e^{-i (H_0 + u_{1t} X_1 + u_{2t} Y_1 + u_{3t} X_2 + u_{4t} Y_2) T / n}$ over `slices` slices. It has many minima.

    **Arguments:** `swaps`: the gate $G$ is iSWAP, otherwise CNOT.

    ??? cite "Reference"
        Khaneja et al., "Optimal control of coupled spin dynamics", *J. Magn. Reson.* 172 (2005) 296.
    """

    slices: int = eqx.field(default=16, static=True)
    swaps: bool = eqx.field(default=False, static=True)
    traceable: bool = eqx.field(default=True, static=True)
    ranges: ClassVar = {"first": (-0.5, 0.5), "second": (-0.5, 0.5), "coupling": (0.8, 1.2), "duration": (2.5, 3.5)}
    limits: ClassVar = {"duration": (1.5, np.inf)}
    frame: ClassVar = "amplitudes of the slices; a turn of the first qubit's drives about z changes nothing"

    @property
    def unknowns(self) -> int:
        """Four for each slice."""
        return 4 * self.slices

    def unitary(self, controls: Float[Array, "4 slices"], mu: Float[Array, " mu"]) -> Complex[Array, "4 4"]:
        """Return the propagator, by Taylor series of eighth order and two squarings."""
        drift = np.stack([np.kron(Z, ONE) / 2, np.kron(ONE, Z) / 2, np.kron(Z, Z)])
        drives = np.stack([np.kron(X, ONE), np.kron(Y, ONE), np.kron(ONE, X), np.kron(ONE, Y)])
        hamiltonians = jnp.tensordot(mu[:3], drift, 1) + jnp.einsum("ct,cij->tij", controls, drives)
        part = -0.25j * hamiltonians * mu[3] / self.slices
        term, total = part, jnp.eye(4) + part
        for order in range(2, 9):
            term = term @ part / order
            total = total + term
        total = total @ total
        total = total @ total
        whole = jnp.eye(4, dtype=total.dtype)
        for slice_of in total:
            whole = slice_of @ whole
        return whole

    def value(self, x: Float[Array, " n"], mu: Float[Array, " mu"]) -> Float[Array, ""]:
        """Return infidelity and penalty."""
        controls = x.reshape(4, self.slices)
        whole = self.unitary(controls, mu)
        overlap = jnp.abs(jnp.trace((ISWAP if self.swaps else CNOT).conj().T @ whole)) ** 2
        penalty = (controls**2).mean() + (jnp.diff(controls, axis=1) ** 2).mean() * self.slices
        return 1.0 - overlap / 4.0 / (jnp.abs(whole) ** 2).sum() + PENALTY * penalty

    def cold(self) -> Float[ndarray, " n"]:
        """Return smooth random controls, the same for all tasks."""
        time = (np.arange(self.slices) + 0.5) / self.slices
        random = np.random.default_rng(5)
        return sum(0.5 * random.normal(size=(4, 1)) * np.cos(np.pi * k * time) for k in range(3)).ravel()

    def novel(self) -> "Pulse":
        """Return another gate."""
        return Pulse(slices=self.slices, swaps=True)
