r"""A cheap approximation of the response of Coulomb, exchange and exchange-correlation potentials, on a few Gaussians per atom."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pyscf import dft, gto

from physopt.scf.auxiliary import AbstractAuxiliary, Auxiliary, auxiliary_mol, real_symbols
from physopt.scf.learned import trained

from .fitted import Charges
from .terms import AbstractTerm, Change, Density, ExactExchange, Semilocal, semilocal_of, terms_of


class ResponseKernel:
    r"""The linear map $G$ from a density to the change of its Fock matrix, the sum of `terms` on fitted charges.

    With charges $q_s$ of the spin densities $P_s$, see `Charges`:
    $G_s[P] = m \sum_{s'} \sum_P A_P (q_{s'} + V^{-1} M_{ss'} q_{s'})_P - \sum_t a_t \sum_Q B^t_Q P_s B^t_Q$,
    where $m$ is the number of electrons per spin orbital (2 restricted, 1 unrestricted): `Coulomb`, `Semilocal` (see `at`) and
    `ExactExchange`. Symmetric, and zero for a zero density.

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
        self.charges = Charges(mol, auxiliary_mol(mol, {symbol: auxiliary.charge_shells(symbol) for symbol in symbols}))
        small = auxiliary_mol(mol, {symbol: auxiliary.exchange_shells(symbol) for symbol in symbols}) if self.exchange else None
        self._exchange = [] if small is None else [ExactExchange(mol, small, a, omega) for a, omega in self.exchange]
        self.semilocal: Semilocal | None = None

    @classmethod
    def of(cls, mf: Any, auxiliary: AbstractAuxiliary | None = None) -> "ResponseKernel":
        """Return the kernel of a mean field, at its initial guess: Hartree-Fock, or a functional; by default the trained one."""
        return cls(mf.mol, exchange_terms(mf), trained() if auxiliary is None else auxiliary).at(mf, None)

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

    def at(self, mf: Any, dm: ndarray | None) -> "ResponseKernel":
        """Return the kernel with the functional's response at an AO density in PySCF's shape, `None` for the initial guess.

        Integrals are shared. Hartree-Fock has no such response.
        """
        other = copy.copy(self)
        other.semilocal = semilocal_of(self.charges, mf, dm)
        return other

    @property
    def terms(self) -> list[AbstractTerm]:
        """What is added up."""
        return terms_of(self.charges, self.semilocal, self._exchange)

    @property
    def num_functions(self) -> int:
        """Number of functions that charges are fitted with."""
        return len(self.charges.metric)

    def density(self, orbitals: Sequence[ndarray], weights: Sequence[ndarray], electrons: float) -> Density:
        r"""Return what the terms need to know of $P_s = C_s \, \mathrm{diag}(n_s) \, C_s^T$; arguments as in a call."""
        halves, moments = [], []
        for c, n in zip(orbitals, weights, strict=True):
            kept = abs(n) > 1e-10
            half, sign = c[:, kept] * np.sqrt(abs(n[kept])), np.sign(n[kept])
            halves.append((half, sign))
            moments.append(electrons * self.charges.moments((half * sign) @ half.T))
        return Density(halves, moments)

    def __call__(self, orbitals: Sequence[ndarray], weights: Sequence[ndarray], electrons: float) -> Float[ndarray, "spin ao ao"]:
        r"""Return $G$ of the densities $P_s = C_s \, \mathrm{diag}(n_s) \, C_s^T$, in hartree.

        **Arguments:**

        - `orbitals`: $C_s$, shape `(ao, k_s)` for each spin. `weights`: $n_s$, shape `(k_s,)`.
        - `electrons`: per spin orbital, $m$.
        """
        density, result = self.density(orbitals, weights, electrons), np.zeros((len(orbitals), self.mol.nao, self.mol.nao))
        for term in self.terms:
            result += term.of(density)
        return result

    def prepared(self, orbitals: list[ndarray]) -> list[Any]:
        """Return what `transition` needs to know of orbitals that stay the same, term by term."""
        return [term.prepared(orbitals) for term in self.terms]

    def transition(
        self, orbitals: list[ndarray], moved: list[ndarray], known: Sequence[Any], electrons: float
    ) -> Float[ndarray, "spin ao ao"]:
        r"""Return $G$ of the changes $\delta P_s = M_s C_s^T + C_s M_s^T$ of the densities, in hartree: half the work of a density.

        **Arguments:**

        - `orbitals`, `moved`: $C_s$, $M_s$, shape `(ao, k_s)`. `known`: of `orbitals`, by `prepared`. `electrons`: per spin orbital.
        """
        moments = []
        for c, m in zip(orbitals, moved, strict=True):
            half = m @ c.T
            moments.append(electrons * self.charges.moments(half + half.T))
        change, result = Change(moved, moments), np.zeros((len(orbitals), self.mol.nao, self.mol.nao))
        for term, fixed in zip(self.terms, known, strict=True):
            result += term.of_change(change, fixed)
        return result


def exchange_terms(mf: Any) -> list[tuple[float, float]]:
    r"""Return the terms $(a, \omega)$ of exact exchange of a mean field, $\omega = 0$ the full-range one first."""
    if not isinstance(mf, dft.rks.KohnShamDFT):
        return [(1.0, 0.0)]
    omega, long_range, full = mf._numint.rsh_and_hybrid_coeff(mf.xc, spin=mf.mol.spin)
    return [(float(full), 0.0)] + ([(float(long_range - full), float(omega))] if omega else [])
