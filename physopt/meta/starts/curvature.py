"""The metric of a new task: recorded Hessians, interpolated."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .maps import lowest
from .process import Process

GAIN = 3.0  # how many times better conditioned the others must make a problem that is left out
TESTED = 12  # problems left out to see that
GAUGE = 1e-7  # eigenvalues below this fraction of the largest belong to motions that change nothing


class Curvature:
    r"""Hessians over tasks: $H(\mu) = R^T (1 + \sum_i w_i(\mu) E_i) R$ with $R^T R$ the mean and $w$ of a process fitted to the $E_i$.

    Eigenvalues of what is inverted are no smaller than half the median smallest recorded one, without motions that change nothing.

    **Arguments:** `inputs`: the tasks, scaled. `hessians`: at their solutions, symmetric.

    `errors` holds the leave-one-out errors; `gain` says how many times the others lower the condition number of a problem left out, in the
    median, and `trusted` whether that is enough.
    """

    def __init__(self, inputs: Float[ndarray, "n d"], hessians: Float[ndarray, "n unknowns unknowns"]):
        self._inputs, self._hessians = inputs, hessians
        mean = hessians.mean(0)
        spectra = [np.abs(np.linalg.eigvalsh(each)) for each in hessians]
        smallest = [float(each[each >= GAUGE * each.max()].min()) for each in spectra]
        values, vectors = np.linalg.eigh(mean)
        self.floor = 0.5 * max(float(np.median(smallest)), 1e-9 * float(np.abs(values).max()))
        sizes = np.sqrt(np.maximum(values, self.floor))
        self._root, self._back = (vectors * sizes) @ vectors.T, (vectors / sizes) @ vectors.T
        self.root: Float[ndarray, "unknowns unknowns"] = vectors * np.sqrt(np.maximum(values, 0.0))
        self._upper = np.triu_indices(len(mean))
        self._parts = np.stack([self._packed(self._back @ each @ self._back) for each in hessians])
        self._middle = self._parts.mean(0)
        guesses = self._middle + (self._middle - self._parts) / max(len(inputs) - 1, 1)  # the mean of the others
        self.errors = {"mean": float(np.linalg.norm(guesses - self._parts, axis=1).mean())}
        self._process: Process | None = None
        if len(inputs) >= 4:
            both = {name: Process(inputs, self._parts, smooth=smooth) for name, smooth in (("polynomial", False), ("values", True))}
            self.errors |= {name: process.error for name, process in both.items()}
            if (chosen := lowest(self.errors)) != "mean":
                self._process = both[chosen]
                guesses = both[chosen].left_out()
        self.gain = self._gain(guesses)

    @property
    def trusted(self) -> bool:
        """Say whether the metric may be used."""
        return self.gain >= GAIN

    def inverse(self, task: Float[ndarray, " d"]) -> Float[ndarray, "unknowns unknowns"]:
        """Return the inverse of the Hessian predicted for a task, positive definite."""
        return self._inverted(self._middle if self._process is None else self._process(task))

    def _inverted(self, part: Float[ndarray, " packed"]) -> Float[ndarray, "unknowns unknowns"]:
        values, vectors = np.linalg.eigh(self._root @ self._unpacked(part) @ self._root)
        return (vectors / np.maximum(np.abs(values), self.floor)) @ vectors.T

    def _gain(self, guesses: Float[ndarray, "n packed"]) -> float:
        """Return how many times the others lower the condition number of each problem left out, in the median."""
        some = np.unique(np.linspace(0, len(guesses) - 1, TESTED).round().astype(int))
        gains = []
        for i in some:
            values, vectors = np.linalg.eigh(self._hessians[i])
            stiff = np.abs(values) >= GAUGE * np.abs(values).max()
            half = vectors[:, stiff] * np.sqrt(np.abs(values[stiff]))
            gains.append(_condition(np.abs(values[stiff])) / _condition(np.linalg.eigvalsh(half.T @ self._inverted(guesses[i]) @ half)))
        return float(np.median(gains))

    def _packed(self, matrix: Float[ndarray, "n n"]) -> Float[ndarray, " packed"]:
        return np.where(self._upper[0] == self._upper[1], 1.0, 2.0**0.5) * matrix[self._upper]

    def _unpacked(self, part: Float[ndarray, " packed"]) -> Float[ndarray, "n n"]:
        matrix = np.zeros_like(self._root)
        matrix[self._upper] = part / np.where(self._upper[0] == self._upper[1], 1.0, 2.0**0.5)
        return matrix + np.triu(matrix, 1).T


def _condition(values: Float[ndarray, " n"]) -> float:
    return float(values.max() / max(values.min(), 1e-300))
