"""SCF methods side by side: what each costs in exact Fock builds, and whether an outsider agrees that it converged."""

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy import ndarray
from pyscf import dft, gto, scf

from physopt.core.run import minimize
from physopt.core.stop import Stop
from physopt.rules.diis import adiis_cdiis
from physopt.scf.auxiliary import Auxiliary
from physopt.scf.problem import SCF
from physopt.xyz import Molecule, check_basis_name

from .pyscf import accelerate

GRAD_TOL = 3.16e-5  # PySCF's norm, hartree
SAME_STATE = 1e-7  # hartree
BUILDS = ("get_veff", "get_jk", "get_j", "get_k")


class Meter:
    """Counts exact builds and the seconds they take: every full `get_veff`, and every `get_jk` outside of one."""

    def __init__(self) -> None:
        self.builds = 0
        self.durations: list[float] = []
        self._depth = 0

    def watch(self, mf: Any) -> Any:
        """Count the builds of `mf` from now on; returns `mf`."""
        for name in BUILDS:
            setattr(mf, name, self._counted(getattr(mf, name)))
        return mf

    @contextlib.contextmanager
    def watching(self, mf: Any) -> Iterator[Any]:
        """Count the builds of `mf` inside a `with` block."""
        try:
            yield self.watch(mf)
        finally:
            for name in BUILDS:
                delattr(mf, name)

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            started = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.builds += 1
                    self.durations.append(time.perf_counter() - started)

        return counted

    def equivalents(self, wall: float) -> float | None:
        """Return exact builds plus all other work, in units of one full exact build of this run, its first; `None` without one.

        Later builds may be incremental, or find their integrals in memory: they count as builds, but are no measure of one.
        """
        if not self.durations:
            return None
        return self.builds + max(wall - sum(self.durations), 0.0) / self.durations[0]


@dataclasses.dataclass(frozen=True)
class Result:
    """A method's answer: orbitals and occupations in PySCF's shapes, to be judged from outside."""

    mo_coeff: ndarray
    mo_occ: ndarray


def _pyscf(mf: Any, meter: Meter) -> Result:
    meter.watch(mf).kernel()
    return Result(mf.mo_coeff, mf.mo_occ)


def _newton(mf: Any, meter: Meter) -> Result:
    meter.watch(mf)
    mf = mf.newton()  # inherits the watched methods, which are bound to the plain object: the same integrals
    mf.kernel()
    return Result(mf.mo_coeff, mf.mo_occ)


def _newton_df(mf: Any, meter: Meter) -> Result:
    mf = mf.newton().density_fit()
    meter.watch(mf._scf)  # only the exact builds; the fitted Hessian is other work
    mf.kernel()
    return Result(mf.mo_coeff, mf.mo_occ)


def _adiis_cdiis(mf: Any, meter: Meter) -> Result:
    meter.watch(mf)
    problem = SCF(mf)
    stop = Stop(grad_norm=2.0 * GRAD_TOL, decrease=mf.conv_tol, max_evaluations=100)
    solution = minimize(problem, adiis_cdiis(), problem.init(), stop=stop)
    return Result(problem.oracle.mo_coeff(solution.point.coeff), problem.oracle.mo_occ())


def _ooo(mf: Any, meter: Meter) -> Result:
    from openorbitaloptimizer.pyscf import open_orbital_optimizer  # pyright: ignore[reportMissingImports] - optional

    mf = meter.watch(open_orbital_optimizer(mf))
    mf.kernel()
    return Result(np.asarray(mf.mo_coeff), np.asarray(mf.mo_occ))


def _two_stage(mf: Any, meter: Meter) -> Result:
    fitted = mf.density_fit()
    fitted.kernel()
    meter.watch(mf).kernel(dm0=np.asarray(fitted.make_rdm1()))
    return Result(mf.mo_coeff, mf.mo_occ)


def _physopt(**settings: Any) -> Callable[[Any, Meter], Result]:
    def run(mf: Any, meter: Meter) -> Result:
        mf = meter.watch(accelerate(mf, **settings))
        mf.kernel()
        return Result(mf.mo_coeff, mf.mo_occ)

    return run


# `physopt` is whatever accelerate(mf) does by default: the shipped weights.
METHODS: Mapping[str, Callable[[Any, Meter], Result]] = {
    "pyscf": _pyscf,
    "pyscf-newton": _newton,
    "pyscf-newton-df": _newton_df,
    "adiis-cdiis": _adiis_cdiis,
    "ooo": _ooo,
    "two-stage": _two_stage,
    "physopt": _physopt(),
    "physopt-untrained": _physopt(weights=Auxiliary()),
    "physopt-stable": _physopt(target="stable"),
    "physopt-lowest": _physopt(target="lowest"),
}


