r"""The stiffness of an element of intermediate density: $E(x) = E_{min} + s(x) (E_0 - E_{min})$ with $s(0) = 0$, $s(1) = 1$."""

import abc

import equinox as eqx
from jaxtyping import Float
from numpy import ndarray


class AbstractInterpolation(eqx.Module):
    r"""A convex $s(x)$ that penalizes intermediate densities, more strongly for larger `penal`."""

    @abc.abstractmethod
    def stiffness(self, density: Float[ndarray, "..."], penal: float, span: float) -> Float[ndarray, "..."]:
        r"""Return $s(x)$ times the `span` $E_0 - E_{min}$."""

    @abc.abstractmethod
    def slope(self, density: Float[ndarray, "..."], penal: float, span: float) -> Float[ndarray, "..."]:
        """Return the derivative of the stiffness with respect to the density."""


class Power(AbstractInterpolation):
    """SIMP: $s = x^p$ with the exponent `penal`; its slope vanishes in void.

    ??? cite "Reference"
        Bendsoe, Sigmund, Arch. Appl. Mech. 69 (1999) 635.
    """

    def stiffness(self, density: Float[ndarray, "..."], penal: float, span: float) -> Float[ndarray, "..."]:
        """Return $x^p$ times the span."""
        return span * density**penal

    def slope(self, density: Float[ndarray, "..."], penal: float, span: float) -> Float[ndarray, "..."]:
        """Return $p x^{p - 1}$ times the span."""
        return penal * span * density ** (penal - 1.0)


class Ramp(AbstractInterpolation):
    """RAMP: $s = x / (1 + q (1 - x))$ with `penal` as $q$; its slope in void is $1 / (1 + q)$.

    ??? cite "Reference"
        Stolpe, Svanberg, Struct. Multidiscip. Optim. 22 (2001) 116.
    """

    def stiffness(self, density: Float[ndarray, "..."], penal: float, span: float) -> Float[ndarray, "..."]:
        """Return $x / (1 + q (1 - x))$ times the span."""
        return span * density / (1.0 + penal * (1.0 - density))

    def slope(self, density: Float[ndarray, "..."], penal: float, span: float) -> Float[ndarray, "..."]:
        """Return $(1 + q) / (1 + q (1 - x))^2$ times the span."""
        return span * (1.0 + penal) / (1.0 + penal * (1.0 - density)) ** 2
