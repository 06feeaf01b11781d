"""Steps within bounds: quasi-Newton from a learned Hessian, and Gauss-Newton."""

from collections.abc import Callable

import numpy as np
import scipy.linalg
import scipy.optimize
from jaxtyping import Float
from numpy import ndarray

from .box import Box
from .classical import HALVINGS, Rule, Trial
from .oracle import AbstractOracle, Answer, OutOfCalls

ARMIJO = 1e-4
ROUNDING = 1e-12  # of a value, within which only the gradient tells which of two points is better


class QuasiNewton:
    """Steps to the minimizer, within bounds, of a quadratic model whose Hessian is corrected by the damped BFGS formula.

    **Arguments:** `inverse`: the first inverse Hessian, positive definite.

    ??? cite "Reference"
        Nocedal, Wright, *Numerical Optimization*, 2nd ed. (2006), procedure 18.2.
    """

    def __init__(self, inverse: Float[ndarray, "n n"], box: Box):
        hessian = np.linalg.inv(inverse)
        self._hessian, self._box = 0.5 * (hessian + hessian.T), box
        self._last: Answer | None = None

    def __call__(self, answer: Answer) -> Float[ndarray, " n"]:
        r"""Return the minimizer of $g^T d + \tfrac12 d^T H d$."""
        if self._last is not None:
            self._hessian = _corrected(self._hessian, answer.point - self._last.point, answer.grad - self._last.grad)
        self._last, room = answer, self._box.upper > self._box.lower
        factor = np.linalg.cholesky(self._hessian[np.ix_(room, room)]).T  # upper: H = R^T R, and the model is |R d + R^-T g|^2 / 2
        target = -scipy.linalg.solve_triangular(factor, answer.grad[room], trans="T")
        return _least_squares(factor, target, answer.point, self._box)


class GaussNewton:
    """Steps to the minimizer of the linearized residuals within bounds."""

    def __init__(self, box: Box):
        self._box = box

    def __call__(self, answer: Answer) -> Float[ndarray, " n"]:
        """Return the minimizer of $|r + J d|$."""
        assert answer.jacobian is not None and answer.residuals is not None
        return _least_squares(answer.jacobian[:, self._box.upper > self._box.lower], -answer.residuals, answer.point, self._box)


def descend(
    oracle: AbstractOracle,
    point: Float[ndarray, " n"],
    gtol: float,
    step_of: Callable[[Answer], Float[ndarray, " n"]],
    box: Box,
    fallback: Rule,
    trial: Trial,
) -> None:
    """Make steps within bounds, shortened where needed, until the norm of the projected gradient is `gtol`.

    If it does not fall as the trial wants it, `fallback` goes on from the lowest point.
    """
    try:
        begin = answer = oracle(box.clip(point))
        first, began = answer.norm, len(oracle.rows)
        number = began
        while answer.finite and answer.norm > gtol and not trial.failed(begin, oracle.rows[began:]):
            if len(oracle.rows) - number >= trial.window:
                assert oracle.flattest is not None
                if not oracle.flattest.norm * trial.factor <= first:
                    break
                first, number = oracle.flattest.norm, len(oracle.rows)
            better = _searched(oracle, answer, step_of(answer), box)
            if better is None:
                break
            answer = better
    except OutOfCalls:
        return
    if oracle.lowest is None or oracle.flattest is None or oracle.flattest.norm <= gtol or oracle.flattest.norm > trial.leave:
        return
    fallback(oracle, oracle.lowest.point, gtol)


def _least_squares(
    matrix: Float[ndarray, "m room"], target: Float[ndarray, " m"], point: Float[ndarray, " n"], box: Box
) -> Float[ndarray, " n"]:
    """Return the step that brings `matrix` times it nearest to `target`, within the bounds."""
    room = box.upper > box.lower
    step = np.zeros_like(point)
    step[room] = scipy.optimize.lsq_linear(matrix, target, (box.lower[room] - point[room], box.upper[room] - point[room]), method="bvls").x
    return step


def _searched(oracle: AbstractOracle, answer: Answer, step: Float[ndarray, " n"], box: Box) -> Answer | None:
    """Return the answer after the step or a part of it, if one is lower; near the end of a run, if its gradient is smaller."""
    slope, part = float(answer.grad @ step), 1.0
    if not slope < 0.0:
        return None
    for _ in range(HALVINGS):
        trial = oracle(box.clip(answer.point + part * step))
        if trial.finite and trial.value <= answer.value + ARMIJO * part * slope:
            return trial
        if trial.finite and abs(trial.value - answer.value) <= ROUNDING * abs(answer.value) and trial.norm < answer.norm:
            return trial
        part *= 0.5
    return None


def _corrected(hessian: Float[ndarray, "n n"], step: Float[ndarray, " n"], change: Float[ndarray, " n"]) -> Float[ndarray, "n n"]:
    """Return the Hessian after a damped BFGS correction, which keeps it positive definite."""
    pushed = hessian @ step
    model, seen = float(step @ pushed), float(step @ change)
    if not model > 0.0:
        return hessian
    share = 1.0 if seen >= 0.2 * model else 0.8 * model / (model - seen)
    change = share * change + (1.0 - share) * pushed
    return hessian - np.outer(pushed, pushed) / model + np.outer(change, change) / float(step @ change)
