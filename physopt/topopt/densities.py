"""Map a design to the physical densities, and derivatives with respect to these back to the design."""

from typing import Any

import equinox as eqx
import numpy as np
import scipy.optimize
from jaxtyping import Float
from numpy import ndarray

from .filters import AbstractFilter


class Densities(eqx.Module):
    r"""Mirror, filter, project, and set the prescribed densities: $x \to \tilde x \to \hat x$.

    The projection $\hat x = \frac{\tanh \beta\eta + \tanh \beta(\tilde x - \eta)}{\tanh \beta\eta + \tanh \beta(1 - \eta)}$ takes the
    threshold $\eta$ that preserves the volume, so that the volume stays linear in the design; its slopes include the change of $\eta$.

    **Arguments:**

    - `filtering`: an `AbstractFilter`. `sharpness`: $\beta$; zero does not project.
    - `mirrors`: axes along which the design is to be its own mirror image.
    - `passive`: prescribed densities, NaN where the design is free, `(*element)`.

    ??? cite "Reference"
        Wang, Lazarov, Sigmund, Struct. Multidiscip. Optim. 43 (2011) 767; Xu, Cai, Cheng, Struct. Multidiscip. Optim. 41 (2010) 495.
    """

    filtering: AbstractFilter
    sharpness: float
    mirrors: tuple[int, ...] = eqx.field(static=True)
    passive: Float[ndarray, "..."]

    def __check_init__(self) -> None:
        if not 0.0 <= self.sharpness <= 1e3:
            raise ValueError(f"The sharpness is {self.sharpness}; write a number from 0 (no projection) to 1000, such as 8.")
        if self.sharpness > 0.0 and not self.filtering.exact:
            raise ValueError("Projection needs a density filter: a sensitivity filter leaves no intermediate densities to project.")
        prescribed = self.passive[~np.isnan(self.passive)]
        if not ((prescribed >= 0.0) & (prescribed <= 1.0)).all():
            raise ValueError(f"Passive densities from {prescribed.min()} to {prescribed.max()}; write numbers from 0 (void) to 1 (solid).")
        if len(prescribed) == self.passive.size:
            raise ValueError("Every element is passive, so there is nothing to design; leave some of the box free.")

    @property
    def free(self) -> Float[ndarray, "..."]:
        """One where the design is free, else zero."""
        return np.isnan(self.passive).astype(float)

    @property
    def prescribed_volume(self) -> float:
        """The volume of the passive elements, in elements."""
        return float(np.nansum(self.passive))

    def physical(self, design: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        """Return the physical densities."""
        return np.where(np.isnan(self.passive), self._project(self._smooth(design))[0], self.passive)

    def pulled(self, design: Float[ndarray, "..."], slope: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        """Return the derivative with respect to the design, given that with respect to the physical densities."""
        slope = self.free * slope
        if self.sharpness > 0.0:
            _, direct, shift = self._project(self._smooth(design))
            total = float((self.free * shift).sum())  # zero if all is solid or void
            along = float((slope * shift).sum()) / total if total else 0.0
            slope = self.free * (slope * direct + along * (1.0 - direct))
        return self._mirrored(self.filtering.sensitivity(design, slope))

    def weights(self) -> Float[ndarray, "..."]:
        """Return the derivative of the volume with respect to the design."""
        free = self.free
        return self._mirrored(self.filtering.sensitivity(free, free) if self.filtering.exact else free)

    def _smooth(self, design: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        return self.filtering.density(self._mirrored(design))

    def _mirrored(self, field: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        for axis in self.mirrors:
            field = 0.5 * (field + np.flip(field, axis))
        return field

    def _project(self, smooth: Float[ndarray, "..."]) -> tuple[Float[ndarray, "..."], ...]:
        """Return the projected densities and their derivatives by the smooth ones and by the threshold."""
        beta = self.sharpness
        if beta == 0.0:
            return smooth, np.ones_like(smooth), np.zeros_like(smooth)

        def projected(eta: float) -> Float[ndarray, "..."]:
            return (np.tanh(beta * eta) + np.tanh(beta * (smooth - eta))) / (np.tanh(beta * eta) + np.tanh(beta * (1.0 - eta)))

        eta = scipy.optimize.brentq(lambda eta: float((self.free * (projected(eta) - smooth)).sum()), 0.0, 1.0, xtol=1e-15)
        scale = np.tanh(beta * eta) + np.tanh(beta * (1.0 - eta))
        result, bend = projected(eta), _sech2(beta * (smooth - eta))
        shift = _sech2(beta * eta) - bend - result * (_sech2(beta * eta) - _sech2(beta * (1.0 - eta)))
        return result, beta * bend / scale, beta * shift / scale


def _sech2(x: Any) -> Any:
    return 1.0 - np.tanh(x) ** 2
