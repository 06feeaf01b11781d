"""The displacements of a structure in equilibrium with its loads."""

import warnings
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from .cost import available, by_multigrid, check_memory, directly
from .direct import Direct
from .element import at_corners, conducting_element, elastic_element
from .multigrid import Hierarchy, Multigrid, Solved
from .structure import Structure

DEAR = 50.0  # times the seconds of multigrid: a factorization is put off that takes longer than this
PATIENCE = 10  # times more that multigrid goes on, where a factorization is dear or does not fit into memory


class State(NamedTuple):
    """Displacements `(case, comp, *node)`, the most iterations of any case, and the largest relative residual; zeros for a direct solve."""

    fields: Float[ndarray, "case comp ..."]
    iterations: int
    residual: float


class Iterative:
    """Multigrid for host arrays: all load cases together, and the direct solver if it does not converge.

    **Arguments:**

    - `multigrid`, `direct`: for the same element and supports. `tolerance`: of the residual, relative to the load.

    `spent` counts the iterations of all solves.
    """

    def __init__(self, multigrid: Multigrid, direct: Direct, tolerance: float = 1e-6):
        self.multigrid, self.direct, self.tolerance = multigrid, direct, tolerance
        self.spent = 0
        self._hierarchy = jax.jit(multigrid.hierarchy)

        def solve(hierarchy: Hierarchy, load: Array, begin: Array | None, goal: Array) -> Solved:
            return multigrid.solve(hierarchy, load, begin, tolerance=goal)

        self._solve = jax.jit(jax.vmap(solve, in_axes=(None, 0, 0, None)))

    def solve(
        self,
        young: Float[ndarray, "..."],
        loads: Float[ndarray, "case comp ..."],
        start: Float[ndarray, "case comp ..."] | None = None,
        tolerance: float | None = None,
    ) -> State:
        """Return the displacements for the loads, from the starting guess `start` if given."""
        goal = self.tolerance if tolerance is None else tolerance
        factorized = directly(self.direct.held)
        fits = factorized.memory <= available()
        dear = not fits or factorized.seconds > DEAR * by_multigrid(self.direct.held, len(loads)).seconds
        with jax.enable_x64(True):
            hierarchy = self._hierarchy(jnp.asarray(young))
            begin = None if start is None else jnp.asarray(start)
            state = self._state(self._solve(hierarchy, jnp.asarray(loads), begin, jnp.asarray(goal)))
            for _ in range(PATIENCE if dear else 0):
                if state.residual > goal:
                    state = self._state(self._solve(hierarchy, jnp.asarray(loads), jnp.asarray(state.fields), jnp.asarray(goal)))
        if state.residual <= goal:
            return state
        missed = f"Multigrid stopped at a relative residual of {state.residual:.1e} instead of {goal:.1e}: the design may have parts"
        if not fits:
            warnings.warn(f"{missed} that nothing holds, and a direct solve does not fit into memory. Going on with it.", stacklevel=2)
            return state
        warnings.warn(f"{missed} that nothing holds. Solving directly, which takes longer.", stacklevel=2)
        return State(self.direct.solve(young, loads), state.iterations, 0.0)

    def _state(self, solved: Solved) -> State:
        state = State(np.asarray(solved.field), int(np.asarray(solved.iterations).max()), float(np.asarray(solved.residual).max()))
        self.spent += state.iterations
        return state


class Work(NamedTuple):
    r"""The work of the loads in equilibrium, $C_{ij} = F_i^T u_j$, and what its derivatives need.

    `fields` are the displacements at the corners of each element, `forces` the forces of the element with Young's modulus 1; both
    `(corner, comp, case, *element)`.
    """

    matrix: Float[ndarray, "case case"]
    fields: Float[ndarray, "corner comp case ..."]
    forces: Float[ndarray, "corner comp case ..."]

    def slopes(self, coefficients: Float[ndarray, "k case case"]) -> Float[ndarray, "k ..."]:
        r"""Return $\partial \sum_{ij} W^k_{ij} C_{ij} / \partial E_e$ for each modulus, $-\sum_{ij} W^k_{ij} u_{i,e}^T K_0 u_{j,e}$."""
        return -np.stack([np.einsum("abi...,ij,abj...->...", self.fields, c, self.forces, optimize=True) for c in coefficients])


