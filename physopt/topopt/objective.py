r"""Objectives, as functions of the work $C_{ij} = F_i^T K^{-1} F_j$ of each load on the displacements of each other."""

import abc

import equinox as eqx
import numpy as np
from jaxtyping import Float
from numpy import ndarray


class AbstractObjective(eqx.Module):
    """Functions of the matrix of work; the largest of them is minimized."""

    @abc.abstractmethod
    def coefficients(self, cases: int) -> Float[ndarray, "k case case"]:
        r"""Return symmetric $W^k$ with $f_k = \sum_{ij} W^k_{ij} C_{ij}$, for this many load cases; `ValueError` if not possible."""


class MeanCompliance(AbstractObjective):
    """The weighted mean of the compliances of all load cases; equal weights by default."""

    weights: tuple[float, ...] | None = None

    def coefficients(self, cases: int) -> Float[ndarray, "1 case case"]:
        """Return the weights, of sum one, on the diagonal."""
        weights = np.ones(cases) if self.weights is None else np.array(self.weights)
        if len(weights) != cases or not (np.isfinite(weights).all() and weights.min() > 0.0):
            raise ValueError(f"The weights {self.weights} do not suit {cases} load cases; give each a number above 0.")
        return np.diag(weights / weights.sum())[None]


class WorstCompliance(AbstractObjective):
    """The largest compliance of any load case."""

    def coefficients(self, cases: int) -> Float[ndarray, "case case case"]:
        """Return one diagonal entry for each case."""
        return np.einsum("ki,kj->kij", np.eye(cases), np.eye(cases))


class Output(AbstractObjective):
    """Minus the displacement that the first load causes along the second: the output of a compliant mechanism."""

    def coefficients(self, cases: int) -> Float[ndarray, "1 2 2"]:
        """Return minus a half beside the diagonal."""
        if cases != 2:
            raise ValueError(f"A mechanism has one load at its input and one at its output, not {cases}.")
        return np.array([[[0.0, -0.5], [-0.5, 0.0]]])
