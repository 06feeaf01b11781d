r"""Objectives, as functions of the work $C_{ij} = F_i^T K^{-1} F_j$ of each load on the displacements of each other."""

import abc
from typing import ClassVar

import equinox as eqx
import numpy as np
from jaxtyping import Float
from numpy import ndarray


class AbstractObjective(eqx.Module):
    """Functions of the matrix of work; the largest of them is minimized.

    - `label`: what its value is called.
    - `falling`: does the way to a good design lead through lower values only?
    - `transferable`: may the design of a neighboring problem be the start?
    """

    label: eqx.AbstractClassVar[str]
    falling: eqx.AbstractClassVar[bool]
    transferable: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def coefficients(self, cases: int) -> Float[ndarray, "k case case"]:
        r"""Return symmetric $W^k$ with $f_k = \sum_{ij} W^k_{ij} C_{ij}$, for this many load cases; `ValueError` if not possible."""


class MeanCompliance(AbstractObjective):
    """The weighted mean of the compliances of all load cases; equal weights by default."""

    weights: tuple[float, ...] | None = None
    label: ClassVar[str] = "compliance"
    falling: ClassVar[bool] = True
    transferable: ClassVar[bool] = True

    def coefficients(self, cases: int) -> Float[ndarray, "1 case case"]:
        """Return the weights, of sum one, on the diagonal."""
        weights = np.ones(cases) if self.weights is None else np.array(self.weights)
        if len(weights) != cases or not (np.isfinite(weights).all() and weights.min() > 0.0):
            raise ValueError(f"The weights {self.weights} do not suit {cases} load cases; give each a number above 0.")
        return np.diag(weights / weights.sum())[None]


class WorstCompliance(AbstractObjective):
    """The largest compliance of any load case."""

    label: ClassVar[str] = "largest compliance"
    falling: ClassVar[bool] = True
    transferable: ClassVar[bool] = True

    def coefficients(self, cases: int) -> Float[ndarray, "case case case"]:
        """Return one diagonal entry for each case."""
        return np.einsum("ki,kj->kij", np.eye(cases), np.eye(cases))


class Output(AbstractObjective):
    """Minus the displacement that the first load causes along the second: the output of a compliant mechanism.

    The way to a good mechanism leads past worse ones: where values only fall, it falls apart. And from the densities of a neighbor the
    inverter of the gallery ends 10 % above a fresh run.
    """

    label: ClassVar[str] = "minus the output"
    falling: ClassVar[bool] = False
    transferable: ClassVar[bool] = False

    def coefficients(self, cases: int) -> Float[ndarray, "1 2 2"]:
        """Return minus a half beside the diagonal."""
        if cases != 2:
            raise ValueError(f"A mechanism has one load at its input and one at its output, not {cases}.")
        return np.array([[[0.0, -0.5], [-0.5, 0.0]]])
