"""The start: a self-consistent field on fitted integrals and a coarse grid, so that no exact build goes into a guess."""

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray
from pyscf import dft

from .kernel import exchange_terms
from .local import POTENTIAL_GRID, coarse_grids, coarse_potential
from .oracle import Oracle


class FittedField:
    r"""The Fock matrix of a mean field with Coulomb and exchange fitted on the kernel's functions and $v_\mathrm{xc}$ on a coarse grid.

    Solvents, dispersion and whatever else a mean field adds are left out: this is only where an exact run starts.
    """

    def __init__(self, oracle: Oracle):
        assert oracle.kernel is not None
        self._oracle, self._kernel, mf = oracle, oracle.kernel, oracle.mf
        self._exchange = exchange_terms(mf)[0][0]
        w, v = scipy.linalg.eigh(self._kernel.metric, driver="evd")
        kept = w > 1e-10 * w[-1]
        self._whiten = (v[:, kept] / np.sqrt(w[kept])).T.astype(np.float32)
        self._grids = coarse_grids(mf.mol, POTENTIAL_GRID) if isinstance(mf, dft.rks.KohnShamDFT) else None

    def fock(self, density: Float[ndarray, "spin mo mo"]) -> Float[ndarray, "spin mo mo"]:
        """Return the fitted Fock matrices of spin densities, in the oracle's basis."""
        oracle, kernel = self._oracle, self._kernel
        natural = [scipy.linalg.eigh(p) for p in density]
        orbitals = [oracle.basis @ (v[:, w > 1e-6] * np.sqrt(w[w > 1e-6])) for w, v in natural]
        each = [c @ c.T for c in orbitals]
        potential = oracle.hcore + kernel.coulomb([oracle.electrons * kernel.moments(p) for p in each])
        potential = np.stack([potential] * len(each))
        if self._exchange:
            potential -= self._exchange * np.stack([self._exchange_of(c) for c in orbitals])
        if self._grids is not None:
            dms = oracle.electrons * np.stack(each)
            potential += coarse_potential(oracle.mf, self._grids, dms[0] if oracle.restricted else dms)
        return oracle.basis.T @ potential @ oracle.basis

    def _exchange_of(self, half: Float[ndarray, "ao k"]) -> Float[ndarray, "ao ao"]:
        # Single precision: the start is good to three digits.
        transformed = self._kernel.half_transform(half)
        white = np.tensordot(self._whiten, transformed, 1)
        return np.tensordot(white, white, ((0, 2), (0, 2))).astype(float)
