"""Filters that keep a design free of checkerboards and independent of the mesh."""

import abc
import functools
from typing import ClassVar

import equinox as eqx
import numpy as np
import scipy.signal
from jaxtyping import Float
from numpy import ndarray


class AbstractFilter(eqx.Module):
    r"""A linear cone filter $H_{ef} = \max(0, r - |e - f|)$ of radius `rmin`, in elements, and where it acts."""

    rmin: eqx.AbstractVar[float]
    exact: eqx.AbstractClassVar[bool]  # are the gradients of problems with it the derivatives of their values?

    @abc.abstractmethod
    def density(self, design: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        """Return the physical density of a design."""

    @abc.abstractmethod
    def sensitivity(self, design: Float[ndarray, "..."], slope: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        """Convert a derivative with respect to the physical density into one with respect to the design."""

    def __check_init__(self) -> None:
        if not (self.rmin > 0.0 and np.isfinite(self.rmin)):
            raise ValueError(f"The filter radius is {self.rmin} elements; write a number above 0, such as 2.4 (up to 1 filters nothing).")


class DensityFilter(AbstractFilter):
    r"""Average the design: $\tilde x = H x / H 1$, and all derivatives by the chain rule.

    ??? cite "Reference"
        Bruns, Tortorelli, Comput. Methods Appl. Mech. Eng. 190 (2001) 3443.
    """

    rmin: float = 2.4
    exact: ClassVar[bool] = True

    def density(self, design: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        """Return $H x / H 1$."""
        return _cone(self.rmin, design) / _total(self.rmin, design.shape)

    def sensitivity(self, design: Float[ndarray, "..."], slope: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        r"""Return $H^T (c' / H 1)$."""
        return _cone(self.rmin, slope / _total(self.rmin, slope.shape))


class SensitivityFilter(AbstractFilter):
    r"""Average the sensitivities: $c' \leftarrow H (x c') / (H 1 \max(x, 10^{-3}))$, a heuristic.

    The result is the derivative of no function: the gradient of a problem with this filter is *not* the derivative of
    its value. It suits the optimality criteria; methods that search for lower values need a `DensityFilter`.

    ??? cite "Reference"
        Sigmund, Mech. Struct. Mach. 25 (1997) 493.
    """

    rmin: float = 2.4
    exact: ClassVar[bool] = False

    def density(self, design: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        """Return the design itself."""
        return design

    def sensitivity(self, design: Float[ndarray, "..."], slope: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        r"""Return $H (x c') / (H 1 \max(x, 10^{-3}))$."""
        return _cone(self.rmin, design * slope) / (_total(self.rmin, design.shape) * np.maximum(design, 1e-3))


def _cone(rmin: float, field: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    # Nothing lies farther away than the longer side.
    reach = int(min(np.ceil(rmin), max(field.shape))) - 1
    offsets = np.indices((2 * reach + 1,) * field.ndim) - reach
    kernel = np.maximum(0.0, rmin - np.sqrt((offsets**2).sum(axis=0)))
    # Directly or by Fourier transforms, whichever takes fewer operations.
    return scipy.signal.convolve(field, kernel, mode="same")


@functools.lru_cache(maxsize=16)
def _total(rmin: float, shape: tuple[int, ...]) -> Float[ndarray, "..."]:
    total = _cone(rmin, np.ones(shape))
    total.flags.writeable = False
    return total
