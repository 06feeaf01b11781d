"""Converged geometries in axes that rotate with the molecule, so that they can be compared and combined."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray
from pyscf import dft, gto

from .local import POTENTIAL_GRID, coarse_grids, coarse_potential
from .model import Orbitals, Response
from .oracle import Oracle


class Body:
    r"""The Löwdin basis of one geometry in the molecule's own axes: smooth in the shape, invariant to rotations and to gauge.

    With $U$ the rotation of the basis functions that rotates the molecule onto the most similar of the `references`, coordinates of
    earlier bodies, orbitals become $U S^{1/2} C$. A Cartesian basis, whose rotations are not orthogonal, stays in its axes.

    - `coords`: the nuclei relative to the center of their charge, rotated, in bohr.
    - `basis`: the oracle's orthonormal basis, $U S^{1/2} X$. `core`: the core Hamiltonian $U S^{-1/2} h S^{-1/2} U^T$, in hartree.

    ??? cite "Reference"
        The rotation: Kabsch, Acta Cryst. A32 (1976) 922.
    """

    def __init__(self, oracle: Oracle, references: Sequence[Float[ndarray, "atom xyz"]] = ()):
        w, v = scipy.linalg.eigh(oracle.overlap)
        self.coords, turn = _aligned(oracle.mf.mol, references)
        half = (v / np.sqrt(w)) @ v.T @ turn.T
        self.oracle = oracle
        self._grids: dft.gen_grid.Grids | None = None
        self.basis: Float[ndarray, "ao mo"] = turn @ (v * np.sqrt(w)) @ v.T @ oracle.basis
        self.core: Float[ndarray, "ao ao"] = half.T @ oracle.hcore @ half

    def of_oracle(self, matrices: Float[ndarray, "spin mo mo"]) -> Float[ndarray, "spin ao ao"]:
        """Transform matrices from the oracle's orthonormal basis to this one."""
        return self.basis @ matrices @ self.basis.T

    def to_oracle(self, matrices: Float[ndarray, "... ao ao"]) -> Float[ndarray, "... mo mo"]:
        """Transform matrices from this basis to the oracle's orthonormal one."""
        return self.basis.T @ matrices @ self.basis

    def coarse_potential(self, density: Float[ndarray, "spin mo mo"]) -> Float[ndarray, "spin mo mo"]:
        """Return the functional's potential at a density on a coarse grid, both in the oracle's basis; zero for Hartree-Fock."""
        mf = self.oracle.mf
        if not isinstance(mf, dft.rks.KohnShamDFT):
            return np.zeros_like(density)
        if self._grids is None:
            self._grids = coarse_grids(mf.mol, POTENTIAL_GRID)
        return self.oracle.to_orthonormal(coarse_potential(mf, self._grids, self.oracle.dm_of(density)))

    def occupied(self, point: Orbitals) -> tuple[ndarray, ...]:
        """Return the occupied orbitals of each spin in this basis."""
        return tuple(self.basis @ c for c in self.oracle.occupied(point.coeff))


class Frame(eqx.Module):
    r"""The data of one converged geometry that others use, in the basis of its `Body`.

    - `coords`: in the body's axes, bohr. `core`: the core Hamiltonian $h$. `potential`: $F - h$.
    - `density`, `induced`: as in `Anchor`, the latter without the functional's response. `occupied`: $C_o$ of each spin.
    - `local`: the functional's potential on a coarse grid; it has the grid's noise; the other matrices do not.
    """

    coords: Float[ndarray, "atom xyz"]
    core: Float[ndarray, "ao ao"]
    potential: Float[ndarray, "spin ao ao"]
    density: Float[ndarray, "spin ao ao"]
    induced: Float[ndarray, "spin ao ao"]
    local: Float[ndarray, "spin ao ao"]
    occupied: tuple[Float[ndarray, "ao _occ"], ...]

    @classmethod
    def of(cls, model: Response, body: Body) -> "Frame":
        """Return the frame of an exact evaluation."""
        anchor = model.anchor
        smooth = anchor.induced - model.oracle.induced_semilocally(anchor.density)
        fock, density, induced, local = (
            body.of_oracle(a) for a in (anchor.fock, anchor.density, smooth, body.coarse_potential(anchor.density))
        )
        return cls(body.coords, body.core, fock - body.core, density, induced, local, body.occupied(model.orbitals))


def overlap(first: tuple[ndarray, ...], second: tuple[ndarray, ...]) -> float:
    """Return the smallest cosine of the angles between occupied spaces, over all spins: 1 is the same state, 0 another one."""
    pairs = zip(first, second, strict=True)
    return min((float(scipy.linalg.svdvals(a.T @ b)[-1]) for a, b in pairs if a.shape[1]), default=1.0)


def _aligned(mol: Any, references: Sequence[Float[ndarray, "atom xyz"]]) -> tuple[Float[ndarray, "atom xyz"], Float[ndarray, "ao ao"]]:
    """Return the turned coordinates, in bohr, and the rotation of the basis functions."""
    charges, coords = mol.atom_charges(), mol.atom_coords()
    coords = coords - charges @ coords / charges.sum()
    if mol.cart or mol.natm < 2 or not len(references):
        return coords, np.eye(mol.nao)
    candidates = []
    for reference in references:
        u, _, vt = scipy.linalg.svd((coords * charges[:, None]).T @ reference)
        axes = u @ np.diag([1.0, 1.0, np.sign(scipy.linalg.det(u @ vt))]) @ vt
        candidates.append((charges @ ((coords @ axes - reference) ** 2).sum(axis=1), axes))
    _, axes = min(candidates, key=lambda pair: pair[0])
    # PySCF's function takes the matrix that multiplies rows of coordinates from the right.
    return coords @ axes, gto.mole.ao_rotation_matrix(mol, axes)
