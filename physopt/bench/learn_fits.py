"""Families given by residuals: what a study of their fits takes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import OptimizeResult

from physopt.study.study import Study

from .learn_rules import MOST, Case, Row


class Fits:
    """A study of fits of one family. A call of the residuals counts as one, and a Jacobian as half a call for each unknown.

    **Arguments:** `folder`: of the study. `case`: any case of the family.
    """

    def __init__(self, folder: Path, case: Case):
        assert case.compiled.jacobian is not None
        self._study, self._price = Study(folder, verify=False), case.compiled.family.unknowns / 2.0
        self.training = 0.0

    def record(self, case: Case, gtol: float) -> None:
        """Let the study solve and record a task."""
        self._solve(case, gtol, [], record=True)

    def rows(self, case: Case, gtol: float) -> tuple[Sequence[Row], OptimizeResult]:
        """Return what an outside meter sees of the solve of a held-out task, and its result."""
        rows: list[Row] = []
        return rows, self._solve(case, gtol, rows, record=False)

    def _solve(self, case: Case, gtol: float, rows: list[Row], *, record: bool) -> OptimizeResult:
        family, r, j, calls = case.compiled.family, case.compiled.residual, case.compiled.jacobian, [0.0]
        assert r is not None and j is not None

        def residuals(x: Float[ndarray, " n"], task: Any) -> Float[ndarray, " m"]:
            calls[0] += 1.0
            return np.asarray(r(x, family.vector(task)))

        def jacobian(x: Float[ndarray, " n"], task: Any) -> Float[ndarray, "m n"]:
            calls[0] += self._price
            found, left = (np.asarray(each(x, family.vector(task))) for each in (j, r))
            rows.append(Row(calls[0], 0.5 * float(left @ left), float(np.linalg.norm(found.T @ left)), np.nan))
            return found

        limits: dict[str, Any] = {"gtol": gtol, "record": record, "max_calls": MOST, "pass_task": True}
        result = self._study.least_squares(residuals, family.cold(), family.named(case.mu), jacobian, **limits)
        self.training += calls[0] * record
        return result
