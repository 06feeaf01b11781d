"""The scanner of `accelerate(mf)`: each geometry starts from what the earlier ones predict."""

from typing import Any

import numpy as np
from numpy import ndarray
from pyscf import gto
from pyscf.lib import drop_class, logger, view
from pyscf.scf.hf import SCF_Scanner

from physopt.scf.auxiliary import Tabulated
from physopt.scf.model import Orbitals, Response
from physopt.scf.problem import SCF
from physopt.scf.series import Prediction, Series

# Half: two occupied spaces further apart, 60 degrees in some direction, are not called the same state.
SAME_STATE = 0.5


class SeriesScanner(SCF_Scanner):
    """The mixin of `accelerate(mf).as_scanner()`: overrides where a run starts, and looks at where it ended.

    The frames solved so far are in `series`; a geometry that is too far from all of them, another molecule or an explicit `dm0` starts
    as `kernel()` does. If the state reached has lost its overlap with the nearest frame's, a run from `init_guess` is compared, the
    lower energy is kept, and the log says so.
    """

    _keys = {"series"}

    def __init__(self, mf: Any):
        super().__init__(mf)
        self.series = Series()
        self._prediction: Prediction | None = None

    def __call__(self: Any, mol_or_geom: Any, dm0: ndarray | None = None) -> float:
        """Return the energy in hartree at a molecule or at coordinates of this one, as PySCF's scanners do."""
        mol = mol_or_geom if isinstance(mol_or_geom, gto.MoleBase) else self.mol.set_geom_(mol_or_geom, inplace=False)
        if dm0 is None and not len(self.series) and self.mo_coeff is not None and np.array_equal(self._last_mol_fp, mol.ao_loc):
            dm0 = self.make_rdm1()  # solved before it became a scanner
        self.reset(mol)
        self.mo_coeff = None  # the orbitals of another geometry are no start
        return self.kernel(dm0=dm0)

    def scf(self: Any, dm0: ndarray | None = None) -> float:
        """Run the accelerated SCF and remember what it found."""
        self._prediction = None
        super().scf(dm0)
        if not (self.converged and isinstance(self.solution.evaluation.model, Response)):
            return self.e_tot
        overlap = 1.0 if self._prediction is None else self._prediction.overlap(self.solution.point)
        if overlap < SAME_STATE:
            self._compare_with_fresh_start(overlap)
        self.series.remember(self.solution.evaluation.model)
        return self.e_tot

    def undo_accelerate(self: Any) -> Any:
        """Return the plain mean field, with the results found so far."""
        mf: Any = view(self, drop_class(self.__class__, SeriesScanner))
        for name in ("series", "_prediction", "_last_mol_fp"):
            delattr(mf, name)
        return mf.undo_accelerate()

    def _problem(self: Any) -> SCF:
        # A richer model pays here: what it does not explain is all that has to be extrapolated.
        return SCF.of(self, Tabulated() if self.auxiliary is None else self.auxiliary)

    def _predicted(self: Any, problem: SCF) -> Orbitals | None:
        grad_tol = np.sqrt(self.conv_tol) if self.conv_tol_grad is None else self.conv_tol_grad
        prediction = self.series.predict(problem.oracle, accuracy=0.1 * float(grad_tol))
        if prediction is None:
            return None
        overlap = prediction.overlap(prediction.orbitals)
        if not overlap >= SAME_STATE:
            logger.info(self, "The nearest of %d frames has overlap %.2f: starting afresh.", len(self.series), overlap)
            return None
        logger.info(self, "Start predicted from %d frames, overlap %.4f with the nearest.", len(self.series), overlap)
        self._prediction = prediction
        return prediction.orbitals

    def _compare_with_fresh_start(self: Any, overlap: float) -> None:
        found, energy = dict(vars(self)), self.e_tot
        super().scf(self.get_init_guess(self.mol, self.init_guess))
        if self.converged and self.e_tot < energy:
            logger.warn(self, "The state has overlap %.2f with the nearest frame's; a fresh start is %.3g hartree lower and kept.",
                        overlap, energy - self.e_tot)  # fmt: skip
            return
        fresh = self.e_tot
        self.__dict__.update(found)
        logger.warn(self, "The state has overlap %.2f with the nearest frame's; a fresh start is %.3g hartree above it.",
                    overlap, fresh - energy)  # fmt: skip
