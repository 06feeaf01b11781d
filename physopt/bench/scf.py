"""Compare SCF methods: the cost of each in exact Fock builds, and an independent check that it converged."""

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from physopt.scf.meter import GRAD_TOL, Meter
from physopt.scf.molecule import mean_field
from physopt.scf.xyz import Molecule

from .scf_methods import METHODS, SERIES_METHODS, Method, Result

SAME_STATE = 1e-7  # hartree


class Judge:
    """Checks results independently: one fresh exact build each, and a stability analysis for each new state."""

    def __init__(self, molecule: Molecule, xc: str, basis: str, *, rohf: bool = False):
        self._make = lambda: mean_field(molecule, xc, basis, rohf=rohf)
        self._stable: list[tuple[float, bool]] = []

    def verdict(self, result: Result, *, stability: bool = True) -> dict[str, Any]:
        """Return `converged, stable, energy, grad_norm, s2` of a result, from a fresh build at its density."""
        mf = self._make()
        mf.build()
        dm = mf.make_rdm1(result.mo_coeff, result.mo_occ)
        hcore = mf.get_hcore()
        vhf = mf.get_veff(mf.mol, dm)
        energy = float(mf.energy_tot(dm, hcore, vhf))
        fock = mf.get_fock(hcore, mf.get_ovlp(), vhf, dm)
        grad_norm = float(np.linalg.norm(mf.get_grad(result.mo_coeff, result.mo_occ, fock)))
        converged = bool(np.isfinite(energy) and grad_norm < GRAD_TOL)
        mf.mo_coeff, mf.mo_occ, mf.e_tot, mf.converged = result.mo_coeff, result.mo_occ, energy, converged
        mf.mo_energy, mf.mo_coeff = mf.canonicalize(result.mo_coeff, result.mo_occ, fock)
        return {
            "converged": converged,
            "stable": self._is_stable(mf) if converged and stability else None,
            "energy": energy,
            "grad_norm": grad_norm,
            "s2": float(mf.spin_square()[0]),
        }

    def _is_stable(self, mf: Any) -> bool:
        # Two answers of one energy are one state; its analysis costs more than most runs.
        for energy, stable in self._stable:
            if abs(energy - mf.e_tot) < SAME_STATE:
                return stable
        stable = bool(mf.stability(return_status=True)[2])
        self._stable.append((mf.e_tot, stable))
        return stable


def compare(
    case: str,
    molecule: Molecule,
    xc: str,
    basis: str,
    method: str,
    judge: Judge,
    *,
    stability: bool = True,
    rohf: bool = False,
    methods: Mapping[str, Method] = METHODS,
) -> dict[str, Any]:
    """Run one of `methods` on one molecule and return its record; a method that raises has a record that says so."""
    mf = mean_field(molecule, xc, basis, rohf=rohf)
    return _record(case, method, mf, judge, methods[method], stability=stability) | {"xc": xc, "basis": basis}


def compare_series(case: str, frames: Sequence[Molecule], xc: str, basis: str, method: str) -> Iterator[dict[str, Any]]:
    """Run one method over the frames of one molecule and yield a record for each; stability is not tested.

    Every frame is checked independently, and this check is not counted. `pyscf` starts each frame afresh; the
    others are `as_scanner()` of the plain and of the accelerated mean field.
    """
    scanner = SERIES_METHODS[method]()
    for index, frame in enumerate(frames):
        judge = Judge(frame, xc, basis)
        yield _record(f"{case}:{index}", method, mean_field(frame, xc, basis), judge, scanner, stability=False) | {"xc": xc, "basis": basis}


def _record(case: str, method: str, mf: Any, judge: Judge, run: Method, *, stability: bool) -> dict[str, Any]:
    meter = Meter()
    started = time.perf_counter()
    try:
        result = run(mf, meter)
    except Exception as error:
        # A peer's crash is a result of the comparison, not a reason to lose the rest of it.
        failed = {"converged": False, "stable": None, "energy": None, "grad_norm": None, "s2": None}
        verdict = {**failed, "error": f"{type(error).__name__}: {error}"}
        wall = time.perf_counter() - started
    else:
        wall = time.perf_counter() - started
        verdict = judge.verdict(result, stability=stability)
    gc.collect()  # a watched mean field refers to itself; what lingers of it must not narrow the next one's memory
    counts = {"exact_builds": meter.builds, "fock_equivalents": meter.equivalents(wall), "wall_s": wall}
    return {"case": case, "method": method, "nao": int(mf.mol.nao), **counts, **verdict}
