"""The cheap model of a self-consistent field: the exact Fock matrix at an anchor plus a fitted response."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from physopt.core.anchored import AbstractAnchored, Descended, least_residual
from physopt.core.problem import Endpoint
from physopt.core.tree import Scalar, tree_combine, tree_dot, tree_norm

from .clock import timed
from .oracle import Oracle
from .secants import Secants
from .semicanonical import OpenShell, Respond, SemiCanonical


class Orbitals(eqx.Module):
    """A Slater determinant: orthonormal coefficients of each spin, occupied columns first, in the oracle's basis.

    In a restricted open shell both spins have the same matrix: closed, then open, then empty columns.
    Columns are never canonicalized, so that a tangent keeps its coordinates when it is transported.
    """

    coeff: tuple[Float[ndarray, "mo mo"], ...]

    def asked(self) -> dict[str, Any]:
        """Return nothing: each process computes the start again, and orbitals may differ by signs and rotations without meaning."""
        return {}


class Anchor(eqx.Module):
    """An exact pair of Fock matrix and density, and the kernel's response to that density; all in the oracle's basis."""

    fock: Float[ndarray, "spin mo mo"]
    density: Float[ndarray, "spin mo mo"]
    induced: Float[ndarray, "spin mo mo"]


class Response(AbstractAnchored):
    r"""$F(P) \approx F_0 + G[P - P_0]$ with the exact pair $(F_0, P_0)$ and a fitted Coulomb and exchange response $G$.

    As a function of rotations $\kappa$ around `orbitals` it is the quadratic model with gradient $2 m F_{vo}$ and Hessian
    $2m (F_{vv} \kappa - \kappa F_{oo} + G[\delta P]_{vo})$, $\delta P = C_v \kappa C_o^T + \mathrm{h.c.}$, $m$ electrons per spin orbital.
    $G$ is `share` times the oracle's kernel, plus what `secants` add.
    """

    anchor: Anchor
    orbitals: Orbitals
    oracle: Oracle = eqx.field(static=True)
    share: float = 1.0
    secants: Secants | None = None

    def gradient(self) -> tuple[Float[ndarray, "_rows _columns"], ...]:
        r"""Return $dE/d\kappa = 2 m C_v^T F C_o$ of each block of `Rotations`, in hartree per radian; twice PySCF's `get_grad`."""
        blocks = self.oracle.rotations.derivative(self.orbitals.coeff, self.anchor.fock)
        return tuple(2.0 * self.oracle.electrons * b for b in blocks)

    def believed(self) -> bool:
        """Say whether any of the kernel's response is used."""
        return self.share > 0.0

    def error(self) -> Float[ndarray, " e"]:
        r"""Return $m (F P - P F) / \sqrt 2$; at a determinant its norm is that of PySCF's `get_grad`. Open shells: summed over spins."""
        return (self.oracle.electrons * self.oracle.rotations.residual(self.anchor.fock, self.anchor.density)).ravel()

    def pairing(self, first: Anchor, second: Anchor) -> float:
        r"""Return $m \sum_s \mathrm{tr}\, P_{1,s} F_{2,s}$ in hartree."""
        return float(self.oracle.electrons * np.vdot(first.density, second.fock))

    @timed
    def carried(self, point: Orbitals) -> "Response":
        """Return the model anchored at the density of another point and the Fock matrix that it predicts there."""
        density = self.oracle.density(point.coeff)
        induced = self.oracle.induced(self.oracle.occupied(point.coeff)) if self.share else np.zeros_like(density)
        fock = self.anchor.fock + self._induced(density - self.anchor.density, induced - self.anchor.induced)
        return dataclasses.replace(self, anchor=Anchor(fock, density, induced), orbitals=point)

    @timed
    def energy(self, point: Orbitals) -> float:
        r"""Return $m \sum_s \mathrm{tr}\, \Delta_s (F_{0,s} + \tfrac12 G_s[\Delta])$ with $\Delta = P - P_0$: hartree above the anchor."""
        return self._above(self.carried(point))

    def _above(self, carried: "Response") -> float:
        change = carried.anchor.density - self.anchor.density
        return float(0.5 * self.oracle.electrons * np.vdot(change, self.anchor.fock + carried.anchor.fock))

    def moved(self, anchor: Anchor) -> "Response":
        """Return the model at another anchor."""
        return dataclasses.replace(self, anchor=anchor)

    @timed
    def taught(self, anchors: Sequence[Anchor]) -> "Response":
        """Return the model whose response also explains the differences between its anchor and others, newest last."""
        densities = [a.density - self.anchor.density for a in reversed(anchors)]
        excess = [a.fock - self.anchor.fock for a in reversed(anchors)]
        if self.share:
            induced = [a.induced - self.anchor.induced for a in reversed(anchors)]
            excess = [f - self.share * g for f, g in zip(excess, induced, strict=True)]
        return dataclasses.replace(self, secants=Secants.of(densities, excess))

    @timed
    def target(
        self, *, accuracy: float = 0.0, respond: bool = True, shift: float | Float[ndarray, " spin"] = 0.0, about: Anchor | None = None
    ) -> Endpoint:
        """Converge the model's own self-consistent field by diagonalizations. See `AbstractAnchored.target`."""
        anchor, rotations = self.anchor, self.oracle.rotations
        core = anchor.fock
        if about is not None and np.any(shift):
            core = core - np.reshape(shift, (-1, 1, 1)) * about.density
        coeff = rotations.aufbau(rotations.effective(core, anchor.density))
        if not respond or (self.secants is None and (self.oracle.kernel is None or not self.share)):
            return Endpoint(Orbitals(coeff))
        rounding = 1e-14 * float(np.linalg.norm(core))
        core, tolerance, history = core - self._induced(anchor.density, anchor.induced), max(accuracy, rounding), []
        for _ in range(60):
            density = self.oracle.density(coeff)
            induced = self._induced(density, self.oracle.induced(self.oracle.occupied(coeff)) if self.share else density)
            model = self.moved(Anchor(core + induced, density, induced))
            norm = np.linalg.norm(error := model.error())
            if norm < tolerance or not np.isfinite(norm):
                break  # where the kernel yields nonsense from the start, this is the classical step
            history = [*history[-7:], (rotations.effective(model.anchor.fock, density), error)]
            coeff = rotations.aufbau(np.tensordot(least_residual(np.stack([e for _, e in history]), 0.0), [f for f, _ in history], 1))
        return Endpoint(Orbitals(coeff))

    @timed
    def minimize(self, tilt: tuple[ndarray, ...] | None = None, radius: Scalar | None = None) -> tuple[ndarray, ...]:
        r"""Minimize the quadratic model over rotations by preconditioned conjugate gradients, inside the trust radius.

        Stops at the boundary if the curvature is not positive.

        ??? cite "Reference"
            Steihaug, SIAM J. Numer. Anal. 20 (1983) 626, section 2.
        """
        frame, respond = self.frame(), self.responder()
        force = self.gradient() if tilt is None else tuple(g + t for g, t in zip(self.gradient(), tilt, strict=True))
        step = tuple(0.0 * f for f in force)
        residual = force
        rest = frame.precondition(residual)
        direction = tuple(-z for z in rest)
        weight = start = tree_dot(residual, rest)
        if not weight > 0.0:
            return step
        for _ in range(30):
            image = frame.curve(direction, respond)
            curvature = tree_dot(direction, image)
            if not curvature > 0.0:
                return _to_boundary(step, direction, radius) if radius is not None else (step if tree_dot(step, step) else direction)
            length = weight / curvature
            trial = _axpy(length, direction, step)
            if radius is not None and tree_dot(trial, trial) > radius**2:
                return _to_boundary(step, direction, radius)
            step, residual = trial, _axpy(length, image, residual)
            rest = frame.precondition(residual)
            previous, weight = weight, tree_dot(residual, rest)
            if weight < 1e-3 * start:  # the model is not good to more than two digits
                break
            direction = _axpy(weight / previous, direction, tuple(-z for z in rest))
        return step

    @timed
    def descend(self, radius: Scalar) -> Descended:
        """Descend on the model's own energy, which is not quadratic in the rotations, by Newton steps. See `AbstractAnchored.descend`."""
        here, change, length, reach = self, 0.0, 0.0, float(radius)
        goal = 0.05 * float(np.linalg.norm(self.error()))
        for _ in range(12):
            step = here.minimize(radius=min(reach, float(radius) - length))
            there, norm = self.carried(Orbitals(self.oracle.rotations.turn(here.orbitals.coeff, step))), float(tree_norm(step))
            lower, promised = self._above(there), 0.5 * tree_dot(here.gradient(), step)
            gained = lower - change
            if not gained < 0.25 * promised:
                reach = 0.25 * norm
            if gained < 0.0:
                here, change, length = there, lower, length + norm
            if length > 0.99 * float(radius) or norm < 1e-3 * float(radius) or np.linalg.norm(here.error()) < goal:
                break
        return Descended(Endpoint(here.orbitals), length, change)

    def frame(self) -> SemiCanonical | OpenShell:
        """Return the orbitals that diagonalize their own blocks of the Fock matrix, in which the Hessian is nearly diagonal."""
        rotations = self.oracle.rotations
        if rotations.shared:
            return OpenShell(self.anchor.fock, self.orbitals.coeff, rotations)
        return SemiCanonical(self.anchor.fock, self.orbitals.coeff, rotations, self.oracle.electrons)

    def responder(self) -> Respond:
        r"""Return the map from first-order changes $D_s$ of the occupied orbitals $C_s$ to $G[D_s C_s^T + C_s D_s^T]$."""
        occupied = self.oracle.occupied(self.orbitals.coeff)
        known = self.oracle.prepared(occupied) if self.share else []

        def respond(moved: Sequence[ndarray]) -> Float[ndarray, "spin mo mo"]:
            change = np.stack([(half := d @ o.T) + half.T for o, d in zip(occupied, moved, strict=True)])
            return self._induced(change, self.oracle.induced_change(occupied, list(moved), known) if self.share else change)

        return respond

    def _induced(self, density: Float[ndarray, "spin mo mo"], kernel: Float[ndarray, "spin mo mo"]) -> Float[ndarray, "spin mo mo"]:
        """Return the response to a density, given the kernel's (which is not looked at where its share is zero)."""
        result = self.share * kernel if self.share else np.zeros_like(density)
        return result if self.secants is None else result + self.secants(density)


def _axpy(factor: float, a: tuple[ndarray, ...], b: tuple[ndarray, ...]) -> tuple[ndarray, ...]:
    return tree_combine([factor, 1.0], [a, b])


def _to_boundary(step: tuple[ndarray, ...], direction: tuple[ndarray, ...], radius: Scalar) -> tuple[ndarray, ...]:
    a, b, c = tree_dot(direction, direction), tree_dot(step, direction), tree_dot(step, step) - float(radius) ** 2
    return _axpy((-b + np.sqrt(max(b * b - a * c, 0.0))) / a, direction, step)
