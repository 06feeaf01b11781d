"""The price of volume: the multiplier at which a design uses up what there is."""

from collections.abc import Callable

import numpy as np
import scipy.optimize
from jaxtyping import Float
from numpy import ndarray

from physopt.core.boxed import Program


def first_price(program: Program) -> float:
    """Return a price of volume to begin with: what the mean slope is worth."""
    return max(float(np.abs(program.slopes).max(axis=0).mean() / program.weights.mean()), 1e-300)


def priced(
    program: Program,
    design: Callable[[float], Float[ndarray, "..."]],
    guess: float,
    used: Callable[[Float[ndarray, "..."]], float] | None = None,
) -> tuple[Float[ndarray, "..."], float]:
    r"""Return the design that uses the volume up, and its price $\mu$; at price zero if even that is within the volume.

    **Arguments:**

    - `design`: the design for a price; the volume it uses decreases with the price.
    - `guess`: a price to begin with, above 0. `used`: the volume of a design, if not the true one.

    **Raises:** `ArithmeticError` if no price keeps to the volume, because the lower bounds alone exceed it.
    """

    used = program.used if used is None else used

    def excess(exponent: float) -> float:
        return used(design(float(np.exp(exponent)))) / program.volume - 1.0

    middle = float(np.log(guess))
    low, high = middle, middle
    if (here := excess(middle)) > 0.0:
        while excess(high) > 0.0:
            low, high = high, high + 2.0
            if high > middle + 400.0:
                raise ArithmeticError("No design within the bounds has so small a volume; allow more volume or less solid.")
    elif here < 0.0:
        while excess(low) < 0.0:
            low, high = low - 2.0, low
            if low < middle - 100.0:
                return design(0.0), 0.0
    root = middle if low == high else scipy.optimize.brentq(excess, low, high, xtol=1e-14, rtol=1e-14)
    price = float(np.exp(root))
    return design(price), price
