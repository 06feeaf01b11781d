"""The lowest modes of a symmetric operator, one for each symmetry, from a cheap model and a few exact products."""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray
from numpy.linalg import norm

Vectors = Sequence["ndarray | None"]  # one of each sector, or none
Operator = Callable[[Float[ndarray, " n"]], Float[ndarray, " n"]]
Split = Callable[[Float[ndarray, " n"]], Float[ndarray, "sector n"]]
SOFTEST = 0.2  # what a smaller entry of the diagonal counts as: hartree per squared radian
STARTS = 4
REFINED = 3  # the neighbours are refined along with the lowest mode: one of them may turn out to be lower
LARGEST, KEPT = 100, 20  # vectors of a subspace: at most, and on from its lowest ones after that
TURNS = 200


class Sector:
    r"""Vectors of one symmetry: those with exact products, and Davidson's subspace for the lowest mode.

    With orthonormal $V$, answers $W = HV$ and $D = W - H_m V$, the smallest symmetric change with $H_c V = W$ is
    $H_c = H_m + D V^T + V D^T - V (V^T D) V^T$.

    **Arguments:** `diagonal`: $d$, approximately that of $H_m$; the preconditioner.

    ??? cite "Reference"
        Davidson, J. Comput. Phys. 17 (1975) 87. Smallest symmetric change: Powell, in *Nonlinear Programming* (1970) 31.
    """

    def __init__(self, diagonal: Float[ndarray, " n"]):
        self._diagonal, self._weights = diagonal, np.maximum(abs(diagonal), SOFTEST)
        self.asked = self.answers = self._changes = self._basis = self._images = np.empty((0, len(diagonal)))

    def forget(self) -> None:
        """Empty the subspace; the exact products are kept."""
        self._basis = self._images = np.empty((0, len(self._diagonal)))

    def lowest(self, doubt: float) -> tuple[float, Float[ndarray, " n"]]:
        r"""Return the lowest eigenvalue of $H_c - \epsilon Q d Q$ in the subspace, minus its residual, and its vector, of norm 1."""
        values, residuals, vectors, _ = self._modes(doubt)
        return float(values[0] - norm(residuals[0])), vectors[0] / norm(vectors[0])

    def lacking(self, doubt: float, accuracy: float, relative: float) -> list[ndarray]:
        """Return new directions for the subspace, orthonormal: the residuals of the lowest modes that are not small."""
        values, residuals, vectors, images = self._modes(doubt)
        if len(self._basis) > LARGEST - REFINED:
            self._basis, self._images = vectors[:KEPT], images[:KEPT]
        wanted: list[ndarray] = []
        for value, residual in zip(values[:REFINED], residuals[:REFINED], strict=True):
            if norm(residual) > max(accuracy, relative * abs(value)):
                step = residual / np.maximum(abs(self._diagonal - value), 0.1)
                new = self.new(step / norm(step), wanted)
                wanted += [] if new is None else [new]
        return wanted

    def new(self, vector: Float[ndarray, " n"], others: Sequence[ndarray] = (), least: float = 1e-8) -> Float[ndarray, " n"] | None:
        """Return the part of a vector outside the subspace and outside some others, of norm 1; `None` if it is below `least`."""
        return _beyond(vector, np.vstack([self._basis, *others]), least)

    def unasked(self, vector: Float[ndarray, " n"]) -> Float[ndarray, " n"] | None:
        """Return the part of a vector without an exact product so far, of norm 1; `None` if it is small."""
        return _beyond(vector, self.asked, 1e-3)

    def grow(self, vector: Float[ndarray, " n"], image: Float[ndarray, " n"]) -> None:
        """Add a vector, orthonormal to the subspace, and its product with $H_m$ to the subspace."""
        self._basis, self._images = np.vstack([self._basis, vector]), np.vstack([self._images, image])

    def learn(self, vector: Float[ndarray, " n"], answer: Float[ndarray, " n"], expected: Float[ndarray, " n"]) -> float:
        r"""Store the exact product of a vector; returns the error $|d^{-1/2} (H - H_m) x| / |d^{1/2} x|$ of the expected product."""
        change, root = answer - expected, np.sqrt(self._weights)
        self.asked, self.answers = np.vstack([self.asked, vector]), np.vstack([self.answers, answer])
        self._changes = np.vstack([self._changes, change])
        return float(norm(change / root) / norm(vector * root))

    def suspicion(self) -> float:
        r"""Return twice the error of one direction if it alone caused all of the last error, measured on a random vector.

        A random $d^{1/2} x$ of $n$ equal components has $1 / \sqrt n$ of itself along it.
        """
        components = self._weights * self.asked[-1] ** 2
        error = norm(self._changes[-1] / np.sqrt(self._weights)) / np.sqrt(components.sum())
        return float(2.0 * error * components.sum() / norm(components))

    def error(self) -> Float[ndarray, " n"]:
        """Return the direction of the model's last error in the metric of the diagonal, of norm 1."""
        step = self._changes[-1] / self._weights
        return step / max(norm(step), 1e-300)

    def _modes(self, doubt: float) -> tuple[ndarray, ndarray, ndarray, ndarray]:
        """Return Ritz values, residuals and vectors, the lowest first, and the images of the vectors under $H_m$."""
        x, v, d = self._basis, self.asked, self._changes
        inside = x @ v.T
        outside = (x - inside @ v) * self._weights
        images = self._images + inside @ d + (x @ d.T) @ v - inside @ (v @ d.T) @ v - doubt * (outside - (outside @ v.T) @ v)
        values, vectors = scipy.linalg.eigh(x @ images.T)
        values, found = values[:KEPT], vectors.T[:KEPT]
        return values, found @ images - values[:, None] * (found @ x), found @ x, found @ self._images


