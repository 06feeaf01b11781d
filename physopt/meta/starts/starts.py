"""A start for a new task: which map, and whether to believe it, decided without a call of the oracle."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .maps import Maps, lowest
from .task import Scaling

GAIN = 3.0  # how many times below that of "nearest" the leave-one-out error must be
FAR = 5.0  # distance to the nearest recorded task, in largest distances between neighbours among these


class Start(NamedTuple):
    """A starting point, the map that it comes from, and why it should not be used (empty: it may)."""

    point: Float[ndarray, " unknowns"]
    name: str
    doubt: str


class Starts:
    r"""Starting points for the tasks of one kind, from the solutions of others.

    **Arguments:**

    - `tasks`: recorded task vectors, one row each. `points`: their solutions. `tangents`: $dx/d\mu$ of each, of shape (unknowns, entries
      of the task), `None` where it is not known.
    - `parts`: number of entries of each part of a task, in order, as `Task.parts`; by default all are one part.
    - `root`: errors are counted as the norm of `error @ root`, such as a factor of the mean Hessian; `None` for the plain norm.

    `errors` holds the mean leave-one-out error of each map, `chosen` the name of the map with the lowest one.
    """

    def __init__(
        self,
        tasks: Float[ndarray, "n d"],
        points: Float[ndarray, "n unknowns"],
        tangents: "Sequence[Float[ndarray, 'unknowns d'] | None] | None" = None,
        *,
        parts: Mapping[str, int] | None = None,
        root: Float[ndarray, "unknowns rank"] | None = None,
    ):
        self._tasks = tasks
        self.scaling = Scaling(tasks, parts or {"mu": tasks.shape[1]})
        self.inputs: Float[ndarray, "n inputs"] = self.scaling(tasks)
        slopes = None
        if tangents is not None and any(each is not None for each in tangents):
            nothing = np.full((self.inputs.shape[1], points.shape[1]), np.nan)
            slopes = np.stack([nothing if each is None else self.scaling.back @ each.T for each in tangents])
        self._maps = Maps(self.inputs, points, slopes, root)
        self.errors = self._maps.errors
        self.chosen = lowest(self.errors)
        apart = np.linalg.norm(self.inputs[:, None] - self.inputs[None], axis=-1) + np.where(np.eye(len(tasks)), np.inf, 0.0)
        self._spacing = float(apart.min(1).max(where=np.isfinite(apart.min(1)), initial=0.0))

    def __call__(self, task: Float[ndarray, " d"], name: str | None = None) -> Start:
        """Return the start for a task, by the chosen map or a named one, and the doubt about it if there is any."""
        name = self.chosen if name is None else name
        return Start(self._maps(name, self.scaling(task)), name, self.doubt(task, name))

    def distance(self, task: Float[ndarray, " d"]) -> float:
        """Return the distance to the nearest recorded task, in units of the largest distance between neighbours among these."""
        if (self._tasks == task).all(1).any():
            return 0.0
        if self.scaling.is_strange(task) or self._spacing == 0.0:
            return np.inf
        return float(np.linalg.norm(self.inputs - self.scaling(task), axis=1).min()) / self._spacing

    def doubt(self, task: Float[ndarray, " d"], name: str) -> str:
        """Return why a map should not be believed for a task; empty if it may be."""
        if (distance := self.distance(task)) == 0.0:
            return ""
        if distance == np.inf:
            return "it differs where all recorded tasks agree"
        if distance > FAR:
            return f"it lies {distance:.1f} times as far away as recorded neighbours lie from each other"
        if not self.errors[name] * GAIN <= self.errors["nearest"]:
            ratio = self.errors["nearest"] / max(self.errors[name], 1e-300)
            return f"leaving one run out, the others predict it {ratio:.1f} times as well as the nearest one does, and {GAIN:g} are asked"
        return ""
