"""The interface to PySCF: `accelerate(mf)` wraps a mean field, as `mf.newton()` does."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from pyscf import lib
from pyscf.lib import chkfile, logger
from pyscf.soscf.newton_ah import _CIAH_SOSCF

from physopt.core.recording import Recording
from physopt.core.rule import AbstractRule
from physopt.core.run import Solution
from physopt.core.stop import Stop
from physopt.scf.auxiliary import Auxiliary
from physopt.scf.calibration import Calibration
from physopt.scf.corrected import Surface
from physopt.scf.learned import load_kernel
from physopt.scf.model import Orbitals, Response
from physopt.scf.problem import SCF
from physopt.scf.supported import DRESS, check_supported, objection
from physopt.scf.threads import few_threads

from .diis import ResponseDIIS as ResponseDIIS
from .dress import Dress
from .polish import polish
from .predicted import Foresight, calibration_of, seen_ahead
from .report import Report, warn_of_holes, warn_of_ignored, with_pyscfs_signs
from .scanner import SeriesScanner
from .start import check_start, default_rule, first_point
from .state import State, check_target, reach


def accelerate(
    mf: Any,
    rule: AbstractRule | None = None,
    record: str | Path | Recording | None = None,
    *,
    target: str = "nearest",
    weights: str | Path | Auxiliary | None = None,
    confirm: str | Calibration = "exact",
    start: str | None = None,
) -> Any:
    r"""Return `mf` wrapped so that `kernel()` converges in fewer exact Fock builds; use it wherever you used `mf`.

    These keep their meaning: `conv_tol` (hartree; here compared with an estimate of the energy still to be gained),
    `conv_tol_grad` ($|g|$ in PySCF's norm; $\sqrt{\text{conv\_tol}}$ if unset), `max_cycle`, `init_guess`, `diis_space`, `diis_damp`,
    `level_shift`, `callback`, `check_convergence`, `chkfile`, `verbose`, and afterwards `converged`, `cycles`, `e_tot`, `mo_coeff`,
    `nuc_grad_method()`, `as_scanner()`, `stability()`. `density_fit()` and solvent models may come before or after. `conv_check`, once it
    is set to `True`, asks for one more step and exact build after convergence, for finite differences. `DIIS = ResponseDIIS` runs
    PySCF's own kernel. Other settings of that kernel (`diis`, `DIIS`, `damp`, `diis_start_cycle`) are not used here: a changed
    one is named in a warning. `undo_accelerate()` returns the plain mean field. The energy, density and orbitals of a converged run
    belong together: its last exact build is at the density of its orbitals.

    **Arguments:**

    - `mf`: RHF, UHF, ROHF, RKS, UKS or ROKS of a molecule, not yet run or with orbitals to start from. Not changed.
    - `rule`: any rule of physopt, for the run from the start; default: DIIS on the response model, then a trust region and ADIIS/CDIIS
      if needed (`Control`).
    - `record`: a folder to write the run into, or a `Recording`. Further runs of the same object, such as the geometries
      of a scanner, go to `folder-2`, `folder-3`, ...
    - `target`: which state. `"nearest"`: where the start leads. `"stable"`: follow instabilities until it is a minimum.
      `"lowest"`: also search from several starts. What was done is logged and kept in `state`.
    - `weights`: of the response model: a file that `physopt train scf` wrote, or `Auxiliary()` for the untrained model;
      default: those that physopt ships.
    - `confirm`: how the run ends. `"exact"`: by an exact build at the answer. `"predicted"`: after the first exact build, where a cheap
      surface corrected by that build has the answer and a calibrated bound of $|g|$ is below `conv_tol_grad`; else as before. Then `state`
      says `confirmed=False` and the `bound`, and `confirm()` makes the build. A `Calibration` of your own does the same by its figures.
    - `start`: `"fitted"`: at the minimum of a density-fitted surface, for the fewest exact builds. `"exact"`: at the initial guess. By
      default exact where builds on integrals in memory are quicker than fitted ones: Hartree-Fock from 70 functions on.

    **Returns:** a mean field of a class that inherits `mf`'s; after `kernel()`, `solution` holds the run's history and `state`
    the information on the state.

    **Raises:** `ValueError` for an unknown `target`, `confirm` or `start`, and for a predicted end together with what it has no place for;
    `TypeError` for a mean field that is not supported and, in `kernel()`, for a complex start, with what to use instead;
    `RuntimeError` there for more electrons of one spin than functions; `WeightsError` for a weight file that is damaged or foreign.

    ??? cite "Reference"
        The wrapping follows `pyscf.soscf.newton_ah`; the estimate is the second-order energy $\tfrac12 g^T H^{-1} g$ with the
        model's Hessian.
    """
    if isinstance(mf, _CIAH_SOSCF):
        raise TypeError("accelerate() replaces the second-order solver: pass mf.undo_newton() instead of mf.newton().")
    if isinstance(mf, _Accelerated):
        mf = mf.undo_accelerate()
    check_supported(mf)
    check_target(target)
    check_start(start)
    calibration = calibration_of(confirm, rule, target, start)
    auxiliary = load_kernel(weights).auxiliary() if isinstance(weights, str | Path) else weights
    return lib.set_class(_Accelerated(mf, rule, record, target, auxiliary, calibration, start), (_Accelerated, mf.__class__))


class _Accelerated(Dress):
    """The mixin of `accelerate`: overrides how a mean field runs, and keeps the dress on what it becomes."""

    __name_mixin__ = DRESS
    _keys = {"rule", "record", "target", "auxiliary", "calibration", "start", "solution", "state"}

    def __init__(
        self,
        mf: Any,
        rule: AbstractRule | None,
        record: str | Path | Recording | None,
        target: str,
        auxiliary: Auxiliary | None,
        calibration: Calibration | None,
        start: str | None,
    ):
        self.__dict__.update(mf.__dict__)
        self.rule = rule
        self.record = record
        self.target = target
        self.auxiliary = auxiliary
        self.calibration = calibration  # of a predicted end; `None` if each end is to be confirmed
        self.start = start
        self.solution: Solution | None = None
        self.state: State | None = None
        self._recorded = False

    def undo_accelerate(self) -> Any:
        """Return the plain mean field, with the results found so far."""
        plain: Any = lib.view(self, lib.drop_class(self.__class__, _Accelerated))
        for name in (*_Accelerated._keys, "_recorded"):
            delattr(plain, name)
        return plain

    def dressed_alike(self: Any, mf: Any) -> Any:
        """Return another mean field dressed as this one is, or as it came if the model does not serve its kind."""
        if objection(mf):
            return mf
        settings = {"target": self.target, "weights": self.auxiliary, "confirm": self.calibration or "exact", "start": self.start}
        dressed = accelerate(mf, self.rule, self.record, **settings)
        dressed._recorded = self._recorded
        return dressed

    def scf(self: Any, dm0: ndarray | None = None, *, dump_chk: bool = True, **kwargs: Any) -> np.float64:
        """Run the accelerated SCF from `dm0`, from the present orbitals, or from `init_guess`; returns the energy in hartree.

        As in PySCF, `dump_chk=False` writes no checkpoint file, and what else is named goes to `get_init_guess`.
        """
        if misplaced := {"conv_tol", "conv_tol_grad", "callback", "conv_check"} & set(kwargs):
            raise TypeError(f"kernel() takes no {', '.join(sorted(misplaced))}: set it on the mean field, mf.{min(misplaced)} = ...")
        if not self._takes_over():
            self.solution = self.state = None
            return super().scf(dm0, dump_chk=dump_chk, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]
        with few_threads(self.mol.nao_nr()):
            return self._converge(dm0, dump_chk, **kwargs)

    def _takes_over(self: Any) -> bool:
        """Say whether this run is physopt's and not PySCF's own: it has cycles, no other kernel is asked for, the kind is served."""
        if self.max_cycle <= 0:
            return False
        chosen = type(self.diis) if isinstance(self.diis, lib.diis.DIIS) else self.DIIS
        asked = self.diis and issubclass(chosen, ResponseDIIS)
        obstacle = "DIIS = ResponseDIIS asks for PySCF's own kernel." if asked else objection(self)
        if obstacle is None:
            return True
        if self.target != "nearest" or self.record is not None or self.rule is not None:
            raise TypeError(f"A target, a rule or a record needs the accelerated run. {obstacle}")
        if not asked:
            # It was served when it was dressed: PySCF's addons change an object afterwards.
            logger.warn(self, "PySCF's own kernel runs. %s", obstacle)
        return False

    def _converge(self: Any, dm0: ndarray | None, dump_chk: bool, **kwargs: Any) -> np.float64:
        recording = self._next_recording()
        started = (logger.process_clock(), logger.perf_counter())
        self.dump_flags()
        self.build(self.mol)
        warn_of_ignored(self)
        problem = self._problem()
        with problem.oracle.clock.working():
            self._reach(problem, recording, dm0, dump_chk, **kwargs)
        logger.timer(self, "SCF", *started)
        self._finalize()
        return self.e_tot

    def _reach(self: Any, problem: SCF, recording: Recording | None, dm0: ndarray | None, dump_chk: bool, **kwargs: Any) -> None:
        """Run from the start to the target, and fill in PySCF's attributes."""
        predicted, energy, surface = self._predicted(problem) if dm0 is None else None, np.nan, None
        if predicted is not None:
            problem, point = predicted
            dm = problem.oracle.dm(point.coeff)
        else:
            dm = problem.oracle.in_shape(self._first_density(s1e=problem.oracle.overlap, **kwargs) if dm0 is None else dm0)
        if self.chkfile and dump_chk:
            chkfile.save_mol(self.mol, self.chkfile)
        self.pre_kernel({"mf": self, "mol": self.mol, "dm": dm, "s1e": problem.oracle.overlap, "h1e": problem.oracle.hcore})
        if predicted is None:
            problem, point, energy, surface = first_point(self, problem, dm)
        report = Report(self, problem, dm, energy, dump_chk)
        surface = seen_ahead(self, surface)  # otherwise its integrals need not be kept
        self._finish(problem, point, report, recording, surface)

    def _finish(
        self: Any, problem: SCF, point: Orbitals, report: Report, recording: Recording | None = None, surface: Surface | None = None
    ) -> None:
        """Run on the exact surface from a point, to an end that a cheap surface predicts if there is one; fill in PySCF's attributes."""
        grad_tol = np.sqrt(self.conv_tol) if self.conv_tol_grad is None else self.conv_tol_grad
        stop = Stop(max_evaluations=self.max_cycle)
        hooked = callable(self.check_convergence)
        if not hooked:
            # The tangent's gradient is dE/dkappa, twice PySCF's.
            stop = Stop(grad_norm=2.0 * float(grad_tol), decrease=float(self.conv_tol), max_evaluations=self.max_cycle)
        rule = self.rule or default_rule(self)
        ahead = None if surface is None else Foresight(self, report, surface, stop, self.calibration)
        self.solution, self.state = reach(self, problem, point, rule, stop, recording, ahead or report)
        if ahead is not None:
            self.solution, self.state = ahead.ended(self.solution, self.state)
        self.converged = self.solution.converged or (hooked and self.solution.reason == "callback")
        self.cycles = self.state.evaluations
        if self.converged and vars(self).get("conv_check"):  # PySCF's default is True: only who sets it means it
            self.solution, self.state = polish(problem, self.solution, self.state)
            report.extra(self.solution.point.coeff, self.solution.evaluation)
        self._take_over(report)

    def confirm(self: Any) -> np.float64:
        """Make the exact build that a predicted end has left out, and return the energy in hartree; nothing to do if it was made.

        Energy, orbitals and `state` are then those of an exact answer. Should $|g|$ not be below the tolerance, the run goes on.
        """
        if self.state is None:
            raise RuntimeError("confirm() has no result of an accelerated run to confirm: call kernel() first.")
        if self.state.confirmed:
            return self.e_tot
        with few_threads(self.mol.nao_nr()):
            before, model = self.state.evaluations, self.solution.evaluation.model
            known = isinstance(model, Response) and np.array_equal(model.oracle.overlap, self.get_ovlp())  # not if it was pickled
            problem, dm = SCF(model.oracle) if known else self._problem().at(self.make_rdm1()), self.make_rdm1()
            with problem.oracle.clock.working():
                point = Orbitals(problem.oracle.rotations.natural(problem.oracle.density_of_ao(dm)))
                self._finish(problem, point, Report(self, problem, dm, self.e_tot, True))
        self.cycles = before + self.state.evaluations
        self.state = dataclasses.replace(self.state, evaluations=self.cycles)
        self._finalize()
        return self.e_tot

    def _take_over(self: Any, report: Report) -> None:
        """Fill in PySCF's attributes and checkpoint file from the solution."""
        envs = report.envs(self.solution.point.coeff, self.solution.evaluation)
        self.e_tot, self.mo_occ = envs["e_tot"], envs["mo_occ"]
        self.mo_energy, self.mo_coeff = envs["mo_energy"], envs["mo_coeff"]
        if np.isfinite(envs["fock"]).all():
            self.mo_energy, self.mo_coeff = self.canonicalize(self.mo_coeff, self.mo_occ, envs["fock"])
            self.mo_coeff = with_pyscfs_signs(self.mo_coeff)
        envs.update(mo_energy=self.mo_energy, mo_coeff=self.mo_coeff, scf_conv=self.converged)
        report.checkpoint(envs)
        self.post_kernel(envs)
        warn_of_holes(self)

    def _next_recording(self: Any) -> Recording | None:
        if self.record is None:
            return None
        wanted = self.record if isinstance(self.record, Recording) else Recording(self.record)
        ends = {} if self.calibration is None else {"confirm": "predicted"}
        wanted = dataclasses.replace(wanted, asked={**wanted.asked, "target": self.target}, spec={**wanted.spec, **ends})
        if self._recorded:
            # A further run of this object, such as a scanner's next geometry: the first free folder beside the first.
            names = (f"{wanted.folder}-{number}" for number in itertools.count(2))
            wanted = dataclasses.replace(wanted, folder=next(name for name in names if not Path(name).exists()))
        self._recorded = True
        return wanted.prepared()  # before the start, which may cost a build

    def as_scanner(self: Any) -> Any:
        """Return a function of the geometry that starts each from what the earlier ones predict. See `SeriesScanner`."""
        if isinstance(self, lib.SinglePointScanner):
            return self
        logger.info(self, "Create scanner for %s", self.__class__)
        return lib.set_class(SeriesScanner(self), (SeriesScanner, self.__class__), f"{self.__class__.__name__}_Scanner")

    def _problem(self: Any) -> SCF:
        return SCF.of(self, self.auxiliary)

    def _predicted(self, problem: SCF) -> tuple[SCF, Orbitals] | None:
        return None

    def _first_density(self: Any, **kwargs: Any) -> ndarray:
        if self.mo_coeff is not None and self.mo_occ is not None:
            return self.make_rdm1()
        return self.get_init_guess(self.mol, self.init_guess, **kwargs)

    def kernel(self: Any, dm0: ndarray | None = None, **kwargs: Any) -> np.float64:
        """Run `scf`, under the name that PySCF's users and drivers call."""
        return self.scf(dm0, **kwargs)
