"""Models that are affine in the data they were made from, so that past answers can be extrapolated."""

import abc
from collections.abc import Sequence

import equinox as eqx
import numpy as np
import scipy.linalg
from jaxtyping import Float, PyTree
from numpy import ndarray

from .problem import AbstractModel, Endpoint
from .tree import Scalar


class Descended(eqx.Module):
    """The end of a descent path on a model, its length in units of the tangent, and the change of the model's value along it."""

    end: Endpoint
    length: float
    change: float


class AbstractAnchored(AbstractModel):
    r"""A model made from an anchor $(x_0, g_0)$ of an ambient linear space: $\nabla m(x) = g_0 + G(x - x_0)$.

    Points live on a curved set, anchors in the flat space around it (density matrices and Fock matrices), where
    $\sum_k c_k (x_k, g_k)$ with $\sum_k c_k = 1$ is an anchor again. Extrapolation methods (DIIS) are choices of $c$; the
    response $G$ may be anything, zero included: at the fixed point the anchor is the point and $G$ drops out.
    """

    anchor: eqx.AbstractVar[PyTree]

    @abc.abstractmethod
    def believed(self) -> bool:
        """Say whether the response agrees well enough with the exact answers to be used; without it the steps are the classical ones."""

    @abc.abstractmethod
    def error(self) -> Float[ndarray, " e"]:
        """Return the residual at the anchor, in a frame that does not move with the point; zero at a stationary point."""

    @abc.abstractmethod
    def pairing(self, first: PyTree, second: PyTree) -> float:
        r"""Return $\langle x_1, g_2 \rangle$ of two anchors, in the problem's unit."""

    @abc.abstractmethod
    def moved(self, anchor: PyTree) -> "AbstractAnchored":
        """Return the same model at another anchor."""

    @abc.abstractmethod
    def taught(self, anchors: Sequence[PyTree]) -> "AbstractAnchored":
        r"""Return the model with $G$ changed least so that $G (x_k - x_0) = g_k - g_0$ for other exact anchors, newest last."""

    @abc.abstractmethod
    def target(
        self,
        *,
        accuracy: float = 0.0,
        respond: bool = True,
        shift: float | Float[ndarray, " spin"] = 0.0,
        about: PyTree | None = None,
    ) -> Endpoint:
        r"""Return the point where the model is stationary, found directly.

        **Arguments:**

        - `accuracy`: stop when the model's own residual norm is below this.
        - `respond`: with the response $G$; without it the gradient is frozen at $g_0$ (the classical fixed-point step).
        - `shift`: level shift: raise what the anchor `about` leaves empty by this much, in units of $g$ (one number, or one
          for each spin).
        """

    @abc.abstractmethod
    def descend(self, radius: Scalar) -> Descended:
        """Return a lower point of the model on a curved path of length at most `radius`; the minimum if it is within that length."""


def least_residual(errors: Float[ndarray, "k e"], floor: float = 1e-14) -> Float[ndarray, " k"]:
    r"""Return $c$ that minimizes $|\sum_k c_k e_k|$ subject to $\sum_k c_k = 1$.

    **Arguments:** `floor`: directions of the normal equations with smaller eigenvalues are left out, by default as in PySCF. For residuals
    that are small themselves take 0: then only rounding is left out.

    ??? cite "Reference"
        Pulay, J. Comput. Chem. 3 (1982) 556, eqs. (5)-(7).
    """
    count = len(errors)
    matrix = np.ones((count + 1, count + 1))
    matrix[0, 0] = 0.0
    matrix[1:, 1:] = errors @ errors.T
    w, v = scipy.linalg.eigh(matrix)
    kept = abs(w) > max(floor, float(np.finfo(float).eps * abs(w).max()))
    return ((v[:, kept] / w[kept]) @ v[0, kept])[1:]
