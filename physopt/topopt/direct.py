"""The direct solution of the finite-element equations: exact, and quick enough for small grids."""

import equinox as eqx
import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from jaxtyping import Bool, Float
from numpy import ndarray

from .element import at_corners


class Direct(eqx.Module):
    r"""Solve $K(E) u = f$, $K(E) = \sum_e E_e A_e^T K_0 A_e$, by SuperLU.

    **Arguments:**

    - `element`: $K_0$. `held`: the degrees of freedom held at zero, `(comp, *node)`.
    - `spring`: stiffness added to each degree of freedom, of the same shape.
    """

    element: Float[ndarray, "corner comp corner comp"]
    held: Bool[ndarray, "comp ..."]
    spring: Float[ndarray, "comp ..."] | None = None

    def matrix(self, young: Float[ndarray, "..."]) -> scipy.sparse.csc_array:
        """Return the stiffness of the free degrees of freedom, in their order in `held`."""
        free = ~self.held
        place = np.where(free, np.cumsum(free).reshape(free.shape) - 1, -1)
        width = 2**young.ndim * len(place)
        place = at_corners(place, young.ndim).reshape(width, -1).T
        rows, columns = (np.broadcast_to(p, (len(place), width, width)) for p in (place[:, :, None], place[:, None, :]))
        kept = (rows >= 0) & (columns >= 0)
        values = (young.reshape(-1, 1, 1) * self.element.reshape(width, width))[kept]
        matrix = scipy.sparse.csc_array((values, (rows[kept], columns[kept])), shape=(np.count_nonzero(free),) * 2)
        return matrix if self.spring is None else matrix + scipy.sparse.diags_array(self.spring[free], format="csc")

    def solve(self, young: Float[ndarray, "..."], loads: Float[ndarray, "case comp ..."]) -> Float[ndarray, "case comp ..."]:
        """Return the fields that answer the loads; `young` positive everywhere."""
        # Symmetric ordering and no pivoting: the matrix is positive definite, and this halves the time of SuperLU's defaults.
        factor = scipy.sparse.linalg.splu(
            self.matrix(young), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
        fields = np.zeros_like(loads)
        fields[:, ~self.held] = factor.solve(loads[:, ~self.held].T).T
        return fields
