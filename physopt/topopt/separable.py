"""The optimality criteria as a model: compliance is reciprocal in each density, volume is linear."""

from collections.abc import Callable

import equinox as eqx
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from physopt.core.boxed import AbstractBoxed, Program
from physopt.core.problem import shorten
from physopt.core.tree import Scalar


class Box(eqx.Module):
    r"""The designs within reach of `design`: between `lower` and `upper`, with $\sum_e w_e x_e$ = `volume` (in elements)."""

    design: Float[ndarray, "..."]
    lower: Float[ndarray, "..."]
    upper: Float[ndarray, "..."]
    weights: Float[ndarray, "..."]
    volume: float

    def scaled(self, factor: Callable[[float], Float[ndarray, "..."]], low: float, high: float) -> Float[ndarray, "..."]:
        r"""Return `clip(factor(mu) * design)` with $\mu$ such that the volume is kept; `factor` increases with $\mu$."""

        def reached(mu: float) -> Float[ndarray, "..."]:
            return np.clip(factor(mu) * self.design, self.lower, self.upper)

        return reached(bisect(lambda mu: float((self.weights * reached(mu)).sum()) / self.volume - 1.0, low, high))


class Separable(AbstractBoxed):
    r"""The model behind the optimality criteria, $m(v) = \sum_e -c'_e x_e e^{-v_e} + \lambda w_e x_e e^{v_e}$, over a `Box`.

    With $y = x e^v$ the first term is the compliance linearized in $1/y$, the second the volume constraint; $\lambda$ is the
    multiplier of the volume constraint. Without a tilt the minimizer is $y_e = x_e \sqrt{-c'_e / (\lambda w_e)}$, cut at the box: the
    optimality criteria with exponent 1/2. With tilt $t$ it is the positive root of
    $\lambda w x s^2 + t s + c' x = 0$, $s = e^v$, which exists for any sign of $t$.

    Where $c'$ is positive, as it can be for mechanisms, it counts as zero: the minimizer is the lower end of the box.

    - `program`: the values and slopes of the evaluation. `box`: the designs within reach.
    - `slope`: $c'$, the derivative of the value with respect to the design.
    - `multiplier`: $\lambda$ where the gradient was taken.

    ??? cite "Reference"
        Christensen, Klarbring, *An Introduction to Structural Optimization* (2009), section 5.2.
    """

    program: Program
    box: Box
    slope: Float[ndarray, "..."]
    multiplier: float

    def minimize(self, tilt: Float[ndarray, "..."] | None = None, radius: Scalar | None = None) -> Float[ndarray, "..."]:
        """Return the logarithm of the density update, shortened to `radius`. See `AbstractModel.minimize`."""
        x = self.box.design
        tilt = np.zeros_like(x) if tilt is None else tilt
        gain, cost = np.maximum(-self.slope, 0.0) * x, self.multiplier * self.box.weights * x

        def factor(mu: float) -> Float[ndarray, "..."]:
            price = np.maximum(np.exp(-2.0 * mu) * cost, 1e-300)  # deep inside passive regions the design costs no volume
            root = np.sqrt(tilt**2 + 4.0 * gain * price)
            # Of two algebraically equal forms, each where it does not cancel.
            return np.where(tilt < 0.0, (root - tilt) / (2.0 * price), 2.0 * gain / np.maximum(root + tilt, 1e-300))

        return shorten(np.log(self.box.scaled(factor, -40.0, 40.0) / x), radius)


def multiplier(box: Box, slope: Float[ndarray, "..."], bounds: tuple[ndarray, ndarray]) -> tuple[float, Float[ndarray, "..."]]:
    r"""Return $\lambda$ and the gradient $g = (c' + \lambda w) x$ on the designs of equal volume, such that $\sum_e g_e = 0$.

    Where a density is at one of the `bounds` and $-g$ points outward, $g$ is zero: so $g = 0$ at a design that satisfies the
    optimality conditions, also if some elements are solid or void.
    """
    x, weights = box.design, box.weights

    def gradient(price: float) -> Float[ndarray, "..."]:
        g = (slope + price * weights) * x
        return np.where(((x >= bounds[1]) & (g < 0.0)) | ((x <= bounds[0]) & (g > 0.0)), 0.0, g)

    prices = -slope[weights > 0.0] / weights[weights > 0.0]
    price = bisect(lambda price: float(gradient(price).sum()), float(prices.min()), float(prices.max()))
    return price, gradient(price)


def bisect(excess: Callable[[float], float], low: float, high: float) -> float:
    """Return where the increasing function `excess` changes sign between `low` and `high`, to the last digit; 0 if it is a root."""
    if low <= 0.0 <= high and abs(excess(0.0)) <= 1e-14:
        return 0.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        if excess(middle) > 0.0:
            high = middle
        else:
            low = middle
    return low
