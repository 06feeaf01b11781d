"""Correct the response with exact answers: the factor of the kernel, and what to add to it."""

from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Float
from numpy import ndarray


class Secants(eqx.Module):
    r"""A symmetric low-rank addition to a response $G$, after which it reproduces the known pairs $G' p_k = f_k$.

    With the differences $p_k$ orthonormalized to $Q$, $E = f - G p$ transformed alike and $B = \tfrac12 (Q E^T + E Q^T)$:
    $G' = G + E^T Q + Q^T E - Q^T B Q$, the symmetric change of least Frobenius norm.

    ??? cite "Reference"
        Powell's symmetric Broyden update for several pairs: Schnabel, *Quasi-Newton methods using multiple secant equations*,
        CU-CS-247-83 (1983). In SCF without $G$: Host et al., J. Chem. Phys. 129 (2008) 124106.
    """

    densities: Float[ndarray, "k e"]
    excess: Float[ndarray, "k e"]
    overlap: Float[ndarray, "k k"]

    @classmethod
    def of(cls, densities: Sequence[ndarray], excess: Sequence[ndarray]) -> "Secants | None":
        """Return the addition for differences of densities and the part of their response that $G$ does not explain, most important first.

        A difference that lies in the span of those before it, to 0.1 %, adds noise only. It is left out, as is one that is not finite.
        Returns `None` if nothing remains.
        """
        kept: list[tuple[ndarray, ndarray]] = []
        for density, rest in zip(densities, excess, strict=True):
            length = np.linalg.norm(density)
            if not (length > 0.0 and np.isfinite(length) and np.isfinite(rest).all()):
                continue
            q, e = density.ravel() / length, rest.ravel() / length
            for _ in range(2):  # Gram-Schmidt needs its second pass
                for other, image in kept:
                    weight = other @ q
                    q, e = q - weight * other, e - weight * image
            length = np.linalg.norm(q)
            if length > 1e-3:
                kept.append((q / length, e / length))
        if not kept:
            return None
        q, e = np.stack([a for a, _ in kept]), np.stack([b for _, b in kept])
        overlap = q @ e.T
        return cls(q, e, 0.5 * (overlap + overlap.T))

    def __call__(self, density: Float[ndarray, "spin mo mo"]) -> Float[ndarray, "spin mo mo"]:
        """Return the addition to the response to a density, in hartree."""
        flat = density.ravel()
        along = self.densities @ flat
        return (along @ self.excess + (self.excess @ flat - self.overlap @ along) @ self.densities).reshape(density.shape)


def credible_share(actual: ndarray, predicted: ndarray) -> float:
    r"""Return the factor by which a predicted response is used: its least-squares scale against the exact one, at most 1.

    From 0.85 on it counts as 1, because the test potential is not all response: $v_\mathrm{xc}$ is not.

    Zero if the prediction is not finite, if its squared cosine with the exact one is below one half, or if it is a factor
    of two too strong or four too weak: such a response is worse than none. A weak response is not scaled up, because too strong a
    response does more harm than too weak a one.
    """
    if not np.isfinite(predicted).all():
        return 0.0
    match, square, norm = np.vdot(actual, predicted), np.vdot(predicted, predicted), np.vdot(actual, actual)
    if not (match > 0.0 and match**2 > 0.5 * square * norm and 0.5 * square < match < 4.0 * square):
        return 0.0
    scale = float(match / square)
    return scale if scale < 0.85 else 1.0