class ModeSearch:
    r"""Davidson's method in every sector of a symmetric operator at once: vectors of different symmetry share each application.

    No start is a unit vector, because a search never leaves the symmetry of its start. Each start is random and has components of all
    symmetries, so that a mode is found even in a symmetry that `split` does not know.

    **Arguments:**

    - `cheap`: $x \mapsto H_m x$. `diagonal`: approximately that of $H_m$. `split`: a vector into its parts of each symmetry.
    - `excluded`: orthonormal vectors to be left out.
    """

    def __init__(self, cheap: Operator, diagonal: Float[ndarray, " n"], split: Split, excluded: Sequence[ndarray] = ()):
        self._cheap, self._diagonal, self._split, self.size = cheap, diagonal, split, len(diagonal)
        self._excluded = np.reshape(excluded, (-1, len(diagonal)))
        self._alive = np.flatnonzero([norm(part) > 1e-6 for part in split(self._without(self._noise(0, 0)))])
        self.sectors = [Sector(diagonal) for _ in self._alive]
        self.restart(0)

    def restart(self, seed: int) -> None:
        """Empty the subspaces, keep the exact products, and begin from random vectors."""
        for sector in self.sectors:
            sector.forget()
        for start in range(STARTS):
            parts = [part / norm(part) for part in self.random(seed, start)]
            self._grow([s.new(part) for s, part in zip(self.sectors, parts, strict=True)])

    def random(self, seed: int, number: int) -> list[ndarray]:
        """Return a random vector of each sector, mostly along the small entries of the diagonal."""
        return self._parts(self._noise(seed, number))

    def lowest(self, doubt: float = 0.0, accuracy: float = 1e-6, relative: float = 0.0) -> list[tuple[float, Float[ndarray, " n"]]]:
        r"""Return for each sector the lowest eigenvalue of $H_c - \epsilon Q d Q$, minus its residual, and its vector.

        $Q$ projects on the directions without an exact product: if $H - H_m \ge -\epsilon d$ there, the value is a lower bound of $H$'s.

        **Arguments:** `doubt`: $\epsilon$. `accuracy`, `relative`: norm of the residual; the larger of the first and a fraction of
        the value.
        """
        for _ in range(TURNS):
            lacking = [s.lacking(doubt, accuracy, relative) for s in self.sectors]
            rows = [[each[k] if k < len(each) else None for each in lacking] for k in range(max(map(len, lacking), default=0))]
            grown = [self._grow(row) for row in rows]
            if not any(grown):
                break
        return [s.lowest(doubt) for s in self.sectors]

    def ask(self, vectors: Sequence[ndarray], exact: Operator) -> float | None:
        r"""Make one exact product with one vector per sector; returns the largest relative error of $H_m$, `None` if none was new."""
        unasked = [s.unasked(v / max(norm(v), 1e-300)) for s, v in zip(self.sectors, vectors, strict=True)]
        if all(v is None for v in unasked):
            return None
        answers, expected = self._apply(exact, unasked), self._apply(self._cheap, unasked)
        self._grow([None if v is None else s.new(v) for s, v in zip(self.sectors, unasked, strict=True)])
        known = zip(self.sectors, unasked, answers, expected, strict=True)
        return max(s.learn(v, a, e) for s, v, a, e in known if v is not None)

    def suspicion(self) -> float:
        """Return the largest error of the model that is possible after the last products with random vectors."""
        return max(s.suspicion() for s in self.sectors)

    def errors(self) -> list[ndarray]:
        """Return for each sector the direction of the model's last error."""
        return [s.error() for s in self.sectors]

    def ritz(self) -> tuple[float, float, Float[ndarray, " n"]]:
        """Return the lowest Ritz value of the exact $H$, the norm of its residual, and its vector."""
        found = []
        for s in self.sectors:
            values, vectors = scipy.linalg.eigh(s.asked @ s.answers.T)
            vector = vectors[:, 0] @ s.asked
            found.append((float(values[0]), float(norm(vectors[:, 0] @ s.answers - values[0] * vector)), vector))
        return min(found, key=lambda mode: mode[0])

    def _noise(self, seed: int, number: int) -> ndarray:
        noise = np.random.default_rng([seed, number]).standard_normal(len(self._diagonal))
        return noise / np.maximum(abs(self._diagonal), SOFTEST)

    def _without(self, vector: ndarray) -> ndarray:
        return vector - (vector @ self._excluded.T) @ self._excluded

    def _parts(self, vector: ndarray) -> list[ndarray]:
        return list(self._split(self._without(vector))[self._alive])

    def _apply(self, operator: Operator, vectors: Vectors) -> list[ndarray]:
        return self._parts(operator(sum((v for v in vectors if v is not None), np.zeros(len(self._diagonal)))))

    def _grow(self, vectors: Vectors) -> bool:
        # The diagonal has the symmetry but nearly, and what leaks out of a sector would grow.
        within = zip(self.sectors, vectors, self._apply(lambda x: x, vectors), strict=True)
        vectors = [None if v is None else s.new(part, least=0.5) for s, v, part in within]
        if all(v is None for v in vectors):
            return False
        for sector, vector, image in zip(self.sectors, vectors, self._apply(self._cheap, vectors), strict=True):
            if vector is not None:
                sector.grow(vector, image)
        return True


def _beyond(vector: ndarray, rows: ndarray, least: float) -> ndarray | None:
    for _ in range(2):  # twice is enough
        vector = vector - (vector @ rows.T) @ rows
    return vector / norm(vector) if norm(vector) > least else None
