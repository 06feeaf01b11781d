"""Functions for corners that point inwards, where solutions are singular and products of functions converge slowly."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy.polynomial import Polynomial
from scipy.special import comb, factorial

from .domain import Corner, Points

BESIDE = np.outer([-1.0, 1.0], np.geomspace(1e-3, 0.05, 5)).ravel()  # in units of the domain's size


class CornerFunctions:
    r"""The real and imaginary parts of $(z/w)^p \bar z^b$, $p = 1/3, 2/3, 4/3, \dots$, $b = 0, 1, \dots$, $p + b \le$ `reach`.

    $z$ is the distance from a corner and $w$ that from its pole, as complex numbers; only between these two are the functions singular.
    With $\omega = 3 \pi / 2$, solutions of Poisson's and related equations behave near the corner like
    $r^{k \pi / \omega} \sin(k \pi \varphi / \omega)$ where both sides have the same kind of condition, and with $k + 1/2$ for $k$ where
    they do not. Powers of $\bar z$ hold what terms of lower order make of these.

    **Arguments:**

    - `corners`: where. `reach`: the largest power.

    ??? cite "Reference"
        Fox, Henrici, Moler, SIAM J. Numer. Anal. 4 (1967) 89; Betcke, Trefethen, SIAM Rev. 47 (2005) 469.
    """

    def __init__(self, corners: Sequence[Corner], reach: int) -> None:
        self.corners, self.reach = tuple(corners), reach
        powers = [(k, b) for b in range(reach) for k in range(1, 3 * (reach - b)) if k % 3]
        self._thirds, self._b = (np.array(each) for each in zip(*powers, strict=True))
        self.size = 2 * len(powers) * len(self.corners)

    @classmethod
    def around(cls, corners: Sequence[Corner]) -> "CornerFunctions":
        """Return the functions to begin with, fewer around each of many corners."""
        return cls(corners, 4 if len(corners) == 1 else 3)

    def finer(self) -> "CornerFunctions":
        """Return the functions up to the next power."""
        return CornerFunctions(self.corners, self.reach + 1)

    def beside(self, axis: int, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
        """Return values of a coordinate without those at a corner, where nothing has derivatives, and with more on both sides of each."""
        at, sizes = (np.array([getattr(corner, name) for corner in self.corners]) for name in ("xy"[axis], "scale"))
        apart = np.abs(values[:, None] - at).min(axis=1) > 1e-9 * sizes.max()
        return np.union1d(values[apart], at[:, None] + sizes[:, None] * BESIDE)

    def derivative(self, points: Points, in_x: int, in_y: int) -> Float[np.ndarray, "n size"]:
        r"""Return derivatives, by $\partial_x = \partial_z + \partial_{\bar z}$ and $\partial_y = i (\partial_z - \partial_{\bar z})$."""
        return np.hstack([np.hstack([part.real, part.imag]) for part in (self._around(one, points, in_x, in_y) for one in self.corners)])

    def _around(self, corner: Corner, points: Points, in_x: int, in_y: int) -> np.ndarray:
        x, y, pole_x, pole_y, scale = corner
        z, w = (((points[:, 0] - one_x + 1j * (points[:, 1] - one_y)) / scale)[:, None] for one_x, one_y in ((x, y), (pole_x, pole_y)))
        along_x, along_y = Polynomial([1.0, 1.0]), Polynomial([-1j, 1j])  # of the derivative in z, with that in its conjugate for one
        roots = np.cumprod(np.repeat((z / w) ** (1.0 / 3.0), 3 * self.reach, axis=1), axis=1)
        conjugates = np.vander(z[:, 0].conj(), self.reach, increasing=True)
        total = np.zeros((len(points), len(self._b)), complex)
        for j, share in enumerate((along_x**in_x * along_y**in_y).coef):
            rest = in_x + in_y - j
            some = self._b >= rest
            thirds, b = self._thirds[some], self._b[some]
            p = thirds / 3.0
            factors = share * factorial(b) / factorial(b - rest) / scale ** (in_x + in_y)
            turned = sum(comb(j, k) * _falling(p, j - k) * _falling(-p, k) * z ** (k - j) * w**-k for k in range(j + 1))
            total[:, some] += factors * roots[:, thirds - 1] * turned * conjugates[:, b - rest]
        return total


def _falling(p: Float[np.ndarray, " k"], times: int) -> Float[np.ndarray, " k"]:
    r"""Return $p (p - 1) \dots (p - n + 1)$."""
    return np.prod([p - i for i in range(times)], axis=0) if times else np.ones_like(p)
