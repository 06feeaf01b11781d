"""The response model behind PySCF's own kernel: a DIIS class for `mf.DIIS`."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pyscf import lib

from physopt.core.anchored import least_residual
from physopt.core.tree import tree_combine
from physopt.scf.kernel import ResponseKernel
from physopt.scf.model import Anchor
from physopt.scf.oracle import Oracle
from physopt.scf.supported import is_molecular, user_class


class ResponseDIIS(lib.diis.DIIS):
    """Extrapolate Fock matrices as PySCF's CDIIS does, then converge the response model at the extrapolated anchor.

    The returned Fock matrix is the model's self-consistent one, so PySCF's next diagonalization gives the model's
    orbitals. Diagonalization and occupations stay PySCF's (`mf.eig`, `mf.get_occ`), so point-group symmetry, smearing and
    fractional occupations work. PySCF's own convergence test, and its extra builds, stay, too.

    ```python
    mf = scf.RHF(mol)
    mf.DIIS = ResponseDIIS
    mf.kernel()
    ```

    **Raises:** `TypeError` in `update` for a mean field that is neither restricted closed-shell nor unrestricted.
    """

    def __init__(self, mf: Any = None, filename: str | None = None):
        super().__init__(mf, filename)
        self.space = 8
        self.rollback = 0
        self.damp = 0.0
        self.Corth = None
        self._oracle: Oracle | None = None
        self._history: list[tuple[Anchor, ndarray]] = []

    def update(self, s: ndarray, d: ndarray, f: ndarray, mf: Any, h1e: ndarray, vhf: Any, f_prev: Any = None) -> ndarray:
        """Return the Fock matrix to diagonalize next, in hartree and in the shape of `f`.

        **Arguments:** as PySCF passes them: overlap, density, Fock matrix, mean field, core Hamiltonian, potential, and the
        last Fock matrix.
        """
        if self._oracle is None:
            if not (mf.istype("RHF") or mf.istype("UHF")) or mf.istype("ROHF") or np.iscomplexobj(f):
                kind = f"a complex {user_class(mf)}" if np.iscomplexobj(f) else user_class(mf)
                raise TypeError(
                    f"ResponseDIIS knows RHF, UHF, RKS and UKS of real orbitals, not {kind}. Set mf.DIIS = pyscf.scf.diis.CDIIS there."
                )
            oracle = Oracle(mf, ResponseKernel.of(mf) if is_molecular(mf, s) else None)
            self._oracle = oracle.at(oracle.density_of_ao(d))
        fock = np.asarray(f) if not self.damp or f_prev is None else (1.0 - self.damp) * np.asarray(f) + self.damp * np.asarray(f_prev)
        oracle = self._oracle
        density = oracle.density_of_ao(d)
        exact = Anchor(oracle.to_orthonormal(fock), density, oracle.induced_by_density(density))
        error = exact.fock @ density - density @ exact.fock
        self._history = [*self._history, (exact, error.ravel())][-self.space :]
        anchor = _extrapolate(self._history)
        tolerance = max(0.02 * float(np.linalg.norm(error)), 1e-14 * float(np.linalg.norm(fock)))
        return oracle.to_ao(self._converge(mf, s, anchor, tolerance)).reshape(np.shape(f))

    def _converge(self, mf: Any, s: ndarray, anchor: Anchor, tolerance: float) -> Float[ndarray, "spin mo mo"]:
        oracle, model, history = self._oracle, anchor.fock, []
        assert oracle is not None
        verbose, mf.verbose = mf.verbose, 0  # the model's diagonalizations are not cycles to report
        try:
            for _ in range(60):
                ao = oracle.to_ao(model)
                mo_energy, mo_coeff = mf.eig(ao[0] if oracle.restricted else ao, s)
                mo_occ = mf.get_occ(mo_energy, mo_coeff)
                density = oracle.density_of_ao(mf.make_rdm1(mo_coeff, mo_occ))
                fock = anchor.fock + oracle.induced_by_density(density) - anchor.induced
                error = fock @ density - density @ fock
                if np.linalg.norm(error) < tolerance:
                    break
                history = [*history[-7:], (Anchor(fock, density, density), error.ravel())]
                model = _extrapolate(history).fock
        finally:
            mf.verbose = verbose
        return model


def _extrapolate(history: list[tuple[Anchor, ndarray]]) -> Anchor:
    return tree_combine(least_residual(np.stack([error for _, error in history])), [anchor for anchor, _ in history])
