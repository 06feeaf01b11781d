"""Families of functions of one coordinate, of which trial spaces are products."""

import abc
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.interpolate import BSpline

Profile = Callable[[Float[np.ndarray, " n"], int], Float[np.ndarray, " n"]]  # size of a derivative of the solution along this coordinate


class AbstractBasis(abc.ABC):
    """Some functions of one coordinate between `low` and `high`."""

    low: float
    high: float
    size: int

    @abc.abstractmethod
    def derivative(self, x: Float[np.ndarray, " n"], times: int) -> Float[np.ndarray, "n size"]:
        """Return the derivative of all functions, taken `times` times."""

    @abc.abstractmethod
    def points(self, ratio: float) -> Float[np.ndarray, " m"]:
        """Return `ratio` times as many points as functions, spread so that they pin every function down."""

    @abc.abstractmethod
    def finer(self) -> "AbstractBasis":
        """Return a somewhat richer basis, against which the error of this one shows."""

    @abc.abstractmethod
    def grown(self, profile: Profile) -> "AbstractBasis":
        """Return a much richer basis, for a solution whose derivatives along this coordinate have the size `profile`."""

    def moved(self, profile: Profile) -> "AbstractBasis":
        """Return a basis of the same size that suits such a solution better, or this one."""
        return self


