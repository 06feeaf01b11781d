"""The convex, separable approximation behind the method of moving asymptotes."""

import equinox as eqx
import numpy as np
import scipy.optimize
from jaxtyping import Float
from numpy import ndarray

from physopt.core.boxed import Program

from .price import priced


class Asymptotes(eqx.Module):
    """The poles of the approximation, and the designs that they were computed from."""

    lower: Float[ndarray, "..."]
    upper: Float[ndarray, "..."]
    last: Float[ndarray, "..."]
    before: Float[ndarray, "..."]

    def half_width(self) -> Float[ndarray, "..."]:
        """Return half the distance between the poles."""
        return 0.5 * (self.upper - self.lower)


class Approximation(eqx.Module):
    r"""$\tilde f_k(x) = r_k + \sum_e \frac{p_{ke}}{U_e - x_e} + \frac{q_{ke}}{x_e - L_e}$, with the value and slope of $f_k$ at the design.

    - `low`, `high`: the range where it is trusted, `(*design)`. `rising`, `falling`: $p$, $q$, `(k, *design)`.
    - `cost`: the same $p$ for the volume, whose approximation is never below the volume itself.
    """

    program: Program
    asymptotes: Asymptotes
    low: Float[ndarray, "..."]
    high: Float[ndarray, "..."]
    rising: Float[ndarray, "k ..."]
    falling: Float[ndarray, "k ..."]
    cost: Float[ndarray, "..."]

    def values(self, design: Float[ndarray, "..."]) -> Float[ndarray, " k"]:
        r"""Return $\tilde f_k$ at a design."""
        return self.program.values + self._terms(design) - self._terms(self.program.design)

    def volume(self, design: Float[ndarray, "..."]) -> float:
        """Return the approximation of the volume of a design, convex and conservative."""
        here, there = ((self.cost / (self.asymptotes.upper - x)).sum() for x in (self.program.design, design))
        return self.program.used(self.program.design) + float(there - here)

    def minimizer(self, guess: float) -> tuple[Float[ndarray, "..."], float]:
        """Return the design that minimizes the largest approximation within the volume, and the multiplier (price) of the volume."""
        shares = self._shares(guess) if len(self.rising) > 1 else np.ones(1)
        return self._cheapest(shares, guess)

    def _shares(self, guess: float) -> Float[ndarray, " k"]:
        """Return the multipliers of the functions, of sum one: where the dual function is largest."""
        scale = float(np.abs(self.program.values).max())

        def dual(shares: Float[ndarray, " k"]) -> tuple[float, Float[ndarray, " k"]]:
            values = self.values(self._cheapest(shares, guess)[0]) / scale
            return -float(shares @ values), -values

        count = len(self.rising)
        start = np.full(count, 1.0 / count)
        one = {"type": "eq", "fun": lambda s: s.sum() - 1.0, "jac": np.ones_like}
        result = scipy.optimize.minimize(
            dual, start, jac=True, method="SLSQP", bounds=[(0.0, 1.0)] * count, constraints=[one], options={"ftol": 1e-10}
        )
        shares = np.clip(result.x, 0.0, 1.0)
        return shares / shares.sum()

    def _cheapest(self, shares: Float[ndarray, " k"], guess: float) -> tuple[Float[ndarray, "..."], float]:
        rising, falling = (np.tensordot(shares, part, 1) for part in (self.rising, self.falling))
        bottom, pole, top = np.sqrt(falling), self.asymptotes.lower, self.asymptotes.upper

        def design(price: float) -> Float[ndarray, "..."]:
            climb = np.sqrt(rising + price * self.cost)
            return np.clip((climb * pole + bottom * top) / (climb + bottom), self.low, self.high)

        return priced(self.program, design, guess, self.volume)

    def _terms(self, design: Float[ndarray, "..."]) -> Float[ndarray, " k"]:
        terms = self.rising / (self.asymptotes.upper - design) + self.falling / (design - self.asymptotes.lower)
        return terms.reshape(len(terms), -1).sum(axis=1)


def approximate(
    program: Program, asymptotes: Asymptotes, move: float, curvature: Float[ndarray, " k"], margin: float = 0.1
) -> Approximation:
    r"""Return the approximation at the program's design, with $\rho_k$ = `curvature` added to make it strictly convex.

    **Arguments:**

    - `move`: the largest change, as a fraction of each variable's span. `margin`: how near the poles may be approached.

    ??? cite "Reference"
        Svanberg, SIAM J. Optim. 12 (2002) 555, equations (3.1)-(3.7).
    """
    x, span = program.design, program.span
    to_top, to_pole = asymptotes.upper - x, x - asymptotes.lower
    low = np.maximum(program.lower, np.maximum(x - (1.0 - margin) * to_pole, x - move * span))
    high = np.minimum(program.upper, np.minimum(x + (1.0 - margin) * to_top, x + move * span))
    up, down = np.maximum(program.slopes, 0.0), np.maximum(-program.slopes, 0.0)
    convex = np.multiply.outer(curvature, 1.0 / span)
    rising = to_top**2 * (1.001 * up + 0.001 * down + convex)
    falling = to_pole**2 * (0.001 * up + 1.001 * down + convex)
    return Approximation(program, asymptotes, low, high, rising, falling, to_top**2 * program.weights)
