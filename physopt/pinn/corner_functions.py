"""Functions for the corners of a domain in the plane, where solutions are singular and products of functions converge slowly."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Complex, Float
from numpy.polynomial import Polynomial
from scipy.special import comb, factorial

from .domain import Corner, Points

Column = Complex[np.ndarray, "n 1"]
TINY = 1e-100  # a distance in place of none, where logarithms and negative powers are infinite
BESIDE = np.outer([-1.0, 1.0], np.geomspace(1e-3, 0.05, 5)).ravel()  # in units of the domain's size


class CornerFunctions:
    r"""The real and imaginary parts of $f(z) \bar z^b$ around each corner, $b = 0, 1, \dots$

    $z$ is the distance from a corner and $w$ that from its pole, as complex numbers; only between these two are the functions singular.
    What solutions of Poisson's and related equations are near the corner, and, by powers of $\bar z$, what terms of lower order make of it:

    - Where it points inwards, $f = (z/w)^p$ with $p = 1/3, 2/3, 4/3, \dots$, $p + b \le$ `reach`. Solutions are like
      $r^{k \pi / \omega} \sin(k \pi \varphi / \omega)$, $\omega = 3 \pi / 2$, where both sides have the same kind of condition, and with
      $k + 1/2$ for $k$ where they do not. Where conditions change on a straight side, $p = 1/2, 3/2, \dots$, for $\omega = \pi$.
    - At other right angles, $f = z^p \log(z/w)$ with $p = 0, 1, \dots$, $p + b \le$ `reach` - 1: the angle, where the sides are held at
      different values, and $r^2 \log r \sin 2 \varphi + \dots$, where they are held at none and the equation has a source.

    **Arguments:**

    - `corners`: where. `reach`: the largest power.

    ??? cite "Reference"
        Fox, Henrici, Moler, SIAM J. Numer. Anal. 4 (1967) 89; Betcke, Trefethen, SIAM Rev. 47 (2005) 469;
        Grisvard, *Elliptic Problems in Nonsmooth Domains* (1985), section 4.4.
    """

    def __init__(self, corners: Sequence[Corner], reach: int) -> None:
        self.corners, self.reach = tuple(corners), reach
        self._families = [_Powers(reach, corner.root) if corner.inward else _Logarithms(reach - 1) for corner in self.corners]
        self.size = sum(2 * len(family.b) for family in self._families)

    @classmethod
    def around(cls, corners: Sequence[Corner]) -> "CornerFunctions":
        """Return the functions to begin with, fewer around each of many corners."""
        return cls(corners, 4 if sum(corner.inward for corner in corners) == 1 else 3)

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
        along_x, along_y = Polynomial([1.0, 1.0]), Polynomial([-1j, 1j])  # of the derivative in z, with that in its conjugate for one
        shares, found = (along_x**in_x * along_y**in_y).coef, []
        for corner, family in zip(self.corners, self._families, strict=True):
            z, w = (
                ((points[:, 0] - x + 1j * (points[:, 1] - y)) / corner.scale)[:, None]
                for x, y in ((corner.x, corner.y), (corner.pole_x, corner.pole_y))
            )
            z = np.where(z == 0.0, TINY, z)
            part = sum(share * family.derivative(z, w, j, len(shares) - 1 - j) for j, share in enumerate(shares)) / corner.scale ** (
                in_x + in_y
            )
            found += [part.real, part.imag]
        return np.hstack(found)


class _Powers:
    """$(z/w)^p$ times powers of the conjugate `b`."""

    def __init__(self, reach: int, root: int) -> None:
        self._parts, self.b = np.array([(k, b) for b in range(reach) for k in range(1, root * (reach - b)) if k % root]).T
        self._p, self._root = self._parts / root, root

    def derivative(self, z: Column, w: Column, times: int, conjugate: int) -> Complex[np.ndarray, "n m"]:
        """Differentiate so many times in $z$ and in its conjugate."""
        roots = np.cumprod(np.repeat((z / w) ** (1.0 / self._root), self._parts.max(), axis=1), axis=1)[:, self._parts - 1]
        turned = sum(
            comb(times, k) * _falling(self._p, times - k) * _falling(-self._p, k) * z ** (k - times) * w**-k for k in range(times + 1)
        )
        return roots * turned * _conjugates(z, self.b, conjugate)


class _Logarithms:
    """$z^p log(z/w)$ times powers of the conjugate `b`."""

    def __init__(self, reach: int) -> None:
        self._p, self.b = np.array([(p, b) for b in range(reach + 1) for p in range(reach + 1 - b)]).T

    def derivative(self, z: Column, w: Column, times: int, conjugate: int) -> Complex[np.ndarray, "n m"]:
        """Differentiate so many times in $z$ and in its conjugate."""
        total = np.zeros((len(z), len(self.b)), complex)
        for k in range(times + 1):
            logarithm = np.log(z / w) if k == 0 else (-1) ** (k - 1) * factorial(k - 1) * (z**-k - w**-k)
            rest = times - k
            total += comb(times, k) * _falling(self._p, rest) * z ** np.maximum(self._p - rest, 0) * logarithm
        return total * _conjugates(z, self.b, conjugate)


def _conjugates(z: Column, b: np.ndarray, times: int) -> Complex[np.ndarray, "n m"]:
    """Return the derivatives of powers of the conjugate."""
    return _falling(b, times) * z.conj() ** np.maximum(b - times, 0)


def _falling(p: np.ndarray, times: int) -> np.ndarray:
    r"""Return $p (p - 1) \dots (p - n + 1)$."""
    return np.prod([p - i for i in range(times)], axis=0) if times else np.ones(len(p))
