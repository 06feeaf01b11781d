"""The exponents of the exchange functions as a few learned numbers, bounded so that any weights give a reasonable kernel."""

import functools
from pathlib import Path

import equinox as eqx
import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pyscf.data import elements

from physopt.core.weights import load_weights

from .auxiliary import Auxiliary

SHIPPED = Path(__file__).with_name("kernel.safetensors")
EXPONENT_LIMIT = 3.0  # of the logarithm of an exponent over its untrained value
SCALE_LIMIT = 0.5  # of the logarithm of an element's length over its covalent radius


class KernelWeights(eqx.Module):
    r"""Weights $w$ of the kernel: each exponent is its untrained value times $\exp(3 \tanh w)$, each scale $\exp(\tfrac12 \tanh w)$.

    Zero weights are the untrained kernel. A weight that is not finite counts as zero. Weights that no molecule trains stay zero.

    **Arguments:**

    - `exponents`: of `Auxiliary.exchange`, then of `Auxiliary.light`. `scales`: by atomic number.
    """

    exponents: Float[ndarray, " exponent"] = eqx.field(default_factory=lambda: np.zeros(_untrained().size))
    scales: Float[ndarray, " element"] = eqx.field(default_factory=lambda: np.zeros(len(elements.ELEMENTS)))

    def auxiliary(self) -> Auxiliary:
        """Return the functions of these weights."""
        values = iter((_untrained() * _bounded(self.exponents, EXPONENT_LIMIT)).tolist())
        base = Auxiliary()
        exchange, light = (tuple(tuple(next(values) for _ in each) for each in kind) for kind in (base.exchange, base.light))
        scale = {elements.ELEMENTS[z]: float(s) for z, s in enumerate(_bounded(self.scales, SCALE_LIMIT)) if z and s != 1.0}
        return Auxiliary(exchange=exchange, light=light, scale=scale)


def load_kernel(path: str | Path) -> KernelWeights:
    """Read the weights of a kernel; raises `WeightsError` for a file that is damaged or foreign, `OSError` for one that is missing."""
    return load_weights(path, KernelWeights())


@functools.cache
def trained() -> Auxiliary:
    """Return the shipped functions, trained on small molecules of H to Kr."""
    return load_kernel(SHIPPED).auxiliary()


def _untrained() -> Float[ndarray, " exponent"]:
    base = Auxiliary()
    return np.concatenate([*base.exchange, *base.light])


def _bounded(weights: Float[ndarray, " n"], limit: float) -> Float[ndarray, " n"]:
    return np.exp(limit * np.tanh(np.nan_to_num(weights, nan=0.0, posinf=0.0, neginf=0.0)))
