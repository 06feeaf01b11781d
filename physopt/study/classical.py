"""The classical rules of a study: what solves its first tasks, and what stands behind the learned start."""

import itertools
from collections.abc import Callable, Mapping

import numpy as np
import scipy.optimize
from jaxtyping import Float
from numpy import ndarray

from physopt.core.run import Progress, minimize
from physopt.core.stop import Stop
from physopt.rules.lbfgs import LBFGS
from physopt.rules.watch import Watch

from .oracle import Oracle, OutOfCalls, Posed

MEMORY = 60
HALVINGS = 50  # of one step, after which it is nothing
WINDOW = 4  # calls in which a learned metric must show what it is worth
Rule = Callable[[Oracle, Float[ndarray, " n"], float], None]


class _Reached(Exception):
    """The gradient is small enough."""


def lbfgs(oracle: Oracle, point: Float[ndarray, " n"], gtol: float) -> None:
    """Run L-BFGS with a long memory until the gradient's norm is `gtol`, the calls are used up, or it goes on no further."""
    _run(oracle, point, gtol, None, LBFGS(memory=MEMORY))


def quasi_newton(
    oracle: Oracle, point: Float[ndarray, " n"], gtol: float, inverse: Float[ndarray, "n n"], factor: float, leave: float = np.inf
) -> None:
    """Run L-BFGS whose first inverse Hessian is `inverse`, with unit steps; it goes if the gradient does not fall `factor`-fold soon.

    **Arguments:** `leave`: end the run then if the norm of the gradient is still above this.
    """
    rule = LBFGS(memory=MEMORY, first_step=np.inf, scaled=False)
    _run(oracle, point, gtol, inverse, Watch(rule, LBFGS(memory=MEMORY), window=WINDOW, factor=factor), leave)


def _run(
    oracle: Oracle,
    point: Float[ndarray, " n"],
    gtol: float,
    inverse: Float[ndarray, "n n"] | None,
    rule: LBFGS | Watch,
    leave: float = np.inf,
) -> None:
    counts, judged = [itertools.count()], [False]

    def stuck(progress: Progress) -> bool:
        if progress.carry.accept:
            counts[0] = itertools.count()
        if rule.doubts(progress.carry.state) and not judged[0]:
            judged[0] = True
            if progress.grad_norm > leave:
                return True
        return next(counts[0]) > HALVINGS

    stop = Stop(grad_norm=gtol, max_evaluations=10**6, max_nonfinite=HALVINGS)
    try:
        minimize(Posed(oracle=oracle, inverse=inverse), rule, np.array(point, float), stop=stop, callback=stuck)
    except OutOfCalls:
        return


def newton_cg(oracle: Oracle, point: Float[ndarray, " n"], gtol: float) -> None:
    """Run SciPy's trust-region Newton with conjugate gradients; a Hessian times a vector is a difference of two gradients, one call."""
    _scipy(oracle, point, gtol, "trust-ncg", hessp=oracle.product, options={"maxiter": 10**6, "gtol": 0.0})


def _scipy(oracle: Oracle, point: Float[ndarray, " n"], gtol: float, method: str, **settings: object) -> None:
    def asked(x: Float[ndarray, " n"]) -> tuple[float, Float[ndarray, " n"]]:
        answer = oracle(x)
        if answer.norm <= gtol:
            raise _Reached
        return answer.value, answer.grad

    try:
        scipy.optimize.minimize(asked, np.array(point, float), jac=True, method=method, **settings)
    except (_Reached, OutOfCalls):
        return


PORTFOLIO: Mapping[str, Rule] = {"l-bfgs": lbfgs, "newton-cg": newton_cg}
