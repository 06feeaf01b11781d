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
        # Lower triangles, one row per auxiliary function: half the memory of square matrices.
        self._packed = np.ascontiguousarray((three @ (v[:, kept] / np.sqrt(w[kept]))).T)
        self._nao = mol.nao
        rows, columns = np.tril_indices(self._nao)
        self._diagonal = rows == columns

    @property
    def num_functions(self) -> int:
        """Number of auxiliary functions."""
        return len(self._packed)

    def __call__(self, orbitals: list[ndarray], weights: list[ndarray], electrons: float) -> Float[ndarray, "spin ao ao"]:
        r"""Return $G$ of the densities $P_s = C_s \, \mathrm{diag}(n_s) \, C_s^T$, in hartree.

        **Arguments:**

        - `orbitals`: $C_s$, shape `(ao, k_s)` for each spin. `weights`: $n_s$, shape `(k_s,)`.
        - `electrons`: per spin orbital, $m$.
        """
        total = sum((c * n) @ c.T for c, n in zip(orbitals, weights, strict=True))
        packed = lib.pack_tril(total + total.T)
        packed[self._diagonal] *= 0.5
        coulomb = lib.unpack_tril(electrons * ((self._packed @ packed) @ self._packed))
        result = np.repeat(coulomb[None], len(orbitals), axis=0)
        if self.exchange:
            for spin, (c, n) in enumerate(zip(orbitals, weights, strict=True)):
                result[spin] -= self.exchange * self._exchange(c, n)
        return result

    def _exchange(self, orbitals: ndarray, weights: ndarray) -> ndarray:
        occupied = abs(weights) > 1e-10
        orbitals, weights = orbitals[:, occupied], weights[occupied]
        result = np.zeros((self._nao, self._nao))
        if not len(weights):
            return result
        half = np.ascontiguousarray(orbitals * np.sqrt(abs(weights)))
        block = max(1, 2**23 // self._nao**2)
        for start in range(0, len(self._packed), block):
            square = lib.unpack_tril(self._packed[start : start + block])
            transformed = (square.reshape(-1, self._nao) @ half).reshape(-1, self._nao, half.shape[1])
            rows = transformed.transpose(1, 0, 2)
            flat = np.ascontiguousarray(rows).reshape(self._nao, -1)
            signed = flat if (weights > 0).all() else np.ascontiguousarray(rows * np.sign(weights)).reshape(self._nao, -1)
            result += signed @ flat.T
        return result


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
