"""How a run went, in four words: its rate, its efficiency, its stability, and the quality of its end."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np


class Monitor(NamedTuple):
    r"""The figures of a run of $n + 1$ evaluations with gradient norms $|g_0|, \dots, |g_n|$, values $f_k$ and costs $w_k$.

    Evaluations whose value or gradient is not finite are left out, and counted as `broken`; a figure that needs more evaluations than there
    are is NaN. The gradient is that of the free problem: where bounds or constraints are active, it does not fall to zero.

    - Rate. `factor`: mean convergence factor $\rho = (|g_n| / |g_0|)^{1/n}$, the factor by which an evaluation reduces the gradient norm.
      `late`: the same of the second half, by the least-squares line through $\log |g_k|$: the asymptotic factor of a linear convergence.
    - Efficiency. `decades`: $\log_{10}(|g_0| / |g_n|) / \sum_{k \ge 1} w_k$, the powers of ten gained per full call of the oracle;
      the inverse is the work for each digit.
    - Stability. `rises`: share of evaluations $k \ge 1$ with $|g_k| > |g_{k-1}|$. `overshoot`: the largest $|g_k| / \min_{j < k} |g_j|$,
      at least 1. `rejected`: share of the points $0, \dots, n - 1$ that the rule did not accept.
    - Final quality. `reduction`: $|g_n| / |g_0|$. `grad_norm`: $|g_n|$. `excess`: $f_n - \min_k f_k$, in the problem's unit.

    ??? cite "Reference"
        Ortega, Rheinboldt, *Iterative Solution of Nonlinear Equations in Several Variables* (1970), section 9.2: root-convergence factors.
        Trottenberg, Oosterlee, Schueller, *Multigrid* (2001), section 2.5: convergence per unit of work.
    """

    evaluations: int
    broken: int
    factor: float
    late: float
    decades: float
    rises: float
    overshoot: float
    rejected: float
    reduction: float
    grad_norm: float
    excess: float

    @classmethod
    def of(cls, history: Any) -> "Monitor":
        """Return the figures of a `History`, or of the columns of a recorded run by name, a mapping.

        **Raises:** `KeyError` for columns without `value` or `grad_norm`; columns without `cost` count one call for each evaluation.
        """
        columns = history if isinstance(history, Mapping) else vars(history)
        value, norm = (np.asarray(columns[name], dtype=float) for name in ("value", "grad_norm"))
        cost = np.asarray(columns.get("cost", np.ones(len(value))), dtype=float)
        accept = np.asarray(columns.get("accept", np.ones(len(value))), dtype=bool)
        sound = np.isfinite(value) & np.isfinite(norm)
        found, spent = norm[sound], float(cost[1:].sum())
        # A norm of zero is an exact solution: as small as numbers are.
        logs = np.log10(np.maximum(found, np.finfo(float).tiny))
        gained, steps = (float(logs[0] - logs[-1]), len(logs) - 1) if len(logs) > 1 else (np.nan, 0)
        half = logs[len(logs) // 2 :]
        slope = float(np.polyfit(np.arange(len(half)), half, 1)[0]) if len(half) > 1 else np.nan
        lowest = np.minimum.accumulate(logs)[:-1]
        return cls(
            evaluations=len(value),
            broken=int((~sound).sum()),
            factor=float(10.0 ** (-gained / steps)) if steps else np.nan,
            late=float(10.0**slope),
            decades=gained / spent if spent > 0.0 else np.nan,
            rises=float((np.diff(logs) > 0.0).mean()) if steps else np.nan,
            overshoot=float(10.0 ** max(0.0, (logs[1:] - lowest).max())) if steps else np.nan,
            rejected=float((~accept[1:]).mean()) if len(accept) > 1 else np.nan,  # a row says it of the point before
            reduction=float(10.0**-gained),
            grad_norm=float(found[-1]) if len(found) else np.nan,
            excess=float(value[sound][-1] - value[sound].min()) if len(found) else np.nan,
        )

    def told(self) -> dict[str, str]:
        """Return the figures in words, by what they are about."""
        broken = f", {self.broken} of {self.evaluations} not finite" if self.broken else ""
        return {
            "rate": f"|g| times {self.factor:.3g} in each evaluation, {self.late:.3g} in the second half",
            "efficiency": f"{self.decades:.3g} powers of ten of |g| per full call of the oracle",
            "stability": f"|g| rose in {self.rises:.0%} of the evaluations, at most to {self.overshoot:.3g} times its lowest; "
            f"{self.rejected:.0%} rejected{broken}",
            "final quality": f"|g| = {self.grad_norm:.3g}, {self.reduction:.3g} of the first; value {self.excess:.3g} above the lowest",
        }
