"""Families with many minima: the branches of minima that a study follows from task to task, and which is the lowest for a task."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from physopt.meta.starts.solve import Solve
from physopt.meta.starts.task import Task

from .knowledge import FEWEST, Knowledge, cold_calls

QUIET = 16  # searches in a row that began no branch, after which no more are made


def branch_of(solve: Solve) -> str:
    """Return the branch that a solve says it is on."""
    return str(solve.about.get("branch", ""))


class Branches:
    """The recorded solves of one kind of task by branch, and what is known of those with `FEWEST` or more.

    A branch is a minimum that moves with the task. Each solve says on which it is; those of studies without several starts are all on one,
    the branch "".
    """

    def __init__(self, solves: Sequence[Solve], task: Task):
        self.solves: dict[str, list[Solve]] = {}
        for solve in solves:
            self.solves.setdefault(branch_of(solve), []).append(solve)
        self.usual = cold_calls(solves)
        found = [bool(solve.about["new"]) for solve in solves if "new" in solve.about]
        self.searched = len(found) >= QUIET and not any(found[-QUIET:])
        self.known: dict[str, Knowledge] = {}
        for branch, own in self.solves.items():
            if len(own) >= FEWEST:
                self.known[branch] = Knowledge(own, task, [solve for solve in solves if branch_of(solve) != branch])

    @property
    def several(self) -> bool:
        """Are there two branches or more?"""
        return len(self.solves) > 1

    def lowest(self, task: Task) -> Knowledge | None:
        """Return what is known of the branch that is expected to be the lowest for a task, of those with a start to be believed if any."""
        sure = [known for known in self.known.values() if not (self.several and known.start(task).doubt)]
        return min(sure or self.known.values(), key=lambda known: known.expected(task).value if self.several else 0.0, default=None)

    def hopes(self, task: Task) -> dict[str, float]:
        """Return how low each branch may lie for a task, the lowest first; infinite if it was above another where it was last seen."""
        sure = {branch: known for branch, known in self.known.items() if not known.start(task).doubt}
        hopes = {branch: (at := known.expected(task)).value - at.error for branch, known in sure.items()}
        for branch in self.solves.keys() - sure.keys():
            seen = self.nearest(branch, task)
            above = any(seen.value > known.expected(seen.task).value for known in sure.values())
            hopes[branch] = np.inf if above else -np.inf
        return dict(sorted(hopes.items(), key=lambda item: (item[1], item[0])))

    def nearest(self, branch: str, task: Task) -> Solve:
        """Return the solve on a branch whose task is the nearest one."""
        own = self.solves[branch]
        vectors = np.stack([solve.task.vector for each in self.solves.values() for solve in each])
        spread = np.ptp(vectors, axis=0)
        apart = [(solve.task.vector - task.vector) / np.where(spread > 0.0, spread, 1.0) for solve in own]
        return own[int(np.linalg.norm(apart, axis=1).argmin())]


def named_after(point: Float[ndarray, " n"]) -> str:
    """Return the name of the branch that begins with a minimum: any number of processes may find new ones at the same time."""
    return hashlib.sha256(point.tobytes()).hexdigest()[:12]
