r"""The terms of the response: each a linear map from a density to a change of the Fock matrix.

A further term is a class here, and a line in `terms_of`.
"""

import abc
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray
from pyscf import df, dft, gto

from physopt.scf.local import local_kernel

from .fitted import Charges, Pairs


class Density(NamedTuple):
    r"""Spin densities $P_s = \sum_i \sigma_i c_i c_i^T$: columns $c$, shape `(ao, k_s)`, with their signs, and the moments of $m P_s$."""

    halves: list[tuple[ndarray, ndarray]]
    moments: list[Float[ndarray, " aux"]]


class Change(NamedTuple):
    r"""Changes $\delta P_s = M_s C_s^T + C_s M_s^T$: the columns of $M_s$, shape `(ao, k_s)`, and the moments of $m \, \delta P_s$."""

    moved: list[ndarray]
    moments: list[Float[ndarray, " aux"]]


class AbstractTerm(abc.ABC):
    """One term of the response, symmetric and linear; all results in hartree, `(spin, ao, ao)`."""

    @abc.abstractmethod
    def of(self, density: Density) -> Float[ndarray, "spin ao ao"]:
        """Return the response to spin densities."""

    def prepared(self, orbitals: list[ndarray]) -> Any:
        """Return what `of_change` needs to know of orbitals $C_s$ that stay the same; by default nothing."""
        return None

    @abc.abstractmethod
    def of_change(self, change: Change, known: Any) -> Float[ndarray, "spin ao ao"]:
        """Return the response to changes of spin densities; `known` is what `prepared` returned."""


class Coulomb(AbstractTerm):
    r"""$\sum_{s'} \sum_P A_P (q_{s'})_P$, the same for all spins."""

    def __init__(self, charges: Charges):
        self._charges = charges

    def of(self, density: Density | Change) -> Float[ndarray, "spin ao ao"]:
        """Return the potential of the summed charges."""
        potential = self._charges.potential(self._charges.solve @ np.sum(density.moments, axis=0))
        return np.broadcast_to(potential, (len(density.moments), *potential.shape))

    def of_change(self, change: Change, known: Any) -> Float[ndarray, "spin ao ao"]:
        """Return the potential of the summed charges."""
        return self.of(change)


class Semilocal(AbstractTerm):
    r"""The semilocal functional's response at a density: $\sum_{s'} \sum_P A_P (V^{-1} M_{ss'} q_{s'})_P$, $M_{PQ} = \int \chi_P f \chi_Q$.

    The response to that density itself is known. For ordinary atoms the fitted one is within 60 % of it, and nearly all of the error
    is in the cores. $f = \delta v_\mathrm{xc} / \delta \rho$ diverges in the pseudized cores of heavy atoms and where one spin of an open
    shell has little density; there the response to a fitted density is thousands of times too large. That of such a spin is left out.

    **Arguments:** `mf`: a Kohn-Sham mean field. `dm`: AO density in PySCF's shape; `None` is its initial guess, made when it is needed.
    """

    def __init__(self, charges: Charges, mf: Any, dm: ndarray | None):
        self._charges, self._mf, self._dm = charges, mf, dm

    @functools.cached_property
    def local(self) -> Float[ndarray, "spin spin aux aux"]:
        r"""$V^{-1} M V^{-1}$, zero for a spin that is left out."""
        charges, mf = self._charges, self._mf
        dm = mf.get_init_guess(mf.mol, mf.init_guess) if self._dm is None else self._dm
        kernel, own = local_kernel(mf, charges.auxmol, dm)
        local, wanted = charges.solve @ kernel @ charges.solve, own @ charges.solve
        moments = np.stack([charges.moments(d) for d in np.asarray(dm).reshape(-1, *np.shape(dm)[-2:])])
        wrong = charges.norms(np.einsum("stpq,tq->sp", local, moments, optimize=True) - wanted) > charges.norms(wanted)
        local[wrong], local[:, wrong] = 0.0, 0.0
        return local

    def of(self, density: Density | Change) -> Float[ndarray, "spin ao ao"]:
        """Return the response; `ValueError` for a number of spins that the density it is known at did not have."""
        if len(self.local) != len(density.moments):
            raise ValueError(f"The functional's response is known for {len(self.local)} spin densities, not for {len(density.moments)}.")
        charges = np.einsum("stpq,tq->sp", self.local, np.stack(density.moments), optimize=True)
        return np.stack([self._charges.potential(row) for row in charges])

    def of_change(self, change: Change, known: Any) -> Float[ndarray, "spin ao ao"]:
        """Return the response."""
        return self.of(change)


class ExactExchange(AbstractTerm):
    r"""$-a \sum_Q B_Q P_s B_Q$ with $B = W^{-1/2} A$ of a smaller set of functions.

    **Arguments:** `fraction`: $a$. `omega`: full-range for 0, else with the kernel $\mathrm{erf}(\omega r) / r$.
    """

    def __init__(self, mol: gto.Mole, auxmol: gto.Mole, fraction: float, omega: float):
        self._fraction, self._factors = fraction, exchange_factors(mol, auxmol, omega)

    def of(self, density: Density) -> Float[ndarray, "spin ao ao"]:
        """Return the response."""
        return -self._fraction * np.stack([exchange_potential(self._factors, half, sign) for half, sign in density.halves])

    def prepared(self, orbitals: list[ndarray]) -> list[Float[ndarray, "ao aux _k"]]:
        """Return $B C_s$."""
        return [self._factors @ c for c in orbitals]

    def of_change(self, change: Change, known: list[Float[ndarray, "ao aux _k"]]) -> Float[ndarray, "spin ao ao"]:
        """Return the response: half the work of a density."""
        halves = [np.tensordot(self._factors @ m, fixed, ((1, 2), (1, 2))) for m, fixed in zip(change.moved, known, strict=True)]
        return -self._fraction * np.stack([half + half.T for half in halves])


def terms_of(charges: Charges, semilocal: Semilocal | None, exchange: Sequence[ExactExchange]) -> list[AbstractTerm]:
    """Return the terms in the order in which they are added."""
    return [*([] if semilocal is None else [semilocal]), Coulomb(charges), *exchange]


def semilocal_of(charges: Charges, mf: Any, dm: ndarray | None) -> Semilocal | None:
    """Return the functional's response at a density; Hartree-Fock has none."""
    return Semilocal(charges, mf, dm) if isinstance(mf, dft.rks.KohnShamDFT) else None


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
