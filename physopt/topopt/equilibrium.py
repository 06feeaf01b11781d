"""The state of a structure: displacements in equilibrium with its loads."""

import warnings
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from .direct import Direct
from .element import at_corners, elastic_element
from .multigrid import Hierarchy, Multigrid, Solved
from .structure import Structure

LARGE = 20_000  # unknowns: from here on multigrid is quicker than a direct solver


class State(NamedTuple):
    """Displacements `(case, comp, *node)`, the most iterations of any case, and the largest relative residual; zeros if solved directly."""

    fields: Float[ndarray, "case comp ..."]
    iterations: int
    residual: float


class Iterative:
    """Multigrid on the host's terms: all load cases together, and the direct solver where it does not converge.

    **Arguments:**

    - `multigrid`, `direct`: for the same element and supports. `tolerance`: of the residual, relative to the load.
    """

    def __init__(self, multigrid: Multigrid, direct: Direct, tolerance: float = 1e-6):
        self.multigrid, self.direct, self.tolerance = multigrid, direct, tolerance
        self._hierarchy = jax.jit(multigrid.hierarchy)

        def solve(hierarchy: Hierarchy, load: Array, begin: Array, goal: Array) -> Solved:
            return multigrid.solve(hierarchy, load, begin, tolerance=goal)

        self._solve = jax.jit(jax.vmap(solve, in_axes=(None, 0, 0, None)))

    def solve(
        self,
        young: Float[ndarray, "..."],
        loads: Float[ndarray, "case comp ..."],
        start: Float[ndarray, "case comp ..."] | None = None,
        tolerance: float | None = None,
    ) -> State:
        """Return the fields that answer the loads, from `start` if given."""
        with jax.enable_x64(True):
            hierarchy = self._hierarchy(jnp.asarray(young))
            begin = jnp.zeros(loads.shape) if start is None else jnp.asarray(start)
            goal = self.tolerance if tolerance is None else tolerance
            solved = self._solve(hierarchy, jnp.asarray(loads), begin, jnp.asarray(goal))
        residual = float(np.max(solved.residual))
        if residual <= goal:
            return State(np.asarray(solved.field), int(np.max(solved.iterations)), residual)
        warnings.warn(
            f"Multigrid stopped at a relative residual of {residual:.1e} instead of {goal:.1e}: the design may have parts that "
            "nothing holds. Solving directly, which takes longer.",
            stacklevel=2,
        )
        return State(self.direct.solve(young, loads), int(np.max(solved.iterations)), 0.0)


class Elasticity(eqx.Module):
    r"""Equilibrium $K(E) u = F$ with $K(E) = \sum_e E_e A_e^T K_0 A_e$, one Young's modulus for each element; $K_0$ is `element`.

    **Arguments:**

    - `structure`: the grid, its supports and loads. `poisson`: Poisson's ratio.
    - `iterative`: by multigrid instead of a direct factorization; by default from 20000 unknowns on.
    """

    structure: Structure
    element: Float[ndarray, "corner comp corner comp"]
    direct: Direct
    iterative: Iterative | None = eqx.field(static=True)

    def __init__(self, structure: Structure, poisson: float = 0.3, *, iterative: bool | None = None):
        self.structure = structure
        self.element = elastic_element((1.0,) * len(structure.shape), poisson)
        self.direct = Direct(self.element, structure.held)
        chosen = structure.held.size >= LARGE if iterative is None else iterative
        self.iterative = Iterative(Multigrid(self.element, structure.held), self.direct) if chosen else None

    def state(self, young: Float[ndarray, "..."]) -> State:
        """Return the displacements of all load cases; `young` positive, one modulus for each element."""
        if self.iterative is None:
            return State(self.direct.solve(young, self.structure.force), 0, 0.0)
        return self.iterative.solve(young, self.structure.force)

    def energies(self, young: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        r"""Return $u_e^T K_0 u_e$ of every element in equilibrium, averaged over the load cases.

        $\sum_e E_e u_e^T K_0 u_e$ is the compliance, the mean of $F^T u$.
        """
        fields = self.state(young).fields
        local = at_corners(fields, young.ndim)  # (corner, case, comp, *element)
        return np.einsum("aci...,aibj,bcj...->...", local, self.element, local, optimize=True) / len(fields)
