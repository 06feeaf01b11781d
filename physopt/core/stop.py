"""When to stop: convergence is physics, the same for every rule, so the criteria belong to the driver."""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .iterate import Carry
from .problem import predicted_decrease


class Stop(eqx.Module):
    r"""Criteria that must *all* hold for convergence, and the budget. `None` leaves a criterion out.

    - `grad_norm`: $|g| \le$ this, in the problem's unit per tangent.
    - `decrease`: the decrease still predicted by the model, $-\tfrac12 \langle g, \mathrm{minimize}(0) \rangle \le$ this,
      in the problem's unit. An estimate of the error, as good as the model, that needs no further evaluation; tested only
      where the other criteria hold.
    - `value`: $f \le$ this target, in the problem's unit.
    - `change`: $\max |x_\mathrm{trial} - x_\mathrm{base}| \le$ this, over all leaves of the point, for a step from a base just
      accepted: a step that a line search has shortened does not count.
    - `patience`: the run also ends, as stalled and not as converged, when after so many evaluations the lowest value has fallen by no more
      than the fraction `gain` of itself, or is still above `ceiling`. Rejected trials do not count: a rule that steps back may recover.
    - `max_evaluations`: the budget, counting the evaluation of the starting point. `max_cost`: the same in full calls of the oracle, see
      `History`; the iteration that reaches it is the last.
    - `max_nonfinite`: give up after this many evaluations in a row with a non-finite value or gradient.

    A non-finite point is never called converged.
    """

    grad_norm: float | None = None
    decrease: float | None = None
    value: float | None = None
    change: float | None = None
    patience: int | None = None
    gain: float = 1e-3
    ceiling: float = math.inf
    max_evaluations: int = 1000
    max_cost: float = math.inf
    max_nonfinite: int = 10

    def __check_init__(self) -> None:
        for name in ("grad_norm", "decrease", "change"):
            bound = getattr(self, name)
            if bound is not None and not bound >= 0:
                raise ValueError(f"Stop({name}={bound!r}): a tolerance is a number >= 0; leave it out to switch it off.")
        if self.value is not None and self.value != self.value:
            raise ValueError("Stop(value=nan): no value is below that; give a number, or leave it out.")
        if (self.patience is not None and self.patience < 1) or not self.gain >= 0.0:
            raise ValueError(f"Stop(patience={self.patience!r}, gain={self.gain!r}): patience is at least 1, and gain a number >= 0.")
        if not self.max_cost > 0.0:
            raise ValueError(f"Stop(max_cost={self.max_cost!r}): a budget is a number above 0, in full calls of the oracle.")
        if self.max_evaluations < 1 or self.max_nonfinite < 1:
            raise ValueError(
                f"Stop(max_evaluations={self.max_evaluations!r}, max_nonfinite={self.max_nonfinite!r}): both must allow one evaluation."
            )

    def converged(self, carry: Carry, grad_norm: float) -> bool:
        """Say whether every criterion holds at the trial point just evaluated."""
        evaluation = carry.evaluation
        criteria = (self.grad_norm, self.decrease, self.value, self.change)
        if all(c is None for c in criteria) or not (np.isfinite(grad_norm) and np.isfinite(evaluation.value)):
            return False
        if self.grad_norm is not None and grad_norm > self.grad_norm:
            return False
        if self.value is not None and evaluation.value > self.value:
            return False
        if self.change is not None and not (carry.accept and largest_change(carry.base, carry.trial) <= self.change):
            return False
        return self.decrease is None or float(predicted_decrease(evaluation)) <= self.decrease

    def stalled(self, accepted: Sequence[float], value: float) -> bool:
        """Say whether the values of the accepted trials, and of the last one, have stopped falling."""
        if self.patience is None or len(accepted) < self.patience:
            return False
        before = np.fmin.reduce(accepted[: len(accepted) - self.patience + 1])
        now = np.fmin.reduce([*accepted, value])
        return bool(before - now <= self.gain * np.abs(now) or now > self.ceiling)


def largest_change(base: Any, trial: Any) -> float:
    """Return the largest absolute difference between two points, over all leaves; infinite if they are one object."""
    if base is trial:
        return float("inf")
    host = jax.tree.map(lambda a, b: float(np.max(np.abs(np.asarray(a) - np.asarray(b)), initial=0.0)), base, trial)
    return max(jax.tree.leaves(host), default=float("inf"))
