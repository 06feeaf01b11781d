r"""A cheap stand-in for the Coulomb and exchange response, on a handful of Gaussians per atom."""

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray
from pyscf import df, gto, lib
from pyscf.data import radii

# l -> exponents in units of 1 / R_cov^2; a first guess that nothing was fitted to. Hydrogen has no d functions.
EXPONENTS = {0: (0.3, 1.5), 1: (0.3, 1.5), 2: (0.5, 1.5)}


class ResponseKernel:
    r"""The linear map $G$ from a density to its Coulomb and exchange potential, fitted on an auxiliary basis.

    With $B_Q = \sum_P (V^{-1/2})_{QP} (P | \mu\nu)$ and spin densities $P_s$:
    $G_s[P] = m \sum_{s'} \sum_Q B_Q \langle B_Q, P_{s'} \rangle - a_x \sum_Q B_Q P_s B_Q$,
    where $m$ is the number of electrons per spin orbital (2 restricted, 1 unrestricted) and $a_x$ the fraction of
    exact exchange. Symmetric, invariant under rotations, and zero for a zero density.

    **Arguments:**

    - `mol`: the molecule. `exchange`: $a_x$. `exponents`: per angular momentum, in units of $1 / R_\mathrm{cov}^2$.

    ??? cite "Reference"
        Density fitting: Dunlap, Connolly, Sabin, J. Chem. Phys. 71 (1979) 3396.
    """

    def __init__(self, mol: gto.Mole, exchange: float, exponents: dict[int, tuple[float, ...]] | None = None):
        self.exchange = exchange
        auxiliary = df.addons.make_auxmol(mol, auxiliary_basis(mol, EXPONENTS if exponents is None else exponents))
        metric = auxiliary.intor("int2c2e")
        w, v = scipy.linalg.eigh(metric)
        kept = w > 1e-10 * w[-1]
        three = df.incore.aux_e2(mol, auxiliary, "int3c2e", aosym="s2ij")  # (ao pairs, aux)
        packed = np.ascontiguousarray((three @ (v[:, kept] / np.sqrt(w[kept]))).T)
        # B as (ao, aux, ao): half-transforming it is one matrix product, whose result is in order for the next.
        self._factors = np.empty((mol.nao, len(packed), mol.nao))
        for index, row in enumerate(packed):
            self._factors[:, index] = lib.unpack_tril(row)

    @property
    def num_functions(self) -> int:
        """Number of auxiliary functions."""
        return self._factors.shape[1]

    def __call__(self, orbitals: list[ndarray], weights: list[ndarray], electrons: float) -> Float[ndarray, "spin ao ao"]:
        r"""Return $G$ of the densities $P_s = C_s \, \mathrm{diag}(n_s) \, C_s^T$, in hartree.

        **Arguments:**

        - `orbitals`: $C_s$, shape `(ao, k_s)` for each spin. `weights`: $n_s$, shape `(k_s,)`.
        - `electrons`: per spin orbital, $m$.
        """
        nao, naux = self._factors.shape[:2]
        charges, exchange = np.zeros(naux), []
        for c, n in zip(orbitals, weights, strict=True):
            occupied = abs(n) > 1e-10
            half, sign = c[:, occupied] * np.sqrt(abs(n[occupied])), np.sign(n[occupied])
            transformed = (self._factors.reshape(-1, nao) @ half).reshape(nao, naux, len(sign))
            charges += np.einsum("aqk,ak->q", transformed, half * sign, optimize=True)
            if self.exchange:
                signed = transformed if (sign > 0).all() else transformed * sign
                exchange.append(self.exchange * (signed.reshape(nao, -1) @ transformed.reshape(nao, -1).T))
        coulomb = np.repeat((electrons * charges @ self._factors)[None], len(orbitals), axis=0)
        return coulomb - np.stack(exchange) if exchange else coulomb


def auxiliary_basis(mol: gto.Mole, exponents: dict[int, tuple[float, ...]]) -> dict[str, list]:
    """Return even a crude charge model's basis in PySCF's format: `exponents / R_cov^2` for each element of `mol`."""
    basis = {}
    for atom in range(mol.natm):
        symbol, charge = mol.atom_symbol(atom), gto.charge(mol.atom_symbol(atom))
        if charge == 0:
            continue  # a ghost atom has basis functions but no charge to move
        radius = radii.COVALENT[min(charge, len(radii.COVALENT) - 1)]
        shells = {angular: ratios for angular, ratios in exponents.items() if charge > 1 or angular < 2}
        basis[symbol] = [[angular, [ratio / radius**2, 1.0]] for angular, ratios in shells.items() for ratio in ratios]
    return basis
