"""Maps from task to solution, each with its leave-one-out error: nearest, tangent, span, polynomial, and Gaussian processes."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from .process import Process

ROWS = 480  # of the matrix that a process inverts a hundred times: half a minute at most
Predict = Callable[[Float[ndarray, " d"], Int[ndarray, " n"]], Float[ndarray, " unknowns"]]


class Maps:
    """All maps through recorded solutions.

    **Arguments:**

    - `inputs`: the tasks, scaled. `points`: the solutions, one row each. `tangents`: derivatives of the solutions with respect to the
      inputs, shape (solves, inputs, unknowns), with rows of NaN where they are not known; or `None`.
    - `root`: errors are counted as the norm of `error @ root`, such as a factor of the mean Hessian; `None` for the plain norm.

    `errors` holds the mean leave-one-out error of each map by its name.
    """

    def __init__(
        self,
        inputs: Float[ndarray, "n d"],
        points: Float[ndarray, "n unknowns"],
        tangents: Float[ndarray, "n d unknowns"] | None = None,
        root: Float[ndarray, "unknowns rank"] | None = None,
    ):
        self._inputs, self._points, self._tangents, self._root = inputs, points, tangents, root
        known = np.zeros(len(points), bool) if tangents is None else np.isfinite(tangents).all((1, 2))
        self._sloped: Int[ndarray, " m"] = np.flatnonzero(known)
        simple: dict[str, Predict] = {"nearest": self._nearest}
        if len(points) > 2:
            simple["span"] = self._span
        if len(self._sloped) > 1:
            simple["tangent"] = self._tangent
        everyone = np.arange(len(points))
        self.left: dict[str, Float[ndarray, " n"]] = {name: self._left_out(predict) for name, predict in simple.items()}
        self._maps: dict[str, Callable[[Float[ndarray, " d"]], Float[ndarray, " unknowns"]]] = {
            name: lambda task, predict=predict: predict(task, everyone) for name, predict in simple.items()
        }
        for name, process in self._processes().items():
            self._maps[name], self.left[name] = process, process.errors
        self.errors: dict[str, float] = {name: float(errors.mean()) for name, errors in self.left.items()}

    def __call__(self, name: str, task: Float[ndarray, " d"]) -> Float[ndarray, " unknowns"]:
        """Return what the map of that name predicts for a task."""
        return self._maps[name](task)

    def _processes(self) -> dict[str, Process]:
        n, d = self._inputs.shape
        if n < 4:
            return {}
        last = slice(max(0, n - ROWS), None)
        found = {
            "polynomial": Process(self._inputs[last], self._points[last], None, self._root, smooth=False),
            "values": Process(self._inputs[last], self._points[last], None, self._root),
        }
        if len(self._sloped) > 2:
            some = np.sort(np.concatenate([self._sloped, np.setdiff1d(np.arange(n), self._sloped)])[: ROWS // (1 + d)])
            assert self._tangents is not None
            found["tangents"] = Process(self._inputs[some], self._points[some], self._tangents[some], self._root)
        return found

    def _left_out(self, predict: Predict) -> Float[ndarray, " n"]:
        everyone = np.arange(len(self._points))
        if len(everyone) < 2:
            return np.full(len(everyone), np.inf)
        guesses = np.stack([predict(self._inputs[i], np.delete(everyone, i)) for i in everyone])
        wrong = guesses - self._points
        return np.linalg.norm(wrong if self._root is None else wrong @ self._root, axis=1)

    def _order(self, task: Float[ndarray, " d"], rest: Int[ndarray, " n"]) -> Int[ndarray, " n"]:
        return rest[np.argsort(((self._inputs[rest] - task) ** 2).sum(1), kind="stable")]

    def _nearest(self, task: Float[ndarray, " d"], rest: Int[ndarray, " n"]) -> Float[ndarray, " unknowns"]:
        return self._points[self._order(task, rest)[0]]

    def _tangent(self, task: Float[ndarray, " d"], rest: Int[ndarray, " n"]) -> Float[ndarray, " unknowns"]:
        nearest = self._order(task, np.intersect1d(rest, self._sloped))[0]
        assert self._tangents is not None
        return self._points[nearest] + (task - self._inputs[nearest]) @ self._tangents[nearest]

    def _span(self, task: Float[ndarray, " d"], rest: Int[ndarray, " n"]) -> Float[ndarray, " unknowns"]:
        some = self._order(task, rest)[: self._inputs.shape[1] + 2]
        return affine_weights(self._inputs[some], task) @ self._points[some]


def affine_weights(inputs: Float[ndarray, "n d"], task: Float[ndarray, " d"]) -> Float[ndarray, " n"]:
    r"""Return the smallest weights $w$ with $\sum_i w_i = 1$ whose combination of the inputs comes nearest to the task."""
    centre = inputs.mean(0)
    return 1.0 / len(inputs) + np.linalg.lstsq((inputs - centre).T, task - centre, rcond=1e-8)[0]


def lowest(errors: dict[str, float], names: Sequence[str] | None = None) -> str:
    """Return the name with the lowest leave-one-out error; of equal ones the first."""
    return min(errors if names is None else names, key=lambda name: errors[name])