class Fourier(AbstractBasis):
    r"""$1, \cos k\omega x, \sin k\omega x$ for $k \le K$, $\omega = 2\pi / (b - a)$: whatever repeats from `low` to `high`."""

    most = 48  # beyond this, splines with knots where the solution bends are the better choice

    def __init__(self, low: float, high: float, harmonics: int = 8) -> None:
        self.low, self.high, self.harmonics, self.size = low, high, harmonics, 2 * harmonics + 1

    def derivative(self, x: Float[np.ndarray, " n"], times: int) -> Float[np.ndarray, "n size"]:
        """Turn the phase by a quarter for each derivative."""
        omega = 2.0 * np.pi / (self.high - self.low) * np.arange(self.harmonics + 1)
        phase = (x - self.low)[:, None] * omega + times * np.pi / 2.0
        return np.hstack([np.cos(phase) * omega**times, np.sin(phase[:, 1:]) * omega[1:] ** times])

    def points(self, ratio: float) -> Float[np.ndarray, " m"]:
        """Return evenly spaced points."""
        count = int(np.ceil(ratio * self.size))
        return self.low + (self.high - self.low) * (np.arange(count) + 0.37) / count

    def finer(self) -> "Fourier":
        """Add an eighth of the harmonics."""
        return Fourier(self.low, self.high, self.harmonics + max(2, self.harmonics // 8))

    def grown(self, profile: Profile) -> AbstractBasis:
        """Add a third of the harmonics, or go over to splines."""
        harmonics = self.harmonics + max(3, self.harmonics // 3)
        if harmonics <= self.most:
            return Fourier(self.low, self.high, harmonics)
        return Ring(np.linspace(self.low, self.high, 2 * harmonics))


class Chebyshev(AbstractBasis):
    """Chebyshev polynomials of degree below `size`: whatever is smooth."""

    most = 36  # beyond this, splines with knots where the solution bends are the better choice

    def __init__(self, low: float, high: float, size: int = 14) -> None:
        self.low, self.high, self.size = low, high, size

    def derivative(self, x: Float[np.ndarray, " n"], times: int) -> Float[np.ndarray, "n size"]:
        """Differentiate the coefficients."""
        scale = 2.0 / (self.high - self.low)
        values = np.polynomial.chebyshev.chebvander(scale * (x - self.low) - 1.0, self.size - 1)
        if not times:
            return values
        coefficients = np.polynomial.chebyshev.chebder(np.eye(self.size), times, axis=0)
        return values[:, : len(coefficients)] @ coefficients * scale**times

    def points(self, ratio: float) -> Float[np.ndarray, " m"]:
        """Return the zeros of a Chebyshev polynomial."""
        count = int(np.ceil(ratio * self.size))
        return self.low + (self.high - self.low) * (0.5 - 0.5 * np.cos(np.pi * (np.arange(count) + 0.5) / count))

    def finer(self) -> "Chebyshev":
        """Add an eighth of the degrees."""
        return Chebyshev(self.low, self.high, self.size + max(2, self.size // 8))

    def richer(self) -> "Chebyshev":
        """Add a third of the degrees."""
        return Chebyshev(self.low, self.high, self.size + max(3, self.size // 3))

    def grown(self, profile: Profile) -> AbstractBasis:
        """Add a third of the degrees, or go over to splines."""
        richer = self.richer()
        if richer.size <= self.most:
            return richer
        return Spline(np.linspace(self.low, self.high, richer.size))  # high derivatives of a poor polynomial do not say where knots belong


class Spline(AbstractBasis):
    """B-splines of degree 8 on the given knots: whatever has fronts and layers.

    ??? cite "Reference"
        de Boor, *A Practical Guide to Splines* (1978), chapter XII: knots that spread the error evenly.
    """

    degree = 8

    def __init__(self, spans: Float[np.ndarray, " k"]) -> None:
        self.spans, self.low, self.high = spans, float(spans[0]), float(spans[-1])
        self._knots = np.r_[[spans[0]] * self.degree, spans, [spans[-1]] * self.degree]
        self.size = len(self._knots) - self.degree - 1

    def derivative(self, x: Float[np.ndarray, " n"], times: int) -> Float[np.ndarray, "n size"]:
        """Differentiate the splines; points outside count as the nearest end."""
        x = np.clip(x, self.low, self.high)
        if len(x) == 0:
            return np.zeros((0, self.size))  # the design matrix needs a point
        if times == 0:
            return BSpline.design_matrix(x, self._knots, self.degree).toarray()
        return BSpline(self._knots, np.eye(self.size), self.degree).derivative(times)(x)

    def points(self, ratio: float) -> Float[np.ndarray, " m"]:
        """Return Gauss points of every span, and points next to both ends."""
        inset = 1e-6 * np.diff(self.spans)[[0, -1]]  # an equation may be singular at the very end
        return np.concatenate([[self.low + inset[0]], _gauss(self.spans, ratio * self.size), [self.high - inset[1]]])

    def finer(self) -> "Spline":
        """Put the knots a sixth closer together."""
        return Spline(_stretched(self.spans, int(np.ceil(7 * (len(self.spans) - 1) / 6)) + 1))

    def grown(self, profile: Profile) -> "Spline":
        """Take a third more knots, where the solution bends."""
        return Spline(knots(profile, self.low, self.high, int(np.ceil(4 * (len(self.spans) - 1) / 3))))

    def moved(self, profile: Profile) -> "Spline":
        """Put the knots where the solution bends now."""
        moved = knots(profile, self.low, self.high, len(self.spans) - 1)
        return Spline(moved) if _elsewhere(self.spans, moved) else self


class Ring(AbstractBasis):
    """Splines of degree 8 that repeat from `low` to `high`.

    They are ordered from both ends towards the middle, so that neighbours on the ring have neighbouring numbers.
    """

    degree = Spline.degree

    def __init__(self, spans: Float[np.ndarray, " k"]) -> None:
        self.spans, self.low, self.high, self.size = spans, float(spans[0]), float(spans[-1]), len(spans) - 1
        length, p = self.high - self.low, self.degree
        around = np.concatenate([spans[-p - 1 : -1] - length, spans, spans[1 : p + 1] + length])
        self._splines = BSpline(around, np.eye(self.size + p), p)
        ends = np.arange(self.size)
        self._order = np.stack([ends, ends[::-1]], axis=1).ravel()[: self.size]

    def derivative(self, x: Float[np.ndarray, " n"], times: int) -> Float[np.ndarray, "n size"]:
        """Differentiate the splines; what leaves at one end comes in at the other."""
        x = self.low + np.mod(x - self.low, self.high - self.low)
        values = self._splines.derivative(times)(x) if times else self._splines(x)
        values[:, : self.degree] += values[:, self.size :]
        return values[:, self._order]

    def points(self, ratio: float) -> Float[np.ndarray, " m"]:
        """Return Gauss points of every span."""
        return _gauss(self.spans, ratio * self.size)

    def finer(self) -> "Ring":
        """Put the knots a sixth closer together."""
        return Ring(_stretched(self.spans, int(np.ceil(7 * self.size / 6)) + 1))

    def grown(self, profile: Profile) -> "Ring":
        """Take a third more knots, where the solution bends."""
        return Ring(knots(profile, self.low, self.high, int(np.ceil(4 * self.size / 3))))

    def moved(self, profile: Profile) -> "Ring":
        """Put the knots where the solution bends now."""
        moved = knots(profile, self.low, self.high, self.size)
        return Ring(moved) if _elsewhere(self.spans, moved) else self


def knots(profile: Profile, low: float, high: float, spans: int) -> Float[np.ndarray, " k"]:
    r"""Return knots where the solution bends.

    Spans hold equal shares of $|u^{(6)}|^{1/6}$, of which a third of the mean is the least, and grow by at most half from one to the next.
    """
    x = np.linspace(low, high, 2001)
    density = np.maximum(profile(x, 6), 0.0) ** (1.0 / 6.0)
    mean = density.mean()
    density = np.maximum(density / mean, 0.35) if np.isfinite(mean) and mean > 0.0 else np.ones_like(x)
    shrink = 1.5 ** (-spans * density / density.sum())
    for i in range(1, len(x)):
        density[i] = max(density[i], density[i - 1] * shrink[i - 1])
    for i in range(len(x) - 2, -1, -1):
        density[i] = max(density[i], density[i + 1] * shrink[i + 1])
    share = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2.0)])
    return np.interp(np.linspace(0.0, share[-1], spans + 1), share, x)


def _elsewhere(spans: Float[np.ndarray, " k"], moved: Float[np.ndarray, " k"]) -> bool:
    """Say whether knots were moved by more than half of the distance to a neighbour."""
    lengths = np.diff(spans)
    return bool(np.any(np.abs(moved - spans)[1:-1] > 0.5 * np.minimum(lengths[1:], lengths[:-1])))


def _stretched(values: Float[np.ndarray, " k"], num: int) -> Float[np.ndarray, " m"]:
    """Return `num` numbers with the spacing of `values`."""
    return np.interp(np.linspace(0.0, 1.0, num), np.linspace(0.0, 1.0, len(values)), values)


def _gauss(spans: Float[np.ndarray, " k"], num: float) -> Float[np.ndarray, " m"]:
    """Return the same number of Gauss points in every span, `num` together or a little more."""
    each = max(int(np.ceil(num / (len(spans) - 1))), 2)
    middle, half = (spans[:-1] + spans[1:]) / 2.0, np.diff(spans) / 2.0
    return (middle[:, None] + half[:, None] * np.polynomial.legendre.leggauss(each)[0]).ravel()
