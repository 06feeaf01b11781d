"""How far the training of a network has come."""

from typing import NamedTuple

import numpy as np

from .levenberg import State

FIRST, SOON, LATER = 20, 3, 1.3  # steps before the first estimate, cold and otherwise; times as many before each further one
STALLED = 4  # estimates in a row that are not lower by a tenth


class Progress(NamedTuple):
    """What the rest of a training depends on, beside the problem and what was asked.

    - `start`, `spent`: where it began, and the linearizations that took. `count`: steps since.
    - `due`: after so many linearizations in all the error is estimated next. `lowest`: estimate so far.
    - `stalled`: estimates in a row that were not lower by a tenth. `stopped`: whether the callback ended the training.
    - `state`: what the next step depends on; for a rule, which keeps its own, the start.
    """

    start: str
    spent: float
    count: int
    due: float
    lowest: float
    stalled: int
    stopped: bool
    state: State

    @classmethod
    def at_start(cls, start: str, spent: float, state: State) -> "Progress":
        """Return the progress before the first step."""
        return cls(start, float(spent), 0, float(spent) + (FIRST if start == "cold" else SOON), np.inf, 0, False, state)

    @property
    def total(self) -> float:
        """Linearizations so far, those of the start included."""
        return self.spent + self.count

    @property
    def hopeless(self) -> bool:
        """Whether more steps do not help."""
        return self.stalled >= STALLED

    def ended(self, tol: float, steps: int) -> bool:
        """Whether the training is over."""
        return self.lowest <= tol or self.hopeless or self.stopped or self.count >= steps

    def estimated(self, error: float) -> "Progress":
        """Return the progress after an estimate of the error."""
        stalled = 0 if error < 0.9 * self.lowest else self.stalled + 1
        return self._replace(due=LATER * self.total, lowest=min(self.lowest, error), stalled=stalled)
