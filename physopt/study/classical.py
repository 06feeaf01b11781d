"""The classical rules of a study: what solves its first tasks, and what stands behind the learned start."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.optimize
from jaxtyping import Float
from numpy import ndarray

from physopt.core.run import Progress, minimize
from physopt.core.stop import Stop
from physopt.rules.lbfgs import LBFGS
from physopt.rules.watch import Watch

from .box import Box
from .oracle import AbstractOracle, Hessian, Oracle, OutOfCalls, matrix_of
from .posed import Posed

MEMORY = 60
HALVINGS = 50  # of one step, after which it is nothing
PATIENT = 100  # answers without any progress, after which there will be none
WINDOW = 4  # calls in which a learned metric must show what it is worth
Rule = Callable[[Any, Float[ndarray, " n"], float], None]  # of an oracle, a point, and the norm of the gradient to reach


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
    _run(oracle, point, gtol, None, LBFGS(memory=MEMORY))


def quasi_newton(
    oracle: AbstractOracle, point: Float[ndarray, " n"], gtol: float, inverse: Float[ndarray, "n n"], factor: float, leave: float = np.inf
) -> None:
    """Run L-BFGS whose first inverse Hessian is `inverse`, with unit steps; it goes if the gradient does not fall `factor`-fold soon.

    **Arguments:** `leave`: end the run then if the norm of the gradient is still above this.
    """
    rule = LBFGS(memory=MEMORY, first_step=np.inf, scaled=False)
    _run(oracle, point, gtol, inverse, Watch(rule, LBFGS(memory=MEMORY), window=WINDOW, factor=factor), leave)


def _run(
    oracle: AbstractOracle,
    point: Float[ndarray, " n"],
    gtol: float,
    inverse: Float[ndarray, "n n"] | None,
    rule: LBFGS | Watch,
    leave: float = np.inf,
) -> None:
    counts, judged, patience = [itertools.count()], [False], Patience(oracle)

    def stuck(progress: Progress) -> bool:
        if progress.carry.accept:
            counts[0] = itertools.count()
        if rule.doubts(progress.carry.state) and not judged[0]:
            judged[0] = True
            if progress.grad_norm > leave:
                return True
        return next(counts[0]) > HALVINGS or patience.over()

    stop = Stop(grad_norm=gtol, max_evaluations=10**6, max_nonfinite=HALVINGS)
    try:
        minimize(Posed(oracle=oracle, inverse=inverse), rule, np.array(point, float), stop=stop, callback=stuck)
    except OutOfCalls:
        return


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