def mean_field(molecule: Molecule, xc: str, basis: str, *, rohf: bool = False) -> Any:
    """Return an unbuilt mean field: RHF or RKS for closed shells, UHF or UKS otherwise; quiet.

    **Arguments:**

    - `xc`: `"hf"` or a functional PySCF knows. `basis`: the name of a basis set, for all atoms.
    - `rohf`: open shells restricted, as the molecule may ask for by itself.

    **Raises:** `ValueError` for an unknown functional or basis set, or one without functions for an element.
    """
    try:
        # For a basis set it does not know, PySCF recommends a package before it raises.
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            mol = gto.M(
                atom=molecule.atoms,
                basis=check_basis_name(basis),
                ecp=core_potentials(molecule.symbols, basis),
                charge=molecule.charge,
                spin=molecule.spin,
                verbose=0,
                parse_arg=False,
            )
    # The runtime error is that of core potentials, for a name that PySCF does not know at all.
    except (KeyError, gto.basis.BasisNotFoundError, RuntimeError) as error:
        elements = ", ".join(sorted(set(molecule.symbols)))
        raise ValueError(f"basis {basis!r}: PySCF has none of that name for {elements} ({error}).") from error
    rohf = rohf or molecule.rohf
    if xc.lower() == "hf":
        return scf.RHF(mol) if rohf or not mol.spin else scf.UHF(mol)
    try:
        dft.libxc.parse_xc(xc)
    except (KeyError, ValueError) as error:
        raise ValueError(f"xc {xc!r}: not a functional that PySCF knows ({error}). Write hf, b3lyp, pbe0, ...") from error
    return dft.RKS(mol, xc=xc) if rohf or not mol.spin else dft.UKS(mol, xc=xc)


def core_potentials(symbols: Sequence[str], basis: str) -> dict[str, str]:
    """Return the effective core potentials that belong to a basis set: a valence basis alone gives nonsense for heavy elements."""
    # PySCF looks for a core potential under the whole name, but the functions in brackets are no part of it: 6-311+g(3df,2p).
    return {symbol: basis for symbol in sorted(set(symbols)) if gto.basis.load_ecp(basis.split("(")[0], symbol)}


class Judge:
    """Looks at answers from outside: one fresh exact build each, and a stability analysis for each new state."""

    def __init__(self, molecule: Molecule, xc: str, basis: str, *, rohf: bool = False):
        self._make = lambda: mean_field(molecule, xc, basis, rohf=rohf)
        self._stable: list[tuple[float, bool]] = []

    def verdict(self, result: Result, *, stability: bool = True) -> dict[str, Any]:
        """Return `converged, stable, energy, grad_norm, s2` of an answer, from a fresh build at its density."""
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
    case: str, molecule: Molecule, xc: str, basis: str, method: str, judge: Judge, *, stability: bool = True, rohf: bool = False
) -> dict[str, Any]:
    """Run one method on one molecule and return its record; a method that raises has a record that says so."""
    mf = mean_field(molecule, xc, basis, rohf=rohf)
    return _record(case, method, mf, judge, METHODS[method], stability=stability) | {"xc": xc, "basis": basis}


def compare_series(case: str, frames: Sequence[Molecule], xc: str, basis: str, method: str) -> Iterator[dict[str, Any]]:
    """Run one method over the frames of one molecule and yield a record for each; stability is not judged.

    Every frame's judgment is from outside and not charged. `pyscf` starts each frame afresh; the others are `as_scanner()` of the plain
    and of the accelerated mean field.
    """
    scanner = SERIES_METHODS[method]()
    for index, frame in enumerate(frames):
        judge = Judge(frame, xc, basis)
        yield _record(f"{case}:{index}", method, mean_field(frame, xc, basis), judge, scanner, stability=False) | {"xc": xc, "basis": basis}


def _fresh() -> Callable[[Any, Meter], Result]:
    return _pyscf


class _Scanner:
    """Gives every frame to one scanner, as a geometry optimizer does."""

    def __init__(self, dress: Callable[[Any], Any]):
        self._dress, self._scanner = dress, None

    def __call__(self, mf: Any, meter: Meter) -> Result:
        if self._scanner is None:
            self._scanner = self._dress(mf).as_scanner()
        with meter.watching(self._scanner) as scanner:
            scanner(mf.mol)
        return Result(scanner.mo_coeff, scanner.mo_occ)


SERIES_METHODS: Mapping[str, Callable[[], Callable[[Any, Meter], Result]]] = {
    "pyscf": _fresh,
    "pyscf-previous": lambda: _Scanner(lambda mf: mf),
    "physopt": lambda: _Scanner(accelerate),
}


def _record(case: str, method: str, mf: Any, judge: Judge, run: Callable[[Any, Meter], Result], *, stability: bool) -> dict[str, Any]:
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
    counts = {"exact_builds": meter.builds, "fock_equivalents": meter.equivalents(wall), "wall_s": wall}
    return {"case": case, "method": method, "nao": int(mf.mol.nao), **counts, **verdict}
