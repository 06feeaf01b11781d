"""The oracle: exact Fock builds of a PySCF mean field, in an orthonormal basis."""

import copy
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray
from pyscf import scf

from .clock import Clock
from .kernel import Density, ResponseKernel
from .rotations import Rotations
from .supported import real, user_class


class Oracle:
    r"""A mean field in an orthonormal basis $X$ with $X^T S X = 1$; one `build` is one exact Fock build.

    Spin densities are $P_s = X^{-1} D_s X^{-T} / m$ with $m$ electrons per spin orbital, Fock matrices $X^T F_s X$. In direct
    mode builds are incremental, as PySCF's own are; that and the last energy are the only state.

    **Arguments:**

    - `mf`: a restricted, restricted open-shell or unrestricted mean field, Hartree-Fock or Kohn-Sham, with integer occupations.
    - `kernel`: the response of the model; `None` freezes the Fock matrix, as the classical methods do.

    **Raises:** `RuntimeError` for more electrons of one spin than functions; `TypeError` for a complex Hamiltonian.
    """

    def __init__(self, mf: scf.hf.SCF, kernel: ResponseKernel | None):
        self.mf = mf
        self.kernel = kernel
        self.clock = Clock()
        shared = mf.istype("ROHF")
        self.restricted = not (shared or mf.istype("UHF"))
        self.electrons = 2.0 if self.restricted else 1.0
        self.overlap = mf.get_ovlp()
        self.hcore = real(mf, "core Hamiltonian", mf.get_hcore())
        self.basis = mf.check_linear_dependency(self.overlap)
        self.inverse = self.basis.T @ self.overlap
        alpha, beta = mf.mol.nelec if self.restricted else mf.nelec
        self.nocc = (alpha,) if self.restricted else (alpha, beta)
        self._check_room()
        self.rotations = Rotations(self.nocc, shared)
        self.energy = float("nan")  # of the last build, hartree
        self._last: tuple[Any, ...] = ()

    def _check_room(self) -> None:
        functions, kept = self.basis.shape
        if max(self.nocc) > kept:
            removed = f" ({functions - kept} of {functions} were removed as linearly dependent)" if kept < functions else ""
            raise RuntimeError(
                f"{user_class(self.mf)} has {max(self.nocc)} occupied orbitals of one spin and only {kept} basis functions{removed}. "
                "Take a larger basis, or check the molecule's charge and spin."
            )

    def in_shape(self, dm: ndarray) -> ndarray:
        """Return an AO density, real, in PySCF's shape for this mean field; a density of both spins is halved if two are needed."""
        dm, nao = real(self.mf, "density", dm), self.overlap.shape[0]
        if not self.restricted and dm.shape == (nao, nao):
            dm = np.stack([dm, dm]) / 2.0
        wanted = (nao, nao) if self.restricted else (2, nao, nao)
        if dm.shape != wanted:
            raise ValueError(f"dm0 has shape {dm.shape}; a {user_class(self.mf)} of this molecule starts from {wanted}.")
        return dm

    def build(self, dm: ndarray) -> tuple[float, Float[ndarray, "spin mo mo"]]:
        """Return the energy in hartree and the exact Fock matrices of an AO density: the expensive call."""
        with self.clock.building():
            vhf = self.mf.get_veff(self.mf.mol, dm, *self._last)
        self._last = (dm, vhf)
        self.energy = float(self.mf.energy_tot(dm, self.hcore, vhf))
        fock = self.mf.get_fock(self.hcore, self.overlap, vhf, dm)
        if self.rotations.shared:
            fock = np.stack([fock.focka, fock.fockb])  # Roothaan's effective matrix has lost one of them
        return self.energy, self.to_orthonormal(real(self.mf, "Fock matrix", fock))

    def to_orthonormal(self, fock: ndarray) -> Float[ndarray, "spin mo mo"]:
        """Return AO Fock matrices, of PySCF's shape, in the orthonormal basis: $X^T F X$."""
        return self.basis.T @ fock.reshape(-1, *fock.shape[-2:]) @ self.basis

    def to_ao(self, fock: Float[ndarray, "spin mo mo"]) -> Float[ndarray, "spin ao ao"]:
        """Return Fock matrices back in the AO basis: $X^{-T} F X^{-1}$."""
        return self.inverse.T @ fock @ self.inverse

    def density_of_ao(self, dm: ndarray) -> Float[ndarray, "spin mo mo"]:
        """Return the spin densities of an AO density matrix, which need not be idempotent."""
        dm = np.asarray(dm)
        return self.inverse @ (dm.reshape(-1, *dm.shape[-2:]) / self.electrons) @ self.inverse.T

    def dm_of(self, density: Float[ndarray, "spin mo mo"]) -> ndarray:
        """Return the AO density of spin densities, in PySCF's shape."""
        ao = self.electrons * self.basis @ density @ self.basis.T
        return ao[0] if self.restricted else ao

    def occupied(self, coeff: tuple[ndarray, ...]) -> list[ndarray]:
        """Return the occupied columns of each spin."""
        return [c[:, :n] for c, n in zip(coeff, self.nocc, strict=True)]

    def density(self, coeff: tuple[ndarray, ...]) -> Float[ndarray, "spin mo mo"]:
        """Return the spin densities of a determinant."""
        return np.stack([c @ c.T for c in self.occupied(coeff)])

    def at(self, density: Float[ndarray, "spin mo mo"]) -> "Oracle":
        """Return the oracle whose kernel has the functional's response at spin densities; the same without a kernel."""
        if self.kernel is None:
            return self
        other = copy.copy(self)
        other.kernel = self.kernel.at(self.mf, self.dm_of(density))
        return other

    def mo_coeff(self, coeff: tuple[ndarray, ...]) -> Float[ndarray, "..."]:
        """Return coefficients in PySCF's shape: `(ao, mo)` restricted, `(2, ao, mo)` unrestricted."""
        if self.restricted or self.rotations.shared:
            return self.basis @ coeff[0]
        return np.stack([self.basis @ c for c in coeff])

    def mo_occ(self) -> Float[ndarray, "..."]:
        """Return occupations in PySCF's shape, occupied orbitals first."""
        occ = np.zeros((len(self.nocc), self.basis.shape[1]))
        for row, n in zip(occ, self.nocc, strict=True):
            row[:n] = self.electrons
        return occ.sum(axis=0) if self.restricted or self.rotations.shared else occ

    def dm(self, coeff: tuple[ndarray, ...]) -> ndarray:
        """Return the AO density matrix, tagged with its orbitals as PySCF's own is."""
        return self.mf.make_rdm1(self.mo_coeff(coeff), self.mo_occ())

    def induced(self, orbitals: list[ndarray], weights: list[ndarray] | None = None) -> Float[ndarray, "spin mo mo"]:
        """Return the kernel's response to the density of `orbitals` (orthonormal basis), zero without a kernel."""
        size = self.basis.shape[1]
        if self.kernel is None:
            return np.zeros((len(orbitals), size, size))
        weights = [np.ones(c.shape[1]) for c in orbitals] if weights is None else weights
        return self.basis.T @ self.kernel([self.basis @ c for c in orbitals], weights, self.electrons) @ self.basis

    def prepared(self, orbitals: list[ndarray]) -> list[Any]:
        """Return what `induced_change` needs to know of orbitals that stay the same."""
        return [] if self.kernel is None else self.kernel.prepared([self.basis @ c for c in orbitals])

    def induced_change(self, orbitals: list[ndarray], moved: list[ndarray], known: list[Any]) -> ndarray:
        """Return the kernel's response to $M C^T + C M^T$ of each spin, `(spin, mo, mo)`, zero without a kernel."""
        if self.kernel is None:
            return self.induced(orbitals)
        occupied, changes = ([self.basis @ c for c in each] for each in (orbitals, moved))
        return self.basis.T @ self.kernel.transition(occupied, changes, known, self.electrons) @ self.basis

    def induced_by_density(self, density: Float[ndarray, "spin mo mo"]) -> Float[ndarray, "spin mo mo"]:
        """Return the kernel's response to any symmetric density, through its natural orbitals."""
        natural = [scipy.linalg.eigh(p) for p in density]
        return self.induced([v for _, v in natural], [w for w, _ in natural])

    def induced_semilocally(self, density: Float[ndarray, "spin mo mo"]) -> Float[ndarray, "spin mo mo"]:
        """Return the functional's part of the kernel's response to a density."""
        if self.kernel is None or self.kernel.semilocal is None:
            return np.zeros_like(density)
        moments = [self.electrons * self.kernel.charges.moments(self.basis @ p @ self.basis.T) for p in density]
        return self.basis.T @ self.kernel.semilocal.of(Density([], moments)) @ self.basis
