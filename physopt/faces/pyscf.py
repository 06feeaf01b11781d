"""PySCF's face: `accelerate(mf)` dresses a mean field the way `mf.newton()` does."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pyscf import lib
from pyscf.lib import chkfile, logger
from pyscf.soscf.newton_ah import _CIAH_SOSCF

from physopt.core.recording import Recording
from physopt.core.rule import AbstractRule
from physopt.core.run import Progress, Solution
from physopt.core.stop import Stop
from physopt.scf.auxiliary import Auxiliary
from physopt.scf.learned import load_kernel
from physopt.scf.model import Anchor, Orbitals, Response
from physopt.scf.oracle import Oracle, check_supported
from physopt.scf.problem import SCF
from physopt.scf.threads import few_threads

from .pyscf_diis import ResponseDIIS as ResponseDIIS
from .pyscf_series import SeriesScanner
from .pyscf_start import begin, default_rule
from .pyscf_state import State, check_target, reach


def accelerate(
    mf: Any,
    rule: AbstractRule | None = None,
    record: str | Path | Recording | None = None,
    *,
    target: str = "nearest",
    weights: str | Path | Auxiliary | None = None,
) -> Any:
    r"""Return `mf` dressed so that `kernel()` converges in fewer exact Fock builds; use it wherever you used `mf`.

    These keep their meaning: `conv_tol` (hartree; here compared with an estimate of the energy still to be gained),
    `conv_tol_grad` ($|g|$ in PySCF's norm; $\sqrt{\text{conv\_tol}}$ if unset), `max_cycle`, `init_guess`, `diis_space`, `diis_damp`,
    `level_shift`, `callback`, `check_convergence`, `chkfile`, `verbose`, and afterwards `converged`, `cycles`, `e_tot`, `mo_coeff`,
    `nuc_grad_method()`, `as_scanner()`, `stability()`. `density_fit()` and solvent models may come before or after.
    Settings of PySCF's own kernel (`diis`, `DIIS`, `damp`, `diis_start_cycle`, `conv_check`) have no place here: a changed one is named
    in a warning. `undo_accelerate()` gives the plain mean field back. The energy, density and orbitals of a converged run belong
    together: its last exact build is at the density of its orbitals.

    **Arguments:**

    - `mf`: RHF, UHF, ROHF, RKS, UKS or ROKS of a molecule, not yet run or with orbitals to start from. Not changed.
    - `rule`: any rule of physopt, for the run from the start; default: DIIS on the response model, with a trust region and ADIIS/CDIIS
      behind it (`Control`).
    - `record`: a folder to write the run into, or a `Recording`. Further runs of the same object, such as the geometries
      of a scanner, go to `folder-2`, `folder-3`, ...
    - `target`: which state. `"nearest"`: where the start leads. `"stable"`: follow instabilities until it is a minimum.
      `"lowest"`: search from several starts, too. What was done is logged and kept in `state`.
    - `weights`: of the response model: a file that `physopt train scf` wrote, or `Auxiliary()` for the untrained model;
      default: those that physopt ships.

    **Returns:** a mean field of a class that inherits `mf`'s; after `kernel()`, `solution` holds the run's history and `state`
    what is known of the state.

    **Raises:** `TypeError` for a mean field the model does not know, with what to use instead; `WeightsError` for a weight
    file that is damaged or foreign.

    ??? cite "Reference"
        The dressing follows `pyscf.soscf.newton_ah`; the estimate is the second-order energy $\tfrac12 g^T H^{-1} g$ with the
        model's Hessian.
    """
    if isinstance(mf, _CIAH_SOSCF):
        raise TypeError("accelerate() replaces the second-order solver: pass mf.undo_newton() instead of mf.newton().")
    if isinstance(mf, _Accelerated):
        mf = mf.undo_accelerate()
    check_supported(mf)
    check_target(target)
    auxiliary = load_kernel(weights).auxiliary() if isinstance(weights, str | Path) else weights
    return lib.set_class(_Accelerated(mf, rule, record, target, auxiliary), (_Accelerated, mf.__class__))


class _Accelerated:
    """The mixin of `accelerate`: overrides `scf` and nothing else."""

    __name_mixin__ = "Accelerated"
    _keys = {"rule", "record", "target", "auxiliary", "solution", "state"}

    def __init__(self, mf: Any, rule: AbstractRule | None, record: str | Path | Recording | None, target: str, auxiliary: Auxiliary | None):
        self.__dict__.update(mf.__dict__)
        self.rule = rule
        self.record = record
        self.target = target
        self.auxiliary = auxiliary
        self.solution: Solution | None = None
        self.state: State | None = None
        self._recorded = False

    def undo_accelerate(self) -> Any:
        """Return the plain mean field, with the results found so far."""
        plain: Any = lib.view(self, lib.drop_class(self.__class__, _Accelerated))
        for name in (*_Accelerated._keys, "_recorded"):
            delattr(plain, name)
        return plain

    def to_gpu(self) -> Any:
        """Move the plain mean field to the GPU; the response model runs on the host only."""
        return self.undo_accelerate().to_gpu()

    def scf(self: Any, dm0: ndarray | None = None) -> float:
        """Run the accelerated SCF from `dm0`, from the present orbitals, or from `init_guess`; returns the energy in hartree."""
        if self.max_cycle <= 0:
            return super().scf(dm0)  # pyright: ignore[reportAttributeAccessIssue]
        with few_threads(self.mol.nao_nr()):
            return self._converge(dm0)

    def _converge(self: Any, dm0: ndarray | None) -> float:
        recording = self._next_recording()
        started = (logger.process_clock(), logger.perf_counter())
        self.dump_flags()
        self.build(self.mol)
        _warn_of_ignored(self)
        problem = self._problem()
        point = self._predicted(problem) if dm0 is None else None
        dm = problem.oracle.dm(point.coeff) if point is not None else self._first_density() if dm0 is None else np.asarray(dm0)
        if self.chkfile:
            chkfile.save_mol(self.mol, self.chkfile)
        self.pre_kernel({"mf": self, "mol": self.mol, "dm": dm, "s1e": problem.oracle.overlap, "h1e": problem.oracle.hcore})
        point = begin(self, problem, dm) if point is None else point
        report = _Report(self, problem, dm)
        grad_tol = np.sqrt(self.conv_tol) if self.conv_tol_grad is None else self.conv_tol_grad
        stop = Stop(max_evaluations=self.max_cycle)
        hooked = callable(self.check_convergence)
        if not hooked:
            # The tangent's gradient is dE/dkappa, twice PySCF's.
            stop = Stop(grad_norm=2.0 * float(grad_tol), decrease=float(self.conv_tol), max_evaluations=self.max_cycle)
        rule = self.rule or default_rule(self)
        self.solution, self.state = reach(self, problem, point, rule, stop, recording, report)
        self.converged = self.solution.converged or (hooked and self.solution.reason == "callback")
        self.cycles = self.state.evaluations
        self.e_tot = float(self.solution.evaluation.value)
        envs = report.envs(self.solution.point.coeff, self.solution.evaluation)
        self.mo_occ = envs["mo_occ"]
        self.mo_energy, self.mo_coeff = envs["mo_energy"], envs["mo_coeff"]
        if np.isfinite(envs["fock"]).all():
            self.mo_energy, self.mo_coeff = self.canonicalize(self.mo_coeff, self.mo_occ, envs["fock"])
        envs.update(mo_energy=self.mo_energy, mo_coeff=self.mo_coeff, scf_conv=self.converged)
        if self.chkfile:
            self.dump_chk(envs)
        self.post_kernel(envs)
        _warn_of_holes(self)
        logger.timer(self, "SCF", *started)
        self._finalize()
        return self.e_tot

    def _next_recording(self: Any) -> Recording | None:
        if self.record is None:
            return None
        wanted = self.record if isinstance(self.record, Recording) else Recording(self.record)
        if self._recorded:
            # A further run of this object, such as a scanner's next geometry: the first free folder beside the first.
            names = (f"{wanted.folder}-{number}" for number in itertools.count(2))
            wanted = dataclasses.replace(wanted, folder=next(name for name in names if not Path(name).exists()))
        wanted.check()
        self._recorded = True
        return wanted

    def as_scanner(self: Any) -> Any:
        """Return a function of the geometry that starts each from what the earlier ones predict. See `SeriesScanner`."""
        if isinstance(self, lib.SinglePointScanner):
            return self
        logger.info(self, "Create scanner for %s", self.__class__)
        return lib.set_class(SeriesScanner(self), (SeriesScanner, self.__class__), f"{self.__class__.__name__}_Scanner")

    def _problem(self: Any) -> SCF:
        return SCF.of(self, self.auxiliary)

    def _predicted(self, problem: SCF) -> Orbitals | None:
        return None

    def _first_density(self: Any) -> ndarray:
        if self.mo_coeff is not None and self.mo_occ is not None:
            return self.make_rdm1()
        return self.get_init_guess(self.mol, self.init_guess)

    def kernel(self: Any, dm0: ndarray | None = None) -> float:
        """Run `scf`, under the name that PySCF's users and drivers call."""
        return self.scf(dm0)


class _Report:
    """Turns the driver's progress into PySCF's log lines, checkpoint file and callbacks."""

    def __init__(self, mf: Any, problem: SCF, dm0: ndarray):
        self._mf = mf
        self._oracle = problem.oracle
        self._dm, self._energy = np.asarray(dm0), problem.oracle.energy
        logger.info(mf, "init E= %.15g", self._energy)

    def envs(self, coeff: tuple[ndarray, ...], evaluation: Any) -> dict[str, Any]:
        """Return the names that PySCF's kernel would have at this point."""
        mf, oracle, model = self._mf, self._oracle, evaluation.model
        assert isinstance(model, Response)
        fock, energies = _in_pyscfs_shape(oracle, coeff, model.anchor)
        grad_norm = 0.5 * np.sqrt(sum(np.vdot(g, g) for g in evaluation.grad))
        names = {
            "mf": mf, "mol": mf.mol, "s1e": oracle.overlap, "h1e": oracle.hcore, "conv_tol": mf.conv_tol, "conv_tol_grad": mf.conv_tol_grad,
            "e_tot": float(evaluation.value), "last_hf_e": self._energy, "norm_gorb": float(grad_norm),
            "mo_coeff": oracle.mo_coeff(coeff), "mo_occ": oracle.mo_occ(), "mo_energy": energies,
            "dm": oracle.dm(coeff), "dm_last": self._dm, "fock": fock,
        }  # fmt: skip
        spins = oracle.to_ao(model.anchor.fock)
        names["vhf"] = (spins[0] if oracle.restricted else spins) - oracle.hcore
        names["norm_ddm"] = float(np.linalg.norm(names["dm"] - self._dm)) if np.shape(names["dm"]) == np.shape(self._dm) else np.nan
        return names

    def __call__(self, progress: Progress) -> bool:
        """Report one evaluation; says `True` to stop if the user's own convergence test does."""
        mf = self._mf
        envs = self.envs(progress.carry.trial.coeff, progress.carry.evaluation)
        envs.update(cycle=progress.index, scf_conv=progress.converged)
        logger.info(
            mf, "cycle= %d E= %.15g  delta_E= %4.3g  |g|= %4.3g  |ddm|= %4.3g",
            progress.index + 1, envs["e_tot"], envs["e_tot"] - self._energy, envs["norm_gorb"], envs["norm_ddm"],
        )  # fmt: skip
        finished = callable(mf.check_convergence) and bool(mf.check_convergence(envs))
        envs["scf_conv"] = finished or progress.converged
        if mf.chkfile:
            mf.dump_chk(envs)
        if callable(mf.callback):
            mf.callback(envs)
        self._dm, self._energy = envs["dm"], envs["e_tot"]
        return finished


def _in_pyscfs_shape(oracle: Oracle, coeff: tuple[ndarray, ...], anchor: Anchor) -> tuple[ndarray, ndarray]:
    """Return Fock matrix and orbital energies as PySCF has them: in an open shell Roothaan's, with each spin's own as tags."""
    fock, energies = oracle.to_ao(anchor.fock), np.stack([_diagonal(c, f) for c, f in zip(coeff, anchor.fock, strict=True)])
    if not oracle.rotations.shared:
        return (fock[0], energies[0]) if oracle.restricted else (fock, energies)
    effective = oracle.rotations.effective(anchor.fock, anchor.density)[:1]
    tagged = lib.tag_array(oracle.to_ao(effective)[0], focka=fock[0], fockb=fock[1])
    return tagged, lib.tag_array(_diagonal(coeff[0], effective[0]), mo_ea=energies[0], mo_eb=energies[1])


def _diagonal(coeff: Float[ndarray, "mo mo"], fock: Float[ndarray, "mo mo"]) -> Float[ndarray, " mo"]:
    return (coeff * (fock @ coeff)).sum(axis=0)


def _warn_of_ignored(mf: Any) -> None:
    """Name the settings of PySCF's own kernel that were changed and mean nothing here."""
    for name in ("diis", "DIIS", "damp", "diis_start_cycle", "diis_file", "conv_check"):
        if name in vars(mf) and vars(mf)[name] != getattr(type(mf), name):
            logger.warn(mf, "%s is a setting of PySCF's own kernel and is not used here; undo_accelerate() returns to it.", name)


def _warn_of_holes(mf: Any) -> None:
    """Warn if an occupied orbital lies above an empty one: the state may not be the lowest."""
    for energy, occ in zip(np.atleast_2d(mf.mo_energy), np.atleast_2d(mf.mo_occ), strict=True):
        if (occ > 0).any() and (occ == 0).any():
            homo, lumo = energy[occ > 0].max(), energy[occ == 0].min()
            if homo > lumo:
                logger.warn(mf, "HOMO %.6g > LUMO %.6g: not an aufbau state; check mf.stability().", homo, lumo)
