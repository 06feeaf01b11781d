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
    def count(self, cases: int) -> int:
        """Return the number of functions for this many load cases; `ValueError` if that many make no sense."""

    @abc.abstractmethod
    def linearized(self, work: Float[ndarray, "case case"]) -> tuple[Float[ndarray, " k"], Float[ndarray, "k case case"]]:
        r"""Return the values $f_k(C)$, and their derivatives $\partial f_k / \partial C_{ij}$, symmetric."""


class AbstractLinear(AbstractObjective):
    r"""Functions that are linear in the work, $f_k = \sum_{ij} W^k_{ij} C_{ij}$."""

    @abc.abstractmethod
    def coefficients(self, cases: int) -> Float[ndarray, "k case case"]:
        r"""Return symmetric $W^k$ for this many load cases; `ValueError` if not possible."""

    def count(self, cases: int) -> int:
        """See `AbstractObjective.count`."""
        return len(self.coefficients(cases))

    def linearized(self, work: Float[ndarray, "case case"]) -> tuple[Float[ndarray, " k"], Float[ndarray, "k case case"]]:
        """See `AbstractObjective.linearized`."""
        coefficients = self.coefficients(len(work))
        return np.einsum("kij,ij->k", coefficients, work), coefficients


class MeanCompliance(AbstractLinear):
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


class WorstCompliance(AbstractLinear):
    """The largest compliance of any load case."""

    label: ClassVar[str] = "largest compliance"
    falling: ClassVar[bool] = True
    transferable: ClassVar[bool] = True

    def coefficients(self, cases: int) -> Float[ndarray, "case case case"]:
        """Return one diagonal entry for each case."""
        return np.einsum("ki,kj->kij", np.eye(cases), np.eye(cases))


class PowerMean(AbstractObjective):
    r"""The power mean of the compliances, $(\frac1n \sum_i c_i^p)^{1/p}$: near the largest for a high $p$, and one smooth function.

    So rules for one function serve, such as `MirrorDescent`, where `WorstCompliance` needs one for several. (The optimality criteria
    oscillate where one load dominates: use `MMA`.)

    **Arguments:** `power`: $p \ge 1$; 1 is the mean.

    ??? cite "Reference"
        Duysinx, Sigmund, AIAA-98-4906 (1998), for stresses.
    """

    power: float = 8.0
    label: ClassVar[str] = "power mean of compliances"
    falling: ClassVar[bool] = True
    transferable: ClassVar[bool] = True

    def __check_init__(self) -> None:
        if not 1.0 <= self.power <= 100.0:
            raise ValueError(f"PowerMean(power={self.power}): write a number from 1 to 100, such as 8.")

    def count(self, cases: int) -> int:
        """Return one."""
        return 1

    def linearized(self, work: Float[ndarray, "case case"]) -> tuple[Float[ndarray, "1"], Float[ndarray, "1 case case"]]:
        r"""Return the value, and $\frac1n (c_i / f)^{p - 1}$ on the diagonal."""
        compliances = np.diag(work)
        largest = compliances.max()
        value = largest * np.mean((compliances / largest) ** self.power) ** (1.0 / self.power)
        return np.array([value]), np.diag((compliances / value) ** (self.power - 1.0) / len(compliances))[None]


class Output(AbstractLinear):
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
