"""The classical rules of a study: what solves its first tasks, and what stands behind the learned start."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
from jaxtyping import Float
from numpy import ndarray

from physopt.core.run import Progress, minimize
from physopt.core.stop import Stop
from physopt.meta.starts.modes import LowRank
from physopt.rules.lbfgs import LBFGS
from physopt.rules.watch import Watch

from .box import Box
from .oracle import AbstractOracle, Answer, Hessian, Oracle, OutOfCalls, Row, matrix_of
from .posed import Inverse, Posed

MEMORY = 60
STILL = 0.01  # of the norm of the gradient: a step that changes it less is too short by far
HALVINGS = 50  # of one step, after which it is nothing
PATIENT = 100  # answers without any progress, after which there will be none
Rule = Callable[[Any, Float[ndarray, " n"], float], None]  # of an oracle, a point, and the norm of the gradient to reach


class Trial(NamedTuple):
    """How long what was learned may take to show its worth.

    - `first`: in so many answers, the start's not counted, the gradient must be halved, or the value fall by `fall`; one answer sooner
      something must have happened at all. 0 for no such test.
    - `window`, `factor`: within every so many answers the gradient must fall so many times.
    - `leave`: otherwise the classical rule goes on from there; but where the norm of the gradient is above this, the run ends.
    """

    first: int = 0
    fall: float = np.inf
    window: int = 4
    factor: float = 0.0
    leave: float = np.inf

    def failed(self, begin: Answer, rows: Sequence[Row]) -> bool:
        """Say whether the first answers have shown nothing, from the rows of an oracle since it gave `begin`."""
        some = rows[: self.first]
        fall = max((begin.value - value for _, value, _ in some if not np.isnan(value)), default=-np.inf)
        if not some or fall >= self.fall:
            return False
        still = len(some) >= self.first - 1 and all(abs(norm - begin.norm) <= STILL * begin.norm for *_, norm in some)
        refused = len(some) >= max(self.first - 1, 2) and fall <= 0.0
        slow = len(some) == self.first and not any(norm <= 0.5 * begin.norm for *_, norm in some)
        return still or refused or slow


class Reached(Exception):
    """The gradient is small enough, or as small as it gets."""


class Patience:
    """Say when neither the value nor the gradient has become smaller for `PATIENT` answers: noise or rounding has the last word."""

    def __init__(self, oracle: AbstractOracle):
        self._oracle, self._since, self._best = oracle, len(oracle.rows), (oracle.lowest, oracle.flattest)

    def over(self) -> bool:
        """Is it over?"""
        best = (self._oracle.lowest, self._oracle.flattest)
        if best[0] is not self._best[0] or best[1] is not self._best[1]:
            self._since, self._best = len(self._oracle.rows), best
        return len(self._oracle.rows) - self._since > PATIENT


def lbfgs(oracle: AbstractOracle, point: Float[ndarray, " n"], gtol: float) -> None:
    """Run L-BFGS with a long memory until the gradient's norm is `gtol`, the calls are used up, or it goes on no further."""
    _run(oracle, point, gtol, None, LBFGS(memory=MEMORY), Trial())


def quasi_newton(oracle: AbstractOracle, point: Float[ndarray, " n"], gtol: float, inverse: Inverse, trial: Trial) -> None:
    """Run L-BFGS whose first inverse Hessian is `inverse`, with unit steps, as long as the trial allows; then without it."""
    rule = LBFGS(memory=MEMORY, first_step=np.inf, scaled=isinstance(inverse, LowRank))
    watch = Watch(rule, LBFGS(memory=MEMORY), window=trial.window, factor=trial.factor)
    failed = _run(oracle, point, gtol, inverse, watch, trial)
    if failed and oracle.lowest is not None and oracle.flattest is not None and oracle.flattest.norm <= trial.leave:
        lbfgs(oracle, oracle.lowest.point, gtol)


def _run(
    oracle: AbstractOracle,
    point: Float[ndarray, " n"],
    gtol: float,
    inverse: Inverse | None,
    rule: LBFGS | Watch,
    trial: Trial,
) -> bool:
    """Run the rule, and say whether its first answers have failed the trial."""
    counts, judged, patience = [itertools.count()], [False], Patience(oracle)

    def stuck(progress: Progress) -> bool:
        if progress.carry.accept:
            counts[0] = itertools.count()
        if rule.doubts(progress.carry.state) and not judged[0]:
            judged[0] = True
            if progress.grad_norm > trial.leave:
                return True
        return next(counts[0]) > HALVINGS or patience.over() or trial.failed(begin, oracle.rows[began:])

    stop = Stop(grad_norm=gtol, max_evaluations=10**6, max_nonfinite=HALVINGS)
    try:
        begin, began = oracle(point), len(oracle.rows)
        minimize(Posed(oracle=oracle, inverse=inverse), rule, np.array(point, float), stop=stop, callback=stuck)
        return trial.failed(begin, oracle.rows[began:])
    except OutOfCalls:
        return False


def newton_cg(oracle: Oracle, point: Float[ndarray, " n"], gtol: float) -> None:
    """Run SciPy's trust-region Newton with conjugate gradients; a Hessian times a vector is a call."""
    _scipy(oracle, point, gtol, "trust-ncg", hessp=oracle.product, options={"maxiter": 10**6, "gtol": 0.0})


def newton(hess: Hessian, price: int) -> Rule:
    """Return SciPy's trust-region Newton with a Hessian, each of which counts as `price` calls."""

    def run(oracle: Oracle, point: Float[ndarray, " n"], gtol: float) -> None:
        def curved(x: Float[ndarray, " n"]) -> Float[ndarray, "n n"]:
            oracle.spend_on_curvature(price)
            found = matrix_of(hess(x), len(x), len(x), "hess")
            if not np.isfinite(found).all():
                raise Reached  # as far as it goes
            return found

        _scipy(oracle, point, gtol, "trust-exact", hess=curved, options={"maxiter": 10**6, "gtol": 0.0})

    return run


def bounded(box: Box) -> Rule:
    """Return SciPy's L-BFGS-B with a long memory within bounds; where its line search gives up, it begins again twice."""

    def run(oracle: Oracle, point: Float[ndarray, " n"], gtol: float) -> None:
        limits = {"maxcor": MEMORY, "maxiter": 10**6, "maxfun": 10**6, "ftol": 0.0, "gtol": 0.0, "maxls": HALVINGS}
        for _ in range(3):
            _scipy(oracle, point, gtol, "L-BFGS-B", bounds=scipy.optimize.Bounds(*box), options=limits)
            if oracle.lowest is None or oracle.calls >= oracle.most or oracle.lowest.norm <= gtol:
                return
            point = oracle.lowest.point

    return run


def _scipy(oracle: Oracle, point: Float[ndarray, " n"], gtol: float, method: str, **settings: object) -> None:
    patience = Patience(oracle)

    def asked(x: Float[ndarray, " n"]) -> tuple[float, Float[ndarray, " n"]]:
        answer = oracle(x)
        if answer.norm <= gtol or patience.over():
            raise Reached
        return answer.value, answer.grad

    try:
        scipy.optimize.minimize(asked, np.array(point, float), jac=True, method=method, **settings)
    except (Reached, OutOfCalls):
        return


PORTFOLIO: Mapping[str, Rule] = {"l-bfgs": lbfgs, "newton-cg": newton_cg}
