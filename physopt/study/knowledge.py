"""What a study knows of one kind of task: a start, a metric, and what to expect of a solve."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from physopt.meta.starts.curvature import Curvature
from physopt.meta.starts.modes import LowRank, low_rank
from physopt.meta.starts.process import Process
from physopt.meta.starts.solve import Solve
from physopt.meta.starts.starts import Start, Starts
from physopt.meta.starts.task import Scaling, Task

NEAR = 3  # solves whose modes make a metric together
FEWEST = 4  # recorded solves before anything is learned
LARGEST = 1e100  # number in a record that is learned from: the product of three is finite
WIDE = 3.0  # times the largest leave-one-out error: a final value that is higher by more is reported


def teaches(solve: Solve) -> bool:
    """Say whether a solve is learned from: it did not end higher than its neighbours, and its numbers are of this world."""
    arrays = [solve.task.vector, solve.point, np.array(solve.value), solve.hessian, solve.tangents, *(solve.modes or ())]
    return not solve.about.get("higher") and all(each is None or np.abs(each).max(initial=0.0) <= LARGEST for each in arrays)


class Expected(NamedTuple):
    """What a solve of a task should meet: the cold start's gradient, value and height above the minimum, the final value and its error."""

    cold_norm: float
    cold_value: float
    height: float
    value: float
    error: float


class Knowledge:
    """Everything fitted to recorded solves of one kind of task, `FEWEST` or more, whose minima are on one branch.

    **Arguments:** `others`: further solves of the kind, on other branches. What a solve costs from a cold start is taken from all.
    """

    def __init__(self, solves: Sequence[Solve], task: Task, others: Sequence[Solve] = ()):
        self.solves = list(solves)
        self.usual = cold_calls([*solves, *others], "answers")
        tasks, points = np.stack([s.task.vector for s in solves]), np.stack([s.point for s in solves])
        curved = [(k, s.hessian) for k, s in enumerate(solves) if s.hessian is not None and s.hessian.any()]
        self._values = np.array([s.value for s in solves])
        rows, matrices = [k for k, _ in curved], [h for _, h in curved]
        inputs = Scaling(tasks, task.parts)(tasks)
        self.curvature = Curvature(inputs[rows], np.stack(matrices)) if len(curved) >= FEWEST else None
        root = None if self.curvature is None else self.curvature.root
        self.starts = Starts(tasks, points, [s.tangents for s in solves], parts=task.parts, root=root)
        self._heights = Process(self.starts.inputs, self._values[:, None])

    def start(self, task: Task) -> Start:
        """Return the start for a task."""
        return self.starts(task.vector)

    def inverse(self, task: Task) -> Float[ndarray, "n n"] | LowRank | None:
        """Return the inverse Hessian for a task, or from the modes of the nearest solves; `None` where none is known or to be believed."""
        if self.curvature is None:
            near = [modes for k in self._by_distance(task) if (modes := self.solves[k].modes) is not None]
            return low_rank(near[:NEAR]) if near else None
        if not self.curvature.trusted:
            return None
        return self.curvature.inverse(self.starts.scaling(task.vector))

    def expected(self, task: Task) -> Expected:
        """Return what to expect of a solve, by the nearest recorded one that says it, and the final value by all."""
        z, order = self.starts.scaling(task.vector), self._by_distance(task)
        norms = [v for k in order if 0.0 < (v := self.solves[k].number("cold_norm")) < np.inf]
        norm = min(norms[0], float(np.median(norms))) if norms else np.nan  # one wrong record must not loosen the tolerance
        height = next((v for k in order if 0.0 < (v := self.solves[k].number("cold_value") - self.solves[k].value) < np.inf), np.nan)
        # Outside of what was recorded a value may be missed by far more than leaving one out says.
        low, high = self.starts.inputs.min(0), self.starts.inputs.max(0)
        outside = float((np.maximum(low - z, z - high) / (high - low)).max(initial=0.0))
        cold = next((v for k in order if np.isfinite(v := self.solves[k].number("cold_value"))), np.nan)
        return Expected(norm, cold, height, float(self._heights(z)[0]), float(self._heights.errors.max()) * (1.0 + 10.0 * outside) ** 2)

    def _by_distance(self, task: Task) -> Int[ndarray, " n"]:
        """Return the numbers of the solves, the nearest one first."""
        return np.argsort(((self.starts.inputs - self.starts.scaling(task.vector)) ** 2).sum(1), kind="stable")


def cold_calls(solves: Sequence[Solve], of: str = "calls") -> float:
    """Return what a solve of this family costs from a cold start, in the median, in calls or in "answers"; NaN if that is not known.

    Where several starts are tried, they all are its calls.
    """
    if of == "calls" and (searches := [number for s in solves if (number := s.number("starts")) >= 1.0]):
        return float(np.median(searches))
    cold = [s for s in solves if s.about.get("start") == "cold" and not s.about.get("metric")]
    found = [number for s in cold if (number := s.number(of if of in s.about else "calls")) >= 1.0]
    return float(np.median(found)) if found else np.nan


def best_rule(solves: Sequence[Solve], portfolio: Sequence[str], *, trying: bool) -> tuple[str, float]:
    """Return the classical rule for the next solve, and after how many calls another one takes over.

    Each is tried once, the first one first, for as many calls as the best one takes; then the one with the lowest median counts.

    **Arguments:** `trying`: without it only rules count that have been tried, as where nothing is recorded and so nothing learned.
    """
    calls: dict[str, list[float]] = {name: [] for name in portfolio}
    for solve in solves:
        rule = str(solve.about.get("rule")).split(",")[0]  # the one that began
        number = solve.number("calls")
        if (
            rule in calls
            and "starts" not in solve.about
            and solve.about.get("start") == "cold"
            and not solve.about.get("metric")
            and number >= 1.0
        ):
            calls[rule].append(number)
    known = {name: float(np.median(found)) for name, found in calls.items() if found}
    if portfolio[0] not in known:
        return portfolio[0], np.inf
    best = min(known, key=lambda name: known[name])
    untried = [name for name in portfolio if not calls[name]]
    return (untried[0], known[best]) if untried and trying else (best, np.inf)
