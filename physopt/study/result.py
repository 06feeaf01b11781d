"""What a user wants of a solve, and what he gets back."""

from typing import NamedTuple

import numpy as np
import scipy.optimize
from jaxtyping import Float
from numpy import ndarray

from .attempt import Attempt
from .oracle import AbstractOracle
from .question import AbstractQuestion
from .record import Found, Spent


class Wanted(NamedTuple):
    """How far to go, at what price, and what to keep."""

    gtol: float | int | None
    rtol: float | int
    curvature: bool | None
    record: bool
    max_calls: int

    def checked(self) -> "Wanted":
        """Return itself.

        **Raises:** `ValueError` for tolerances or a budget that cannot be met.
        """
        if self.max_calls < 1 or not self.rtol > 0.0 or (self.gtol is not None and not self.gtol > 0.0):
            raise ValueError(
                f"max_calls={self.max_calls!r}, rtol={self.rtol!r}, gtol={self.gtol!r}: give a call at least, and tolerances above 0."
            )
        return self

    def tolerance(self, norm: float) -> float:
        """Return the norm of the gradient to reach, from that at the cold start."""
        return float(self.rtol * norm if self.gtol is None else self.gtol)


def start_of(x0: object) -> Float[ndarray, " n"]:
    """Return the cold start as a vector.

    **Raises:** `ValueError` for anything but a vector of finite numbers.
    """
    start = np.array(x0, float)
    if start.ndim != 1 or start.size == 0 or not np.isfinite(start).all():
        raise ValueError(f"x0 has shape {start.shape}, or numbers that are not finite. Give a vector of finite numbers.")
    return start


def starts_of(x0: object, starts: object) -> list[Float[ndarray, " n"]]:
    """Return the cold start and the further ones as vectors.

    **Raises:** `ValueError` for starts of another size, or what is no list of vectors.
    """
    points = [start_of(x0)]
    more = np.array(starts, float)
    if more.size and (more.ndim != 2 or more.shape[1] != points[0].size or not np.isfinite(more).all()):
        raise ValueError(f"starts have shape {more.shape}; give a row of {points[0].size} finite numbers for each, as x0 has.")
    return [*points, *(more if more.size else ())]


def result_of(
    question: AbstractQuestion,
    attempt: Attempt,
    found: Found,
    oracle: AbstractOracle,
    spent: Spent,
    above: float,
    usual: float,
    said: str,
    x0: Float[ndarray, " n"],
) -> scipy.optimize.OptimizeResult:
    """Return SciPy's result, with what a study adds."""
    told = {"x": x0, "fun": np.nan, "jac": np.full_like(x0, np.nan)} if found.answer is None else question.told(found.answer)
    return scipy.optimize.OptimizeResult(
        **told,
        nfev=oracle.values,
        **{question.counted: oracle.curvatures},
        recording=spent.recording,
        success=attempt.converged,
        status=0 if attempt.converged else 1,
        message=said,
        start=attempt.start,
        metric=attempt.metric,
        higher=above,
        saved=usual - spent.calls,
        **({} if found.hessian is None else {"hess": found.hessian}),
    )
