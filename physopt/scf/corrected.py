"""A cheap surface that one exact build has corrected: near that build it stands in for the exact surface."""

import dataclasses
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from numpy import ndarray

from physopt.core.problem import AbstractProblem, Evaluation

from .model import Anchor, Orbitals, Response
from .problem import SCF


class Surface(eqx.Module):
    """A cheap surface, and its energy in hartree and its Fock matrix at one density: its `anchor`."""

    problem: SCF
    energy: float
    anchor: Anchor


class CorrectedSCF(AbstractProblem):
    r"""The energy of a cheap surface, corrected to have the exact value and the exact Fock matrix at one determinant $P_1$.

    $$\hat E(P) = \tilde E(P) + (E - \tilde E)(P_1) + m \sum_s \mathrm{tr}\, (F_s - \tilde F_s)(P_1) \, (P - P_1)_s, \qquad
    \hat F_s(P) = \tilde F_s(P) + (F_s - \tilde F_s)(P_1).$$

    So $F - \hat F = (G - \tilde G)[P - P_1]$ to first order: not the error of the cheap Fock matrix, but that of its *response*, and only
    to the little that is left to move. One evaluation is one cheap build.

    **Arguments:**

    - `cheap`: the surface, with its answer at $P_1$; in the exact problem's basis. `exact`: the exact answer at $P_1$.

    ??? cite "Reference"
        Alexandrov, Lewis, Optim. Eng. 2 (2001) 413: first-order consistency of a cheap model.
    """

    cheap: Surface
    exact: Evaluation
    traceable: bool = eqx.field(default=False, static=True)
    unit: str = eqx.field(default="hartree", static=True)

    @property
    def model(self) -> Response:
        """The exact answer's model."""
        assert isinstance(self.exact.model, Response)
        return self.exact.model

    def init(self, key: Array | PRNGKeyArray | None = None) -> Orbitals:
        """Return the determinant of the exact build; the key is not used."""
        return self.model.orbitals

    def evaluate(self, point: Orbitals) -> Evaluation:
        """Build the cheap Fock matrix of the determinant and correct it; the model's kernel is that of the exact problem."""
        cheap, exact = self.cheap.problem.oracle, self.model.anchor
        energy, fock = cheap.build(cheap.dm(point.coeff))
        missing, density = exact.fock - self.cheap.anchor.fock, cheap.density(point.coeff)
        oracle = self.model.oracle
        anchor = Anchor(fock + missing, density, oracle.induced(oracle.occupied(point.coeff)))
        along = cheap.electrons * np.vdot(missing, density - exact.density)
        model = dataclasses.replace(self.model, anchor=anchor, orbitals=point)
        value = np.float64(self.exact.value + energy - self.cheap.energy + along)
        return Evaluation(value, model.gradient(), model, np.float64(cheap.clock.due()))

    def retract(self, point: Orbitals, step: tuple[Float[ndarray | Array, "_rows _columns"], ...]) -> Orbitals:
        """Rotate occupied into virtual orbitals."""
        return self.cheap.problem.retract(point, step)

    def moved(self, point: Orbitals) -> float:
        r"""Return $\sqrt{\sum_s |P_s - P_{1,s}|^2}$: how far a determinant is from the exact build."""
        return float(np.linalg.norm(self.cheap.problem.oracle.density(point.coeff) - self.model.anchor.density))

    def asked(self) -> dict[str, Any]:
        """Return what defines the cheap field, by name, and the exact energy that corrects it."""
        return {**self.cheap.problem.asked(), "exact": float(self.exact.value)}

    def shown(self, point: Orbitals) -> dict[str, Any]:
        """Return orbitals and occupations in PySCF's shape."""
        return self.cheap.problem.shown(point)
