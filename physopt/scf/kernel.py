r"""A cheap approximation of the response of Coulomb, exchange and exchange-correlation potentials, on a few Gaussians per atom."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray
from pyscf import df, dft, gto

from .auxiliary import AbstractAuxiliary, Auxiliary, auxiliary_mol, real_symbols
from .learned import trained
from .local import local_kernel


class Pairs:
    """The lower triangle of a symmetric matrix, row by row, as PySCF packs it.

    PySCF's own routines start a team of threads for each matrix, which then waits busily and slows the threads of the linear algebra.
    """

    def __init__(self, size: int):
        row, column = np.tril_indices(size)
        self._weights = np.where(row == column, 1.0, 2.0)
        self._lower = row * size + column
        self._position = np.empty((size, size), dtype=np.intp)
        self._position[row, column] = self._position[column, row] = np.arange(len(row))

    def summed(self, matrix: Float[ndarray, "ao ao"]) -> Float[ndarray, " pairs"]:
        """Return the sum of the two matrix elements of each pair."""
        return matrix.ravel()[self._lower] * self._weights

    def matrix(self, packed: Float[ndarray, " pairs"]) -> Float[ndarray, "ao ao"]:
        """Return the symmetric matrix of a lower triangle."""
        return packed[self._position]


class ResponseKernel:
    r"""The linear map $G$ from a density to the change of its Fock matrix, fitted on auxiliary functions $\chi_P$.

    With $A_P = (P | \mu\nu)$, the metric $V_{PQ} = (P | Q)$ and charges $q_s = V^{-1} \langle A, P_s \rangle$ of the spin densities $P_s$:
    $G_s[P] = m \sum_{s'} \sum_P A_P (q_{s'} + V^{-1} M_{ss'} q_{s'})_P - \sum_t a_t \sum_Q B^t_Q P_s B^t_Q$,
    where $m$ is the number of electrons per spin orbital (2 restricted, 1 unrestricted), $M_{PQ} = \int \chi_P f \chi_Q$ the local
    response of the functional (see `respond_locally`), and $B^t = W_t^{-1/2} A^t$ belongs to a smaller set of functions and one term of
    exact exchange. Symmetric, and zero for a zero density.

    **Arguments:**

    - `mol`: the molecule. `exchange`: the terms $(a_t, \omega_t)$ of exact exchange, full-range for $\omega = 0$, else with the kernel
      $\mathrm{erf}(\omega r) / r$. `auxiliary`: the exponents.

    ??? cite "Reference"
        Density fitting: Dunlap, Connolly, Sabin, J. Chem. Phys. 71 (1979) 3396.
    """

    def __init__(self, mol: gto.Mole, exchange: Sequence[tuple[float, float]] = (), auxiliary: AbstractAuxiliary = Auxiliary()):
        self.mol = mol
        self.exchange = [(fraction, omega) for fraction, omega in exchange if fraction]
        symbols = real_symbols(mol)
        self.auxmol = auxiliary_mol(mol, {symbol: auxiliary.charge_shells(symbol) for symbol in symbols})
        self.metric = self.auxmol.intor("int2c2e")
        self._solve = _inverse(self.metric)
        self._pairs = Pairs(mol.nao)
        # (aux, ao pairs): charges and potentials are one pass over it.
        self.integrals = np.ascontiguousarray(df.incore.aux_e2(mol, self.auxmol, "int3c2e", aosym="s2ij").T)
        self.local: Float[ndarray, "spin spin aux aux"] | None = None
        small = auxiliary_mol(mol, {symbol: auxiliary.exchange_shells(symbol) for symbol in symbols}) if self.exchange else None
        self._factors = [] if small is None else [(a, exchange_factors(mol, small, omega)) for a, omega in self.exchange]

    @classmethod
    def of(cls, mf: Any, auxiliary: AbstractAuxiliary | None = None) -> "ResponseKernel":
        """Return the kernel of a mean field: Hartree-Fock, or a functional's fractions of exact exchange; by default the trained one."""
        return cls(mf.mol, exchange_terms(mf), trained() if auxiliary is None else auxiliary)

    @staticmethod
    def megabytes(mol: gto.Mole, exchange: Sequence[tuple[float, float]], auxiliary: AbstractAuxiliary = Auxiliary()) -> float:
        """Return the memory that the kernel of a molecule will hold, in megabytes."""
        symbols = [mol.atom_symbol(a) for a in range(mol.natm) if gto.charge(mol.atom_symbol(a))]
        charges, exchanges = (
            sum(2 * angular + 1 for symbol in symbols for angular, _ in shells(symbol))
            for shells in (auxiliary.charge_shells, auxiliary.exchange_shells)
        )
        terms = sum(1 for fraction, _ in exchange if fraction)
        return 8e-6 * (charges * mol.nao * (mol.nao + 1) / 2 + terms * exchanges * mol.nao**2 + 4 * charges**2)

    @property
    def num_functions(self) -> int:
        """Number of functions that charges are fitted with."""
        return len(self.metric)

    def respond_locally(self, mf: Any, dm: ndarray) -> None:
        r"""Include the semilocal functional's response $f = \delta v_\mathrm{xc} / \delta \rho$ at a density from now on.

        The response to that density itself is known. For ordinary atoms the fitted one is within 60 % of it, and nearly all of the error
        is in the cores. $f$ diverges in the pseudized cores of heavy atoms and where one spin of an open shell has little density; there
        the response to a fitted density is thousands of times too large. The response of such a spin is left out.

        **Arguments:**

        - `mf`: a Kohn-Sham mean field; Hartree-Fock has no such response. `dm`: AO density in PySCF's shape.
        """
        if not isinstance(mf, dft.rks.KohnShamDFT):
            return
        kernel, own = local_kernel(mf, self.auxmol, dm)
        self.local, wanted = self._solve @ kernel @ self._solve, own @ self._solve
        moments = np.stack([self.moments(d) for d in np.asarray(dm).reshape(-1, *np.shape(dm)[-2:])])
        wrong = self._norms(np.einsum("stpq,tq->sp", self.local, moments, optimize=True) - wanted) > self._norms(wanted)
        self.local[wrong], self.local[:, wrong] = 0.0, 0.0

    def _norms(self, charges: Float[ndarray, "spin aux"]) -> Float[ndarray, " spin"]:
        return np.sqrt(np.einsum("sp,pq,sq->s", charges, self.metric, charges, optimize=True))

    def __call__(self, orbitals: list[ndarray], weights: list[ndarray], electrons: float) -> Float[ndarray, "spin ao ao"]:
        r"""Return $G$ of the densities $P_s = C_s \, \mathrm{diag}(n_s) \, C_s^T$, in hartree.

        **Arguments:**

        - `orbitals`: $C_s$, shape `(ao, k_s)` for each spin. `weights`: $n_s$, shape `(k_s,)`.
        - `electrons`: per spin orbital, $m$.
        """
        halves, moments = [], []
        for c, n in zip(orbitals, weights, strict=True):
            kept = abs(n) > 1e-10
            half, sign = c[:, kept] * np.sqrt(abs(n[kept])), np.sign(n[kept])
            halves.append((half, sign))
            moments.append(electrons * self.moments((half * sign) @ half.T))
        result = self.semilocal(moments) + self.coulomb(moments)
        for fraction, factors in self._factors:
            result -= fraction * np.stack([exchange_potential(factors, half, sign) for half, sign in halves])
        return result

    def transformed(self, orbitals: list[ndarray]) -> list[list[Float[ndarray, "ao aux k"]]]:
        """Return what `transition` needs to know of orbitals that stay the same: $B^t C_s$ for each term and spin."""
        return [[factors @ c for c in orbitals] for _, factors in self._factors]

    def transition(
        self, orbitals: list[ndarray], moved: list[ndarray], transformed: list[list[ndarray]], electrons: float
    ) -> Float[ndarray, "spin ao ao"]:
        r"""Return $G$ of the changes $\delta P_s = M_s C_s^T + C_s M_s^T$ of the densities, in hartree: half the work of a density.

        **Arguments:**

        - `orbitals`, `moved`: $C_s$, $M_s$, shape `(ao, k_s)`. `transformed`: of `orbitals`. `electrons`: per spin orbital.
        """
        moments = []
        for c, m in zip(orbitals, moved, strict=True):
            half = m @ c.T
            moments.append(electrons * self.moments(half + half.T))
        result = self.semilocal(moments) + self.coulomb(moments)
        for (fraction, factors), known in zip(self._factors, transformed, strict=True):
            for change, m, fixed in zip(result, moved, known, strict=True):
                exchange = np.tensordot(factors @ m, fixed, ((1, 2), (1, 2)))
                change -= fraction * (exchange + exchange.T)
        return result

    def moments(self, density: Float[ndarray, "ao ao"]) -> Float[ndarray, " aux"]:
        r"""Return $\langle A, P \rangle$ of a symmetric density."""
        return self.integrals @ self._pairs.summed(density)

    def coulomb(self, moments: Sequence[Float[ndarray, " aux"]]) -> Float[ndarray, "ao ao"]:
        """Return the Coulomb potential for the summed moments of all spins, in hartree."""
        return self._pairs.matrix((self._solve @ np.sum(moments, axis=0)) @ self.integrals)

    def semilocal(self, moments: Sequence[Float[ndarray, " aux"]]) -> Float[ndarray, "spin ao ao"]:
        """Return the functional's response to the moments of each spin, in hartree; zero before `respond_locally`.

        It is also zero for unequal spins after a restricted mean field, whose response is known for equal spins only.
        """
        if self.local is None or len(self.local) != len(moments):
            return np.zeros((len(moments), self.mol.nao, self.mol.nao))
        charges = np.einsum("stpq,tq->sp", self.local, np.stack(moments), optimize=True)
        return np.stack([self._pairs.matrix(row @ self.integrals) for row in charges])


