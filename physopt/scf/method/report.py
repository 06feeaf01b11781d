"""Report an accelerated run as PySCF does: log lines, checkpoint file, callbacks, shapes and signs."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pyscf import lib
from pyscf.lib import logger

from physopt.core.run import Progress
from physopt.scf.model import Anchor, Response
from physopt.scf.oracle import Oracle
from physopt.scf.problem import SCF


class Report:
    """Converts the driver's progress to PySCF's log lines, checkpoint file and callbacks.

    **Arguments:**

    - `dm`: AO density before the first evaluation. `energy`: the energy there in hartree, if known, or NaN.
    - `keep`: write the checkpoint file.
    """

    def __init__(self, mf: Any, problem: SCF, dm: ndarray, energy: float, keep: bool):
        self._mf, self._keep = mf, keep and bool(mf.chkfile)
        self._oracle = problem.oracle
        self._dm, self._energy = dm, energy
        if np.isfinite(energy):
            logger.info(mf, "init E= %.15g", energy)

    def envs(self, coeff: tuple[ndarray, ...], evaluation: Any) -> dict[str, Any]:
        """Return the names that PySCF's kernel would have at this point."""
        mf, oracle, model = self._mf, self._oracle, evaluation.model
        assert isinstance(model, Response)
        fock, energies = _in_pyscfs_shape(oracle, coeff, model.anchor)
        grad_norm = 0.5 * np.sqrt(sum(np.vdot(g, g) for g in evaluation.grad))
        names = {
            "mf": mf, "mol": mf.mol, "s1e": oracle.overlap, "h1e": oracle.hcore, "conv_tol": mf.conv_tol, "conv_tol_grad": mf.conv_tol_grad,
            "e_tot": np.float64(evaluation.value), "last_hf_e": self._energy, "norm_gorb": float(grad_norm),
            "mo_coeff": oracle.mo_coeff(coeff), "mo_occ": oracle.mo_occ(), "mo_energy": energies,
            "dm": oracle.dm(coeff), "dm_last": self._dm, "fock": fock,
        }  # fmt: skip
        spins = oracle.to_ao(model.anchor.fock)
        names["vhf"] = (spins[0] if oracle.restricted else spins) - oracle.hcore
        names["norm_ddm"] = float(np.linalg.norm(names["dm"] - self._dm))
        return names

    def __call__(self, progress: Progress) -> bool:
        """Report one evaluation; says `True` to stop if the user's own convergence test does."""
        mf = self._mf
        envs = self.envs(progress.carry.trial.coeff, progress.carry.evaluation)
        envs.update(cycle=progress.index, scf_conv=progress.converged)
        self._log(f"cycle= {progress.index + 1}", envs)
        finished = callable(mf.check_convergence) and bool(mf.check_convergence(envs))
        envs["scf_conv"] = finished or progress.converged
        self.checkpoint(envs)
        if callable(mf.callback):
            mf.callback(envs)
        self._dm, self._energy = envs["dm"], envs["e_tot"]
        return finished

    def extra(self, coeff: tuple[ndarray, ...], evaluation: Any) -> None:
        """Report the build after convergence that `conv_check` asks for."""
        envs = self.envs(coeff, evaluation)
        self._log("Extra cycle ", envs)
        self._dm, self._energy = envs["dm"], envs["e_tot"]

    def checkpoint(self, envs: dict[str, Any]) -> None:
        """Write the checkpoint file, if there is one."""
        if self._keep:
            self._mf.dump_chk(envs)

    def _log(self, which: str, envs: dict[str, Any]) -> None:
        # Where a series predicted the start, no energy is known before the first build.
        change = f"delta_E= {envs['e_tot'] - self._energy:4.3g}  " if np.isfinite(self._energy) else ""
        logger.info(self._mf, "%s E= %.15g  %s|g|= %4.3g  |ddm|= %4.3g", which, envs["e_tot"], change, envs["norm_gorb"], envs["norm_ddm"])


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


def with_pyscfs_signs(mo_coeff: Float[ndarray, "*spin ao mo"]) -> Float[ndarray, "*spin ao mo"]:
    """Return orbitals whose largest coefficient is positive, as PySCF's diagonalization leaves them."""
    largest = np.take_along_axis(mo_coeff, abs(mo_coeff).argmax(axis=-2, keepdims=True), axis=-2)
    return mo_coeff * np.where(largest < 0.0, -1.0, 1.0)


def warn_of_ignored(mf: Any) -> None:
    """Warn of settings of PySCF's own kernel that were changed and have no effect here."""
    for name in ("diis", "DIIS", "damp", "diis_start_cycle", "diis_file"):
        if name in vars(mf) and vars(mf)[name] != getattr(type(mf), name):
            logger.warn(mf, "%s is a setting of PySCF's own kernel and is not used here; undo_accelerate() returns to it.", name)


def warn_of_holes(mf: Any) -> None:
    """Warn if an occupied orbital lies above an empty one: the state may not be the lowest."""
    for energy, occ in zip(np.atleast_2d(mf.mo_energy), np.atleast_2d(mf.mo_occ), strict=True):
        if (occ > 0).any() and (occ == 0).any():
            homo, lumo = energy[occ > 0].max(), energy[occ == 0].min()
            if homo > lumo:
                logger.warn(mf, "HOMO %.6g > LUMO %.6g: not an aufbau state; check mf.stability().", homo, lumo)
