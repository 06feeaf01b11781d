"""The SCF methods that are compared."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from physopt.core.rule import AbstractRule
from physopt.core.run import minimize
from physopt.core.stop import Stop
from physopt.rules.control import Control
from physopt.rules.diis import adiis_cdiis
from physopt.scf.auxiliary import Auxiliary
from physopt.scf.learned import load_kernel
from physopt.scf.meter import GRAD_TOL, Meter
from physopt.scf.method.accelerate import accelerate
from physopt.scf.problem import SCF


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a method: orbitals and occupations in PySCF's shapes, to be checked independently."""

    mo_coeff: ndarray
    mo_occ: ndarray


Method = Callable[[Any, Meter], Result]


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


def _without_model(rule: AbstractRule) -> Method:
    def run(mf: Any, meter: Meter) -> Result:
        meter.watch(mf)
        problem = SCF(mf)
        stop = Stop(grad_norm=2.0 * GRAD_TOL, decrease=mf.conv_tol, max_evaluations=100)
        solution = minimize(problem, rule, problem.init(), stop=stop)
        return Result(problem.oracle.mo_coeff(solution.point.coeff), problem.oracle.mo_occ())

    return run


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


def _physopt(**settings: Any) -> Method:
    def run(mf: Any, meter: Meter) -> Result:
        mf = meter.watch(accelerate(mf, **settings))
        mf.kernel()
        return Result(mf.mo_coeff, mf.mo_occ)

    return run


# `physopt` is whatever accelerate(mf) does by default: the shipped weights.
METHODS: Mapping[str, Method] = {
    "pyscf": _pyscf,
    "pyscf-newton": _newton,
    "pyscf-newton-df": _newton_df,
    "adiis-cdiis": _without_model(adiis_cdiis()),
    "control-without-model": _without_model(Control()),
    "ooo": _ooo,
    "two-stage": _two_stage,
    "physopt": _physopt(),
    "physopt-fitted": _physopt(start="fitted"),
    "physopt-untrained": _physopt(weights=Auxiliary()),
    "physopt-stable": _physopt(target="stable"),
    "physopt-lowest": _physopt(target="lowest"),
}


def with_weights(file: Path) -> Mapping[str, Method]:
    """Return the methods and `physopt-own`, which uses the kernel's weights from a file; raises what `load_kernel` raises."""
    return {**METHODS, "physopt-own": _physopt(weights=load_kernel(file).auxiliary())}


def _fresh() -> Method:
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


SERIES_METHODS: Mapping[str, Callable[[], Method]] = {
    "pyscf": _fresh,
    "pyscf-previous": lambda: _Scanner(lambda mf: mf),
    "physopt": lambda: _Scanner(accelerate),
}
