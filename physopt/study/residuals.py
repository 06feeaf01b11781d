"""Residuals as an oracle, and SciPy's `least_squares` as the rule that lowers them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from jaxtyping import Float
from numpy import ndarray

from .box import Box
from .classical import Reached, Trial
from .oracle import AbstractOracle, Answer, OutOfCalls, matrix_of

Residual = Callable[[Float[ndarray, " n"]], Any]
Jacobian = Callable[[Float[ndarray, " n"]], Any] | bool | str
EPS = float(np.finfo(float).eps)


class Residuals(AbstractOracle):
    r"""Residuals $r(x)$ as a function $\tfrac12 |r|^2$ with the gradient $J^T r$; every call of residuals or Jacobian counts.

    **Arguments:** `jac`: returns the Jacobian; `True`: `function` returns residuals and Jacobian; or by differences within `box`.
    """

    def __init__(self, function: Residual, jac: Jacobian, most: float | int, box: Box):
        super().__init__(most, box)
        if not (callable(jac) or jac is True or jac in ("2-point", "3-point")):
            raise ValueError(f"jac={jac!r}: give a function, True if fun returns residuals and Jacobian, '2-point' or '3-point'.")
        self._function, self._jac, self._bounds = function, jac, box
        self._last: tuple[Float[ndarray, " n"], Float[ndarray, " m"], Float[ndarray, "m n"] | None] | None = None

    def residuals(self, point: Float[ndarray, " n"]) -> Float[ndarray, " m"]:
        """Return the residuals, by one call."""
        if self._last is not None and np.array_equal(self._last[0], point):
            return self._last[1]
        self._last = (point.copy(), *self._asked(point))
        return self._last[1]

    def glance(self, point: Float[ndarray, " n"]) -> float:
        """Return the value at a point, by one call."""
        residuals = self.residuals(point)
        with np.errstate(over="ignore"):
            return 0.5 * float(residuals @ residuals)

    def ask(self, point: Float[ndarray, " n"]) -> Answer:
        """Call for residuals and Jacobian."""
        residuals = self.residuals(point)
        assert self._last is not None
        jacobian = self._last[2]
        if jacobian is None:
            # Without finite residuals there is no slope either.
            whole = np.isfinite(residuals).all()
            jacobian = self._jacobian(point, residuals) if whole else np.full((len(residuals), len(point)), np.nan)
            self._last = (*self._last[:2], jacobian)
        with np.errstate(over="ignore", invalid="ignore"):
            return self.answer(point, 0.5 * float(residuals @ residuals), jacobian.T @ residuals, residuals, jacobian)

    def _asked(self, point: Float[ndarray, " n"]) -> tuple[Float[ndarray, " m"], Float[ndarray, "m n"] | None]:
        self.spend()
        found = self._function(point.copy())
        if self._jac is not True:
            return self._vector(found), None
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise TypeError(f"fun returned a {type(found).__name__}; with jac=True return (residuals, Jacobian).")
        residuals = self._vector(found[0])
        return residuals, matrix_of(found[1], len(residuals), len(point), "fun")

    def _vector(self, found: Any) -> Float[ndarray, " m"]:
        array = np.asarray(found)
        if array.dtype.kind not in "iufb" or array.ndim > 1 or array.size == 0:
            raise TypeError(f"fun returned {found!r}"[:120] + "; a vector of residuals is wanted, real numbers.")
        if self._last is not None and array.size != len(self._last[1]):
            raise ValueError(f"fun returned {array.size} residuals, and {len(self._last[1])} before; their number must stay the same.")
        self.single |= array.dtype.kind == "f" and array.dtype.itemsize < 8
        return np.atleast_1d(np.array(array, float))

    def _jacobian(self, point: Float[ndarray, " n"], residuals: Float[ndarray, " m"]) -> Float[ndarray, "m n"]:
        if callable(self._jac):
            self.spend_on_curvature()
            return matrix_of(self._jac(point.copy()), len(residuals), len(point), "jac")
        size = np.where(point == 0.0, 1.0, np.abs(point))
        third = self._jac == "3-point"
        steps = self._bounds.inward(point, (EPS ** (1 / 3) if third else EPS**0.5) * size)
        columns = [self._column(point, residuals, axis * step, third) for axis, step in zip(np.eye(len(point)), steps, strict=True)]
        return np.stack(columns, 1)

    def _column(
        self, point: Float[ndarray, " n"], residuals: Float[ndarray, " m"], step: Float[ndarray, " n"], third: bool
    ) -> Float[ndarray, " m"]:
        size = float(step.sum())
        if size == 0.0:  # an unknown without room
            return np.zeros_like(residuals)
        ahead = self._difference(point + step)
        if not third:
            return (ahead - residuals) / size
        if np.array_equal(self._bounds.clip(point - step), point - step):
            return (ahead - self._difference(point - step)) / (2.0 * size)
        half = self._difference(point + 0.5 * step)  # at a bound from one side
        return (4.0 * half - 3.0 * residuals - ahead) / size

    def _difference(self, point: Float[ndarray, " n"]) -> Float[ndarray, " m"]:
        self.spend_on_curvature()
        return self._vector(self._function(point))


def levenberg_marquardt(
    oracle: Residuals,
    point: Float[ndarray, " n"],
    gtol: float,
    method: str,
    x_scale: Any,
    box: Box,
    trial: Trial = Trial(),
) -> None:
    """Run SciPy's `least_squares` until the projected gradient's norm is `gtol`, the calls are used up, or it goes on no further.

    It ends, too, where the gradient does not fall as the trial wants it and is too large to be left so.
    """
    begun: list[tuple[Answer, int]] = []
    window: list[float] = []  # the number of answers and the norm of the gradient that it began with

    def sloped(x: Float[ndarray, " n"]) -> Float[ndarray, "m n"]:
        answer = oracle(x)
        if answer.norm <= gtol or not answer.finite:
            raise Reached  # as far as it goes
        assert answer.jacobian is not None and oracle.flattest is not None
        begun[:] = begun or [(answer, len(oracle.rows))]
        window[:] = window or [len(oracle.rows), answer.norm]
        failed = trial.failed(begun[0][0], oracle.rows[begun[0][1] :])
        if len(oracle.rows) - window[0] >= trial.window:
            failed |= not oracle.flattest.norm * trial.factor <= window[1]
            window[:] = [len(oracle.rows), oracle.flattest.norm]
        if failed and oracle.flattest.norm > trial.leave:
            raise Reached
        return answer.jacobian

    never = {"ftol": EPS, "xtol": EPS, "gtol": EPS, "max_nfev": 10**6}
    scale = {} if x_scale is None else {"x_scale": x_scale}  # which SciPy chooses by method
    try:
        scipy.optimize.least_squares(oracle.residuals, box.clip(point), jac=sloped, bounds=tuple(box), method=method, **scale, **never)
    except (Reached, OutOfCalls, np.linalg.LinAlgError):
        return
