"""The SIMP problem: the best structure of a given volume, as a problem of the core."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from numpy import ndarray

from physopt.core.boxed import Program
from physopt.core.problem import AbstractProblem, Evaluation

from .averaged import Averaged
from .densities import Densities
from .equilibrium import Equilibrium
from .filters import AbstractFilter, SensitivityFilter
from .interpolation import AbstractInterpolation, Power
from .objective import AbstractObjective, MeanCompliance
from .separable import Box, Separable, multiplier
from .structure import Structure

VOID = 1e-6


class SIMP(AbstractProblem):
    r"""The best use of a given volume: solid isotropic material with penalization, $E_e = E_{min} + \hat x_e^p (E_0 - E_{min})$.

    The value is the largest of the objective's functions of the work $C_{ij} = F_i^T u_j$; by default the mean compliance.

    A point is a design $x$ between $10^{-6}$ and 1; a tangent is the *logarithm of its update*:
    $\mathrm{retract}(x, v) = \mathrm{clip}(x e^{v + \mu})$ within the bounds and within `move` of $x$, where $\mu$ keeps the volume of the
    physical density. So the bisection of the optimality criteria is the retraction, rules need no bounds, and
    `ModelStep(search=FullStep())` *is* the method of optimality criteria. One evaluation is one finite-element solve.

    With a `SensitivityFilter` the gradient is a heuristic, not the derivative of the value.

    **Arguments:**

    - `structure`: grid, supports, loads.
    - `volfrac`: the fraction of the box to fill, passive elements included. `filtering`: an `AbstractFilter`.
    - `objective`: the function to minimize. `move`: the largest change of a density in one step.
    - `interpolation`: the law of stiffness; `penal`: its exponent $p$, or the $q$ of `Ramp`.
    - `sharpness`, `mirrors`, `passive`: as for `Densities`; nothing is passive by default.
    - `poisson`: Poisson's ratio. `solid`, `softest`: $E_0$ and $E_{min}$. `iterative`: as for `Equilibrium`.
    - `halvings`: solve for equilibrium on a grid that is halved this many times, while the design stays on its own grid: cheaper and
      not exact; see `Averaged`.

    **Raises:** `ValueError` for numbers out of range.

    ??? cite "Reference"
        Andreassen, Clausen, Schevenels, Lazarov, Sigmund, Struct. Multidiscip. Optim. 43 (2011) 1, equations (1)-(10).
    """

    equilibrium: Equilibrium | Averaged
    densities: Densities
    objective: AbstractObjective
    interpolation: AbstractInterpolation
    poisson: float
    volfrac: float
    penal: float
    move: float
    solid: float
    softest: float
    lower: Float[ndarray, "..."]
    upper: Float[ndarray, "..."]
    weights: Float[ndarray, "..."]
    traceable: bool = eqx.field(static=True)
    unit: str = eqx.field(static=True)

    def __init__(
        self,
        structure: Structure,
        volfrac: float = 0.5,
        filtering: AbstractFilter = SensitivityFilter(),
        *,
        objective: AbstractObjective = MeanCompliance(),
        interpolation: AbstractInterpolation = Power(),
        penal: float = 3.0,
        move: float = 0.2,
        sharpness: float = 0.0,
        mirrors: tuple[int, ...] = (),
        passive: Float[ndarray, "..."] | None = None,
        poisson: float = 0.3,
        solid: float = 1.0,
        softest: float = 1e-9,
        iterative: bool | None = None,
        halvings: int = 0,
    ):
        passive = np.full(structure.shape, np.nan) if passive is None else passive
        if passive.shape != structure.shape:
            raise ValueError(f"The passive densities have shape {passive.shape}, the grid has {structure.shape} elements.")
        if halvings:
            self.equilibrium = Averaged(structure, halvings, poisson, iterative=iterative)
        else:
            self.equilibrium = Equilibrium(structure, poisson, iterative=iterative)
        self.densities = Densities(filtering, sharpness, mirrors, passive)
        self.objective, self.interpolation, self.poisson = objective, interpolation, poisson
        self.volfrac, self.penal, self.move, self.solid, self.softest = volfrac, penal, move, solid, softest
        decided = np.maximum(passive, VOID)
        self.lower, self.upper = np.where(np.isnan(passive), VOID, decided), np.where(np.isnan(passive), 1.0, decided)
        self.weights = self.densities.weights()
        for shared in (self.lower, self.upper, self.weights):
            shared.setflags(write=False)  # so every answer may hold them without a copy
        self.traceable, self.unit = False, "1"

    def __check_init__(self) -> None:
        ranges = {
            "volfrac": (VOID, 1.0, "0.5"),
            "penal": (0.99, 20.0, "3"),
            "move": (0.0, 1.01, "0.2"),
            "softest": (0.0, self.solid, "1e-9"),
        }
        for name, (low, high, usual) in ranges.items():
            if not low < getattr(self, name) < high:
                raise ValueError(f"{name} is {getattr(self, name)}, which must lie between {low:g} and {high:g}; usual is {usual}.")
        least, most = (float((self.weights * bound).sum()) for bound in (self.lower, self.upper))
        if not least < self._volume < most:
            low, high = (1.0 / self.weights.size * (v + self.densities.prescribed_volume) for v in (least, most))
            raise ValueError(
                f"volfrac is {self.volfrac}, but with the passive elements only {low:.4f} to {high:.4f} of the box can be filled."
            )

    def init(self, key: Array | PRNGKeyArray | None = None) -> Float[ndarray, "..."]:
        """Return the design that is uniform where it is free; the key is not used."""
        fixed = self.lower == self.upper
        rest = self._volume - float((self.weights * self.lower)[fixed].sum())
        return np.where(fixed, self.lower, rest / float(self.weights[~fixed].sum()))

    def evaluate(self, point: Float[ndarray, "..."]) -> Evaluation:
        """Solve for equilibrium; a design with a non-finite density has a non-finite value."""
        box = self._box(point)
        if not np.isfinite(point).all():
            # The sparse solver would raise, and divergence is a result.
            nothing = np.full_like(point, np.nan)
            program = self._program(point, np.full(self.functions, np.nan), np.broadcast_to(nothing, (1, *point.shape)))
            return Evaluation(np.float64(np.nan), nothing, Separable(program, box, nothing, np.nan))
        density = self.density(point)
        work = self.equilibrium.work(self.young(density))
        values, weights = self.objective.linearized(work.matrix)
        stiffening = self.interpolation.slope(density, self.penal, self.solid - self.softest)
        slopes = np.stack([self.densities.pulled(point, stiffening * slope) for slope in work.slopes(weights)])
        largest = int(np.argmax(values))
        price, grad = multiplier(box, slopes[largest], (self.lower, self.upper))
        return Evaluation(values[largest], grad, Separable(self._program(point, values, slopes), box, slopes[largest], price))

    def retract(self, point: Float[ndarray, "..."], step: Float[ndarray, "..."] | Float[Array, "..."]) -> Float[ndarray, "..."]:
        r"""Return $\mathrm{clip}(x e^{v + \mu})$ with the volume kept; a density at a bound stays there unless $v$ points inward."""
        step = np.clip(np.asarray(step), -50.0, 50.0)
        box = self._box(point)
        # Were these to follow mu, a tangent that is zero where the gradient is would not descend.
        held = ((point >= self.upper) & (step >= 0.0)) | ((point <= self.lower) & (step <= 0.0))
        box = Box(point, np.where(held, point, box.lower), np.where(held, point, box.upper), box.weights, box.volume)
        return box.scaled(lambda mu: np.exp(step + mu), -float(step.max()) - 1.0, -float(step.min()) + 1.0)

    def changed(self, **changes: Any) -> "SIMP":
        """Return the problem with some arguments changed, by name."""
        densities, chosen = self.densities, self.equilibrium.iterative is not None
        arguments = self._own() | {"filtering": densities.filtering, "sharpness": densities.sharpness}
        arguments |= {"mirrors": densities.mirrors, "passive": densities.passive}
        arguments["iterative"] = None if changes.keys() & {"structure", "halvings"} else chosen
        return SIMP(**arguments | changes)

    def asked(self) -> dict[str, Any]:
        """Return what defines the problem, by name; how its equations are solved is not part of that."""
        return self._own() | {"densities": self.densities}

    def _own(self) -> dict[str, Any]:
        names = ("volfrac", "objective", "interpolation", "penal", "move", "poisson", "solid", "softest")
        of_grid = {"structure": self.equilibrium.structure, "halvings": self.equilibrium.halvings}
        return {name: getattr(self, name) for name in names} | of_grid

    def shown(self, point: Float[ndarray, "..."]) -> dict[str, Float[ndarray, "..."]]:
        """Return the physical densities of a design."""
        return {"density": self.density(point)}

    def density(self, point: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        """Return the physical density of a design, each between 0 and 1; its mean is `volfrac`."""
        return self.densities.physical(point)

    def young(self, density: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        """Return Young's modulus of each element from its physical density."""
        return self.softest + self.interpolation.stiffness(density, self.penal, self.solid - self.softest)

    @property
    def _volume(self) -> float:
        return self.volfrac * self.weights.size - self.densities.prescribed_volume

    @property
    def functions(self) -> int:
        """The number of functions of the objective."""
        return self.objective.count(len(self.equilibrium.structure.force))

    def _box(self, point: Float[ndarray, "..."]) -> Box:
        lower, upper = np.maximum(self.lower, point - self.move), np.minimum(self.upper, point + self.move)
        return Box(point, lower, upper, self.weights, self._volume)

    def _program(self, point: Float[ndarray, "..."], values: Float[ndarray, " k"], slopes: Float[ndarray, "k ..."]) -> Program:
        exact = self.densities.filtering.exact
        return Program(point, self.lower, self.upper, self.weights, self._volume, values, slopes, exact)
