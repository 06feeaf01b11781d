"""The lowest mode of a symmetric operator known cheaply everywhere and exactly where it was asked."""

from collections.abc import Callable

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray
from numpy.linalg import norm


class ModeSearch:
    r"""Davidson's method on $H_c$, the cheap symmetric $H_m$ made exact on the span of the vectors that $H$ was asked about.

    With orthonormal $V$, answers $W = HV$ and $D = W - H_m V$, the smallest symmetric change with $H_c V = W$ is
    $H_c = H_m + D V^T + V D^T - V (V^T D) V^T$.

    **Arguments:**

    - `cheap`: $x \mapsto H_m x$. `diagonal`: of $H_m$, about; the preconditioner. `starts`: rows that span the first subspace.

    ??? cite "Reference"
        Davidson, J. Comput. Phys. 17 (1975) 87. Smallest symmetric change: Powell, in *Nonlinear Programming* (1970) 31.
    """

    def __init__(self, cheap: Callable[[ndarray], ndarray], diagonal: Float[ndarray, " n"], starts: Float[ndarray, "k n"]):
        self._cheap, self._diagonal = cheap, diagonal
        self._basis = self._images = np.empty((0, len(diagonal)))
        self._asked = self._answers = self._changes = np.empty((0, len(diagonal)))
        for start in starts:
            self._expand(start)

    def lowest(self, accuracy: float, max_size: int = 60) -> tuple[float, Float[ndarray, " n"]]:
        """Return the lowest eigenvalue of $H_c$ and its vector, of norm 1, to a residual norm of `accuracy` if `max_size` allows."""
        while True:
            images = self._images + self._change(self._basis)
            values, vectors = scipy.linalg.eigh(self._basis @ images.T)
            value, vector = float(values[0]), vectors[:, 0] @ self._basis
            # The neighbours are refined along with the lowest: one of them may turn out to be lower.
            found = vectors[:, :3].T
            residuals = found @ images - values[:3, None] * (found @ self._basis)
            rough = [r / np.maximum(abs(self._diagonal - e), 0.1) for e, r in zip(values, residuals, strict=False) if norm(r) > accuracy]
            room = min(max_size, len(self._diagonal)) - len(self._basis)
            grown = [self._expand(r) for r in rough[: max(room, 0)]]
            if not any(grown):
                return value, vector / norm(vector)

    def teach(self, vector: Float[ndarray, " n"], image: Float[ndarray, " n"]) -> float:
        """Take in the exact `image` of a vector; returns how far the cheap operator was off on what was new of it."""
        known = vector @ self._asked.T
        length = norm(vector - known @ self._asked)
        direction, answer = (vector - known @ self._asked) / length, (image - known @ self._answers) / length
        change = answer - self._cheap(direction)
        self._asked, self._answers = np.vstack([self._asked, direction]), np.vstack([self._answers, answer])
        self._changes = np.vstack([self._changes, change])
        self._expand(direction)
        return float(norm(change))

    def novelty(self, vector: Float[ndarray, " n"]) -> float:
        """Return the norm of the part of a vector that $H$ was not asked about."""
        return float(norm(vector - (vector @ self._asked.T) @ self._asked))

    def ritz(self) -> tuple[float, float, Float[ndarray, " n"]]:
        """Return the lowest Ritz value of the exact $H$, the norm of its residual, and its vector."""
        values, vectors = scipy.linalg.eigh(self._asked @ self._answers.T)
        vector = vectors[:, 0] @ self._asked
        return float(values[0]), float(norm(vectors[:, 0] @ self._answers - values[0] * vector)), vector

    def _change(self, rows: ndarray) -> ndarray:
        v, d = self._asked, self._changes
        inside = rows @ v.T
        return inside @ d + (rows @ d.T) @ v - inside @ (v @ d.T) @ v

    def _expand(self, vector: ndarray) -> bool:
        length = norm(vector)
        for _ in range(2):  # twice is enough
            vector = vector - (vector @ self._basis.T) @ self._basis
        remaining = norm(vector)
        if not remaining > 1e-8 * length:
            return False
        vector = vector / remaining
        self._basis = np.vstack([self._basis, vector])
        self._images = np.vstack([self._images, self._cheap(vector)])
        return True
