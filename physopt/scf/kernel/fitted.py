"""Densities fitted on a few Gaussians per atom."""

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray
from pyscf import df, gto


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


class Charges:
    r"""Fitted charges $q = V^{-1} \langle A, P \rangle$ with $A_P = (P | \mu\nu)$ and the metric $V_{PQ} = (P | Q)$.

    **Arguments:** `mol`: the molecule. `auxmol`: the functions $\chi_P$.
    """

    def __init__(self, mol: gto.Mole, auxmol: gto.Mole):
        self.mol, self.auxmol = mol, auxmol
        self.metric = auxmol.intor("int2c2e")
        self.solve = _inverse(self.metric)
        self._pairs = Pairs(mol.nao)
        # (aux, ao pairs): charges and potentials are one pass over it.
        self.integrals = np.ascontiguousarray(df.incore.aux_e2(mol, auxmol, "int3c2e", aosym="s2ij").T)

    def moments(self, density: Float[ndarray, "ao ao"]) -> Float[ndarray, " aux"]:
        r"""Return $\langle A, P \rangle$ of a symmetric density."""
        return self.integrals @ self._pairs.summed(density)

    def potential(self, charges: Float[ndarray, " aux"]) -> Float[ndarray, "ao ao"]:
        """Return the Coulomb potential of charges, in hartree."""
        return self._pairs.matrix(charges @ self.integrals)

    def norms(self, charges: Float[ndarray, "spin aux"]) -> Float[ndarray, " spin"]:
        """Return the norms of charges in the metric."""
        return np.sqrt(np.einsum("sp,pq,sq->s", charges, self.metric, charges, optimize=True))


def _inverse(metric: Float[ndarray, "aux aux"]) -> Float[ndarray, "aux aux"]:
    # Even-tempered functions on neighbours overlap strongly; what is below rounding is left out.
    w, v = scipy.linalg.eigh(metric, driver="evd")
    kept = w > 1e-10 * w[-1]
    return (v[:, kept] / w[kept]) @ v[:, kept].T
