"""What a solve with very many unknowns has seen of curvature: its softest modes, from the steps that it has made anyway."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

NUMBER = 60  # modes of one solve
FEWEST = 20  # steps from which modes are taken
ROUGH = 1e-3  # of the largest singular value of all steps: below it a direction is too little of its own


class Modes(NamedTuple):
    """Orthonormal `vectors`, one column each, and what the Hessian makes of them; `rest`: its size elsewhere, a median."""

    vectors: Float[ndarray, "unknowns k"]
    pushed: Float[ndarray, "unknowns k"]
    rest: float


class LowRank(NamedTuple):
    r"""The inverse Hessian $V \Theta^{-1} V^T + (1 - V V^T) / \rho$; `inverse @ vector` applies it.

    - `vectors`: $V$, orthonormal. `values`: $\Theta$, positive and below $\rho$. `rest`: $\rho$.
    """

    vectors: Float[ndarray, "unknowns k"]
    values: Float[ndarray, " k"]
    rest: float

    def __matmul__(self, vector: Float[ndarray, " unknowns"] | Float[Array, " unknowns"]) -> Any:
        inner = self.vectors.T @ vector
        return vector / self.rest + self.vectors @ (inner * (1.0 / self.values - 1.0 / self.rest))


def modes_of(points: Sequence[Float[ndarray, " unknowns"]], grads: Sequence[Float[ndarray, " unknowns"]]) -> Modes | None:
    r"""Return the softest modes that a run has seen, from the differences of its points and gradients; `None` if these are too few.

    With $S$ and $Y = H S$ the modes solve $Q^T H Q c = \theta c$ for an orthonormal basis $Q$ of $S$ (Rayleigh and Ritz).
    """
    if len(points) <= FEWEST:
        return None
    steps, changes = np.diff(np.stack(points), axis=0), np.diff(np.stack(grads), axis=0)
    sizes, slopes = np.linalg.norm(steps, axis=1), np.linalg.norm(changes, axis=1)
    good = np.isfinite(slopes) & ((steps * changes).sum(1) > 1e-10 * sizes * slopes)
    if np.count_nonzero(good) < FEWEST:
        return None
    scale = sizes[good][:, None]
    vectors, pushed, values = _ritz((steps[good] / scale).T, (changes[good] / scale).T)
    soft = np.flatnonzero(values > 1e-9 * values[-1])
    return Modes(vectors[:, soft[:NUMBER]], pushed[:, soft[:NUMBER]], float(np.median(values[soft]))) if soft.size else None


def low_rank(several: Sequence[Modes]) -> LowRank:
    """Return the inverse Hessian that the modes of several solves make together."""
    vectors, _, values = _ritz(np.hstack([each.vectors for each in several]), np.hstack([each.pushed for each in several]))
    rest = float(np.median([each.rest for each in several]))
    soft = np.flatnonzero((values > 1e-9 * values[-1]) & (values < rest))[:NUMBER]
    return LowRank(vectors[:, soft], values[soft], rest)


def _ritz(
    steps: Float[ndarray, "unknowns m"], changes: Float[ndarray, "unknowns m"]
) -> tuple[Float[ndarray, "unknowns k"], Float[ndarray, "unknowns k"], Float[ndarray, " k"]]:
    """Return orthonormal vectors in the span of the steps, what the Hessian makes of them, and its values there, lowest first."""
    left, sizes, right = np.linalg.svd(steps, full_matrices=False)
    clear = sizes > ROUGH * sizes[0]
    basis, pushed = left[:, clear], changes @ (right[clear].T / sizes[clear])
    inner = basis.T @ pushed
    values, turn = np.linalg.eigh(0.5 * (inner + inner.T))
    return basis @ turn, pushed @ turn, values