def exchange_terms(mf: Any) -> list[tuple[float, float]]:
    r"""Return the terms $(a, \omega)$ of exact exchange of a mean field, $\omega = 0$ the full-range one first."""
    if not isinstance(mf, dft.rks.KohnShamDFT):
        return [(1.0, 0.0)]
    omega, long_range, full = mf._numint.rsh_and_hybrid_coeff(mf.xc, spin=mf.mol.spin)
    return [(float(full), 0.0)] + ([(float(long_range - full), float(omega))] if omega else [])


def _inverse(metric: Float[ndarray, "aux aux"]) -> Float[ndarray, "aux aux"]:
    # Even-tempered functions on neighbours overlap strongly; what is below rounding is left out.
    w, v = scipy.linalg.eigh(metric, driver="evd")
    kept = w > 1e-10 * w[-1]
    return (v[:, kept] / w[kept]) @ v[:, kept].T


def exchange_factors(mol: gto.Mole, auxmol: gto.Mole, omega: float) -> Float[ndarray, "ao aux ao"]:
    r"""Return $B$ with the auxiliary index in the middle: so that a half-transformation is one product, in the right order for the next."""
    with auxmol.with_range_coulomb(omega), mol.with_range_coulomb(omega):
        w, v = scipy.linalg.eigh(auxmol.intor("int2c2e"))
        three = df.incore.aux_e2(mol, auxmol, "int3c2e", aosym="s2ij")
    kept = w > 1e-10 * w[-1]
    packed = np.ascontiguousarray((three @ (v[:, kept] / np.sqrt(w[kept]))).T)
    result, pairs = np.empty((mol.nao, len(packed), mol.nao)), Pairs(mol.nao)
    for index, row in enumerate(packed):
        result[:, index] = pairs.matrix(row)
    return result


def exchange_potential(
    factors: Float[ndarray, "ao aux ao"], half: Float[ndarray, "ao k"], sign: Float[ndarray, " k"]
) -> Float[ndarray, "ao ao"]:
    r"""Return $\sum_Q B_Q P B_Q$ of a density $P = \sum_i s_i c_i c_i^T$, from `half` $c$ and `sign` $s$."""
    transformed = factors @ half
    signed = transformed if (sign > 0).all() else transformed * sign
    return np.tensordot(signed, transformed, ((1, 2), (1, 2)))