class Equilibrium(eqx.Module):
    r"""Equilibrium $K(E) u = F$ with $K(E) = \sum_e E_e A_e^T K_0 A_e$, one modulus for each element; $K_0$ is `element`.

    A structure with one unknown for each node conducts heat: then $E$ is conductivity, $u$ temperature and $F$ heat.

    **Arguments:**

    - `structure`: the grid, its supports and loads. `poisson`: Poisson's ratio.
    - `iterative`: multigrid instead of a direct factorization; by default if `cost` expects multigrid to be quicker.

    **Raises:** `ValueError` if the solve would not fit into memory.
    """

    structure: Structure
    element: Float[ndarray, "corner comp corner comp"]
    direct: Direct = eqx.field(static=True)
    iterative: Iterative | None = eqx.field(static=True)

    def __init__(self, structure: Structure, poisson: float = 0.3, *, iterative: bool | None = None):
        self.structure = structure
        edges = (1.0,) * len(structure.shape)
        self.element = conducting_element(edges) if len(structure.held) == 1 else elastic_element(edges, poisson)
        self.direct = Direct(self.element, structure.held, structure.spring)
        direct, multigrid = directly(structure.held), by_multigrid(structure.held, len(structure.force))
        chosen = multigrid.seconds < direct.seconds if iterative is None else iterative
        check_memory((multigrid if chosen else direct).memory, structure.shape)
        self.iterative = Iterative(Multigrid(self.element, structure.held, structure.spring), self.direct) if chosen else None

    @property
    def halvings(self) -> int:
        """The number of times the grid is halved before the solve: none here, see `Averaged`."""
        return 0

    @property
    def unknowns(self) -> int:
        """The number of unknowns, those fixed at zero included."""
        return self.structure.held.size

    def state(self, young: Float[ndarray, "..."]) -> State:
        """Return the displacements of all load cases; `young` is one positive modulus for each element."""
        if self.iterative is None:
            return State(self.direct.solve(young, self.structure.force), 0, 0.0)
        return self.iterative.solve(young, self.structure.force)

    def answered(self, young: Float[ndarray, "..."], loads: Float[ndarray, "case comp ..."]) -> Float[ndarray, "case comp ..."]:
        """Return the displacements for other loads, with a residual a thousand times smaller than that of `state`."""
        if self.iterative is None:
            return self.direct.solve(young, loads)
        return self.iterative.solve(young, loads, tolerance=1e-3 * self.iterative.tolerance).fields

    def local(self, fields: Float[ndarray, "case comp ..."]) -> Float[ndarray, "corner comp case ..."]:
        """Return displacements at the corners of each element."""
        return np.moveaxis(at_corners(fields, fields.ndim - 2), 1, 2)

    def work(self, young: Float[ndarray, "..."]) -> Work:
        """Return the work of each load on the displacements of each other."""
        cases, fields = self.structure.force, self.state(young).fields
        local = self.local(fields)
        width = 2**young.ndim * len(self.structure.held)
        forces = (self.element.reshape(width, width) @ local.reshape(width, -1)).reshape(local.shape)
        flat = fields.reshape(len(cases), -1)
        stored = np.einsum("abie,abje->ij", *(part.reshape(*part.shape[:3], -1) for part in (local, young * forces)), optimize=True)
        if self.structure.spring is not None:
            stored += flat @ (self.structure.spring.ravel() * flat).T
        outer = cases.reshape(len(cases), -1) @ flat.T
        # The error of an unconverged solve enters this combination squared.
        return Work(outer + outer.T - stored, local, forces)
