"""Minimal compliance at fixed volume, as a problem of the core."""

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from numpy import ndarray

from physopt.core.problem import AbstractProblem, Evaluation

from .equilibrium import Elasticity
from .filters import AbstractFilter, SensitivityFilter
from .model import Box, Separable, multiplier
from .structure import Structure

VOID = 1e-6


class Compliance(AbstractProblem):
    r"""The compliance $c(x) = F^T u$ of a structure with stiffness $E_e = E_{min} + \tilde x_e^p (1 - E_{min})$, at fixed volume.

    A point is a design $x$ between $10^{-6}$ and 1; a tangent is the *logarithm of its update*:
    $\mathrm{retract}(x, v) = \mathrm{clip}(x e^{v + \mu})$ within the bounds and within `move` of $x$, where $\mu$ holds the volume of the
    physical density. So the bisection of the optimality criteria is the retraction, rules know no bounds, and
    `ModelStep(search=FullStep())` *is* the method of optimality criteria. One evaluation is one finite-element solution.

    With a `SensitivityFilter` the gradient is a heuristic, not the derivative of the value.

    **Arguments:**

    - `structure`: grid, supports, loads.
    - `volfrac`: the fraction of the volume to fill. `filtering`: an `AbstractFilter`.
    - `penal`: the exponent $p$. `move`: the largest change of a density in one step.
    - `poisson`: Poisson's ratio. `softest`: $E_{min}$, what void keeps of the stiffness. `iterative`: as for `Elasticity`.

    **Raises:** `ValueError` for numbers that pose no problem.

    ??? cite "Reference"
        Andreassen, Clausen, Schevenels, Lazarov, Sigmund, Struct. Multidiscip. Optim. 43 (2011) 1, equations (1)-(10).
    """

    elasticity: Elasticity
    volfrac: float
    filtering: AbstractFilter
    penal: float
    move: float
    softest: float
    traceable: bool = eqx.field(static=True)
    unit: str = eqx.field(static=True)

    def __init__(
        self,
        structure: Structure,
        volfrac: float = 0.5,
        filtering: AbstractFilter = SensitivityFilter(),
        *,
        penal: float = 3.0,
        move: float = 0.2,
        poisson: float = 0.3,
        softest: float = 1e-9,
        iterative: bool | None = None,
    ):
        self.elasticity = Elasticity(structure, poisson, iterative=iterative)
        self.volfrac, self.filtering, self.penal, self.move, self.softest = volfrac, filtering, penal, move, softest
        self.traceable, self.unit = False, "1"

    def __check_init__(self) -> None:
        ranges = {"volfrac": (VOID, 1.0, "0.5"), "penal": (0.99, 20.0, "3"), "move": (0.0, 1.01, "0.2"), "softest": (0.0, 1.0, "1e-9")}
        for name, (low, high, usual) in ranges.items():
            if not low < getattr(self, name) < high:
                raise ValueError(f"{name} is {getattr(self, name)}, which must lie between {low:g} and {high:g}; usual is {usual}.")

    def init(self, key: Array | PRNGKeyArray | None = None) -> Float[ndarray, "..."]:
        """Return the uniform design; the key is not used."""
        return np.full(self.elasticity.structure.shape, self.volfrac)

    def evaluate(self, point: Float[ndarray, "..."]) -> Evaluation:
        """Solve for equilibrium; a design with a non-finite density has a non-finite compliance."""
        box = self._box(point)
        if not np.isfinite(point).all():
            # The sparse solver would raise, and divergence is a result.
            nothing = np.full_like(point, np.nan)
            return Evaluation(np.float64(np.nan), nothing, Separable(box, nothing, np.nan))
        density = self.density(point)
        young = self.young(density)
        energies = self.elasticity.energies(young)
        slope = -self.penal * (1.0 - self.softest) * density ** (self.penal - 1.0) * energies
        slope = self.filtering.sensitivity(point, slope)
        price, grad = multiplier(box, slope, (VOID, 1.0))
        return Evaluation((young * energies).sum(), grad, Separable(box, slope, price))

    def retract(self, point: Float[ndarray, "..."], step: Float[ndarray, "..."] | Float[Array, "..."]) -> Float[ndarray, "..."]:
        r"""Return $\mathrm{clip}(x e^{v + \mu})$ with the volume held; a density at a bound stays there unless $v$ points inward."""
        step = np.clip(np.asarray(step), -50.0, 50.0)
        box = self._box(point)
        # Were these to follow mu, a tangent that is zero where the gradient is would not descend.
        held = ((point >= 1.0) & (step >= 0.0)) | ((point <= VOID) & (step <= 0.0))
        box = Box(point, np.where(held, point, box.lower), np.where(held, point, box.upper), box.weights, box.volume)
        return box.scaled(lambda mu: np.exp(step + mu), -float(step.max()) - 1.0, -float(step.min()) + 1.0)

    def density(self, point: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        """Return the physical density of a design, each between 0 and 1; its mean is `volfrac`."""
        return self.filtering.density(point)

    def young(self, density: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        """Return Young's modulus of each element from its physical density."""
        return self.softest + (1.0 - self.softest) * density**self.penal

    def _box(self, point: Float[ndarray, "..."]) -> Box:
        lower, upper = np.maximum(VOID, point - self.move), np.minimum(1.0, point + self.move)
        return Box(point, lower, upper, self.filtering.weights(point.shape), self.volfrac * point.size)
