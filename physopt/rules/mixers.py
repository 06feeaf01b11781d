"""How past answers are combined: the coefficients of DIIS, ADIIS, EDIIS and their blend."""

import abc
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import numpy as np
import scipy.optimize
from jaxtyping import Float
from numpy import ndarray

from physopt.core.anchored import least_residual


class AbstractMixer(eqx.Module):
    """Chooses coefficients that sum to one for the past anchors, oldest first.

    - `pairs`: does it read `pairings`? They cost a matrix product each, so they are computed on demand only.
    """

    pairs: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def coefficients(
        self, errors: Float[ndarray, "k e"], values: Float[ndarray, " k"], pairings: Float[ndarray, "k k"] | None
    ) -> Float[ndarray, " k"]:
        r"""Return $c$ with $\sum_k c_k = 1$.

        **Arguments:**

        - `errors`: residuals $e_k$. `values`: $f_k$. `pairings`: $\langle x_i, g_j \rangle$, both in the problem's unit;
          `None` for a mixer that does not read them.
        """


class Commutator(AbstractMixer):
    r"""Minimize $|\sum_k c_k e_k|$ subject to $\sum_k c_k = 1$ (CDIIS), see `least_residual`.

    ??? cite "Reference"
        Pulay, J. Comput. Chem. 3 (1982) 556, eqs. (5)-(7).
    """

    pairs: ClassVar[bool] = False

    def coefficients(
        self, errors: Float[ndarray, "k e"], values: Float[ndarray, " k"], pairings: Float[ndarray, "k k"] | None
    ) -> Float[ndarray, " k"]:
        """See `AbstractMixer.coefficients`."""
        return least_residual(errors)


class EnergyInterpolation(AbstractMixer):
    r"""Minimize $\sum_k c_k f_k - \tfrac14 \sum_{ij} c_i c_j \langle x_i - x_j, g_i - g_j \rangle$ over $c \ge 0$ (EDIIS).

    Exact for a quadratic $f$, such as the Hartree-Fock energy of a density matrix.

    ??? cite "Reference"
        Kudin, Scuseria, Cances, J. Chem. Phys. 116 (2002) 8255, eq. (8).
    """

    pairs: ClassVar[bool] = True

    def coefficients(
        self, errors: Float[ndarray, "k e"], values: Float[ndarray, " k"], pairings: Float[ndarray, "k k"] | None
    ) -> Float[ndarray, " k"]:
        """See `AbstractMixer.coefficients`."""
        assert pairings is not None
        diagonal = np.diag(pairings)
        gaps = diagonal[:, None] + diagonal - pairings - pairings.T
        return minimize_on_simplex(lambda c: float(c @ values - 0.25 * c @ gaps @ c), lambda c: values - 0.5 * gaps @ c, len(values))


class AugmentedRoothaanHall(AbstractMixer):
    r"""Minimize $f_n + \langle \Delta, g_n \rangle + \tfrac12 \langle \Delta, \Gamma \rangle$ over $c \ge 0$ (ADIIS).

    $\Delta = \sum_k c_k (x_k - x_n)$ and $\Gamma = \sum_k c_k (g_k - g_n)$ are taken from the newest anchor $n$.

    ??? cite "Reference"
        Hu, Yang, J. Chem. Phys. 132 (2010) 054109, eq. (9).
    """

    pairs: ClassVar[bool] = True

    def coefficients(
        self, errors: Float[ndarray, "k e"], values: Float[ndarray, " k"], pairings: Float[ndarray, "k k"] | None
    ) -> Float[ndarray, " k"]:
        """See `AbstractMixer.coefficients`."""
        assert pairings is not None
        linear = pairings[:, -1] - pairings[-1, -1]
        square = pairings - pairings[:, -1:] - pairings[-1] + pairings[-1, -1]
        square = 0.5 * (square + square.T)
        return minimize_on_simplex(lambda c: float(c @ linear + 0.5 * c @ square @ c), lambda c: linear + square @ c, len(values))


class Blend(AbstractMixer):
    r"""Change from `far` to `near` as the largest residual $e$ falls: $c = t\, c_\mathrm{far} + (1 - t)\, c_\mathrm{near}$.

    $t = 1$ above `upper`, $t = 0$ below `lower`, $t = e / \text{upper}$ between. An error 10 % above the lowest so far goes back
    to `far`.

    ??? cite "Reference"
        Garza, Scuseria, J. Chem. Phys. 137 (2012) 054110, section II.
    """

    pairs: ClassVar[bool] = True

    far: AbstractMixer = AugmentedRoothaanHall()
    near: AbstractMixer = Commutator()
    upper: float = 1e-1
    lower: float = 1e-4

    def coefficients(
        self, errors: Float[ndarray, "k e"], values: Float[ndarray, " k"], pairings: Float[ndarray, "k k"] | None
    ) -> Float[ndarray, " k"]:
        """See `AbstractMixer.coefficients`."""
        largest = abs(errors).max(axis=1)
        newest = largest[-1]
        weight = 0.0 if newest < self.lower else min(1.0, newest / self.upper)
        if newest > self.lower and newest > 1.1 * largest.min():
            weight = 1.0
        result = np.zeros(len(values))
        if weight < 1.0:
            result += (1.0 - weight) * self.near.coefficients(errors, values, pairings)
        if weight > 0.0:
            result += weight * self.far.coefficients(errors, values, pairings)
        return result


def minimize_on_simplex(function: Callable[[ndarray], float], gradient: Callable[[ndarray], ndarray], size: int) -> Float[ndarray, " k"]:
    """Minimize a smooth function over non-negative weights that sum to one, from the uniform point and the newest vertex."""
    starts = [np.full(size, 1.0 / size), np.eye(size)[-1]]
    scale = max(abs(gradient(starts[0])).max(), 1e-300)
    sums_to_one = {"type": "eq", "fun": lambda c: c.sum() - 1.0, "jac": lambda c: np.ones(size)}
    found = [
        scipy.optimize.minimize(
            lambda c: function(c) / scale,
            start,
            jac=lambda c: gradient(c) / scale,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * size,
            constraints=[sums_to_one],
            options={"ftol": 1e-14, "maxiter": 200},
        ).x
        for start in starts
    ]
    candidates = [c / c.sum() for c in (np.clip(x, 0.0, 1.0) for x in found)] + list(np.eye(size))
    return min(candidates, key=function)
