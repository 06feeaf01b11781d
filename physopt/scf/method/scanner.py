"""The scanner of `accelerate(mf)`: each geometry starts from what the earlier ones predict."""

from typing import Any

import numpy as np
from numpy import ndarray
from pyscf import gto
from pyscf.lib import drop_class, logger, view
from pyscf.scf.hf import SCF_Scanner

from physopt.scf.auxiliary import Tabulated
from physopt.scf.frames import Frame, overlap
from physopt.scf.model import Orbitals, Response
from physopt.scf.problem import SCF
from physopt.scf.series import Prediction, Series

from .start import first_point

# Cosines of the largest angle between occupied spaces. Beyond 60 degrees it is another state; within 2.5 degrees nothing has happened.
SAME_STATE = 0.5
SAME_PLACE = 0.999
GAIN = 1e-8  # hartree: less is not a lower state


class SeriesScanner(SCF_Scanner):
    """The mixin of `accelerate(mf).as_scanner()`: predicts the start of a run, and checks the state at its end.

    The converged frames are in `series`. A geometry that is too far from all of them, another molecule or an explicit `dm0` starts
    as `kernel()` does. A state that is followed from frame to frame may no longer be the one that a fresh run finds. So whenever
    the occupied space has rotated by 2.5 degrees since the last check, it is compared with a fresh start. This costs no exact build as
    long as both agree. If they do not, or if the state has lost its overlap with the nearest frame, a fresh run is made,
    the lower energy is kept, and the log says so.
    """

    _keys = {"series"}

    def __init__(self, mf: Any):
        super().__init__(mf)
        self.series = Series()
        self._prediction: Prediction | None = None
        self._looked: Frame | None = None

    def __call__(self: Any, mol_or_geom: Any, dm0: ndarray | None = None, **kwargs: Any) -> float:
        """Return the energy in hartree at a molecule or at coordinates of this one, as PySCF's scanners do."""
        mol = mol_or_geom if isinstance(mol_or_geom, gto.MoleBase) else self.mol.set_geom_(mol_or_geom, inplace=False)
        if dm0 is None and not len(self.series) and self.mo_coeff is not None and np.array_equal(self._last_mol_fp, mol.ao_loc):
            dm0 = self.make_rdm1()  # solved before it became a scanner
        self.reset(mol)
        self.mo_coeff = None  # the orbitals of another geometry are no start
        return self.kernel(dm0=dm0, **kwargs)

    def scf(self: Any, dm0: ndarray | None = None, **kwargs: Any) -> float:
        """Run the accelerated SCF, check that it is still in the right state, and store the result."""
        self._prediction = None
        super().scf(dm0, **kwargs)
        if not (self.converged and self.solution and isinstance(self.solution.evaluation.model, Response)):
            return self.e_tot
        if dm0 is not None:
            self.series.forget()  # whoever brings a density may want another state than that of the frames
        if self._prediction is not None and self._is_doubtful(self._prediction):
            self._compare_with_fresh_run()
        frame = self.series.remember(self.solution.evaluation.model)
        if self._prediction is None:
            self._looked = frame
        return self.e_tot

    def undo_accelerate(self: Any) -> Any:
        """Return the plain mean field, with the results found so far."""
        mf: Any = view(self, drop_class(self.__class__, SeriesScanner))
        for name in ("series", "_prediction", "_looked", "_last_mol_fp"):
            delattr(mf, name)
        return mf.undo_accelerate()

    def _problem(self: Any) -> SCF:
        # A richer model pays here: what it does not explain is all that has to be extrapolated.
        return SCF.of(self, Tabulated() if self.auxiliary is None else self.auxiliary)

    def _predicted(self: Any, problem: SCF) -> tuple[SCF, Orbitals] | None:
        grad_tol = np.sqrt(self.conv_tol) if self.conv_tol_grad is None else self.conv_tol_grad
        prediction = self.series.predict(problem.oracle, accuracy=0.1 * float(grad_tol))
        if prediction is None:
            return None
        cosine = prediction.overlap(prediction.orbitals)
        if not cosine >= SAME_STATE:
            logger.info(self, "The nearest of %d frames has overlap %.2f: starting afresh.", len(self.series), cosine)
            return None
        logger.info(self, "Start predicted from %d frames, overlap %.4f with the nearest.", len(self.series), cosine)
        self._prediction = prediction
        return SCF(problem.oracle.at(prediction.density)), prediction.orbitals

    def _is_doubtful(self: Any, prediction: Prediction) -> bool:
        model, point, here = self.solution.evaluation.model, self.solution.point, prediction.body.occupied(self.solution.point)
        if not prediction.overlap(point) >= SAME_STATE:
            return True
        if self._looked is not None and overlap(self._looked.occupied, here) >= SAME_PLACE:
            return False
        self._looked = Frame.of(model, prediction.body)
        _, fresh, _, _ = first_point(self, self._problem(), np.asarray(self.get_init_guess(self.mol, self.init_guess)))
        return not overlap(prediction.body.occupied(fresh), here) >= SAME_STATE

    def _compare_with_fresh_run(self: Any) -> None:
        kept, energy = dict(vars(self)), self.e_tot
        super().scf(self.get_init_guess(self.mol, self.init_guess))
        gain = energy - self.e_tot
        if self.converged and gain > GAIN:
            logger.warn(self, "A fresh run ends in another state, %.3g hartree lower: the series goes on from there.", gain)
            self.series.forget()
            self._prediction = None
            return
        self.__dict__.update(kept)
        logger.warn(
            self,
            "The state turned far or a fresh start differs, but a fresh run ends no lower (%.3g hartree): the series stays where it is.",
            -gain,
        )
