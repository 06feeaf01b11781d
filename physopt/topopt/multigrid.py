"""Geometric multigrid as the preconditioner of conjugate gradients, matrix-free on the fine grid. Traceable, any dimension."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from .element import at_corners
from .layers import Factor, eliminate, substitute, width
from .stencil import (
    Halved,
    Stencil,
    apply_elements,
    apply_stencil,
    child_interpolation,
    children,
    element_diagonal,
    gather,
    half_elements,
    half_matrices,
    interpolate,
    stencil_of,
)

Apply = Callable[[Array], Array]


class Level(NamedTuple):
    """One grid: its stencil (none on the finest), and the inverse of its diagonal, scaled to a largest eigenvalue of one."""

    stencil: Stencil | None
    inverse: Array

    def relax(self, residual: Array) -> Array:
        """Return the smoother's correction for a residual on this grid."""
        return self.inverse * residual


class Hierarchy(NamedTuple):
    """All grids of one design: the moduli on the finest, the grids from fine to coarse, and the coarsest one factorized."""

    young: Array
    levels: list[Level]
    coarsest: Factor


class Solved(NamedTuple):
    """A field, the iterations it took, and the norm of the final residual relative to the load's."""

    field: Array
    iterations: Array
    residual: Array


class Multigrid:
    r"""Solve $K(E) u = f$ on a grid of elements, for any contrast of the moduli.

    Conjugate gradients in float64; the preconditioner is one V-cycle in float32 with Chebyshev-Jacobi smoothing. Coarse operators are
    Galerkin products $P^T K P$, small matrices of coarse elements, so that thin members survive on coarse grids; supports are part of
    them exactly. A side is halved while more than two elements are left; of a thin plate only the long sides are halved. If a side is not a
    multiple of a power of two, elements without stiffness are added.

    **Arguments:**

    - `element`: $K_0$. `held`: the degrees of freedom fixed at zero, `(comp, *node)`.
    - `spring`: stiffness added to each degree of freedom, of the same shape; coarse grids go without.
    - `degree`: of the smoother.
    - `coarsest`, `layer`: a grid with at most `coarsest` unknowns is not halved further, nor one with at most `layer` unknowns in a layer
      across its longest side while another side has two elements at most. It is solved directly.

    ??? cite "Reference"
        Briggs, Henson, McCormick, *A Multigrid Tutorial*, 2nd ed. (2000); Adams, Brezina, Hu, Tuminaro, J. Comput. Phys. 188 (2003) 593.
    """

    def __init__(
        self,
        element: Float[ndarray, "corner comp corner comp"],
        held: Bool[ndarray, "comp ..."],
        spring: Float[ndarray, "comp ..."] | None = None,
        *,
        degree: int = 3,
        coarsest: int = 1500,
        layer: int = 200,
    ):
        self.element, self._chebyshev = element, _chebyshev(degree)
        self.shape = tuple(n - 1 for n in held.shape[1:])
        self.steps, sides = _steps(self.shape, element.shape[1], coarsest, layer)
        times = [sum(step[axis] for step in self.steps) for axis in range(len(self.shape))]
        padded = tuple(n << k for n, k in zip(sides, times, strict=True))
        self._margin = [(0, q - n) for n, q in zip(self.shape, padded, strict=True)]
        inside = tuple(slice(0, n + 1) for n in self.shape)
        self._free = np.zeros((len(held), *(n + 1 for n in padded)), bool)
        self._free[:, *inside] = ~held
        self._spring = np.zeros(self._free.shape)
        self._spring[:, *inside] = 0.0 if spring is None else spring
        self._inside = (slice(None), *inside)
        self._touching, self._shares = self._at_supports(padded)

    def hierarchy(self, young: Float[Array, "..."]) -> Hierarchy:
        """Return all grids of one design."""
        fine = jnp.pad(young, self._margin)
        low = fine.astype(jnp.float32)
        diagonal = element_diagonal(self.element, low) + jnp.asarray(self._spring, low.dtype)
        levels = [_level(None, diagonal, self._operator(low))]
        if not self.steps:
            return Hierarchy(fine, [], eliminate(self._only(low)))
        matrices = self._first_coarse(low)
        for step in self.steps[1:]:
            stencil, diagonal = _alive(stencil_of(matrices))
            levels.append(_level(stencil, diagonal, functools.partial(apply_stencil, stencil)))
            matrices = half_matrices(matrices, step)
        return Hierarchy(fine, levels, eliminate(_alive(stencil_of(matrices))[0]))

    def solve(
        self,
        hierarchy: Hierarchy,
        load: Float[Array, "comp ..."],
        start: Float[Array, "comp ..."] | None = None,
        *,
        tolerance: float | Array = 1e-6,
        max_iterations: int = 200,
    ) -> Solved:
        r"""Solve for one load until $|K u - f| \le$ `tolerance` $|f|$, from `start` (zero by default); both shaped `(comp, *node)`."""
        free = jnp.asarray(self._free, jnp.float64)
        wide = functools.partial(jnp.pad, pad_width=[(0, 0), *self._margin])
        load = free * wide(load)
        x = jnp.zeros_like(load) if start is None else free * wide(start)
        operate = self._operator(hierarchy.young)

        def precondition(residual: Array, norm: Array) -> Array:
            # Scaled to one: single precision has a narrow range.
            scale = jnp.where(norm > 0.0, norm, 1.0)
            return scale * self._cycle(hierarchy, (residual / scale).astype(jnp.float32)).astype(jnp.float64)

        def advance(carry: tuple[Array, ...]) -> tuple[Array, ...]:
            count, x, residual, norm, change, direction, weight = carry
            rest = precondition(residual, norm)
            # Polak-Ribiere: a preconditioner in single precision is not quite symmetric.
            direction = rest + (jnp.vdot(rest, change) / weight) * direction
            weight = jnp.vdot(residual, rest)
            image = operate(direction)
            length = weight / jnp.vdot(direction, image)
            new = residual - length * image
            return count + 1, x + length * direction, new, _norm(new), new - residual, direction, weight

        goal = tolerance * _norm(load)
        residual = load if start is None else load - operate(x)
        carry = (jnp.asarray(0), x, residual, _norm(residual), residual, jnp.zeros_like(x), jnp.asarray(jnp.inf))
        carry = lax.while_loop(lambda c: (c[3] > goal) & (c[0] < max_iterations), advance, carry)
        return Solved(carry[1][self._inside], carry[0], carry[3] / _norm(load))

    def _operator(self, young: Float[Array, "..."]) -> Apply:
        """Return the fine grid's operator on fields that vanish where they are held, in the precision of the moduli."""
        free = jnp.asarray(self._free, young.dtype)
        if not self._spring.any():
            return lambda field: free * apply_elements(self.element, young, field)
        spring = jnp.asarray(self._spring, young.dtype)
        return lambda field: free * (apply_elements(self.element, young, field) + spring * field)

    def _only(self, young: Float[Array, "..."]) -> Stencil:
        """Return the stencil of a grid that is not halved: with its springs, and ones on the diagonal of what is held."""
        free = jnp.asarray(at_corners(self._free, young.ndim), young.dtype)
        element = jnp.asarray(self.element, young.dtype).reshape(self.element.shape + (1,) * young.ndim)
        stencil = stencil_of(young * element * free[:, :, None, None] * free)
        for comp, spring in enumerate(self._free * self._spring):
            stencil = stencil.at[0, comp, comp].add(jnp.asarray(spring, young.dtype))
        return _alive(stencil)[0]

    def _first_coarse(self, young: Float[Array, "..."]) -> Array:
        touching = tuple(self._touching.T)
        # What is held is left out, not taken off again: the difference of large numbers would drown void's in single precision.
        matrices = half_elements(self.element, young.at[touching].set(0.0), self.steps[0])
        shares = young[touching][:, None, None, None, None] * jnp.asarray(self._shares, young.dtype)
        parents = tuple(index // 2 if half else index for index, half in zip(touching, self.steps[0], strict=True))
        return matrices.at[(slice(None),) * 4 + parents].add(jnp.moveaxis(shares, 0, -1))

    def _at_supports(self, padded: tuple[int, ...]) -> tuple[ndarray, ndarray]:
        """Return the elements at supports, and the part of each in its parent's matrix."""
        free = at_corners(self._free, len(padded))  # (corner, comp, *element)
        real = np.zeros(padded, bool)
        real[tuple(slice(0, n) for n in self.shape)] = True
        touching = np.argwhere(real & ~free.all(axis=(0, 1)))
        kept = np.moveaxis(free[:, :, *touching.T], -1, 0).astype(float)
        stiffness = np.einsum("kai,aibj,kbj->kaibj", kept, self.element, kept)
        shares = np.zeros_like(stiffness)
        halved = self.steps[0] if self.steps else (True,) * len(padded)
        for child in children(halved):
            share = child_interpolation(child, halved)
            mine = (touching % np.where(halved, 2, 1) == child).all(axis=1)
            shares[mine] = np.einsum("bB,kbidj,dD->kBiDj", share, stiffness[mine], share, optimize=True)
        return touching, shares

    def _cycle(self, hierarchy: Hierarchy, load: Array, depth: int = 0) -> Array:
        if depth == len(hierarchy.levels):
            return substitute(hierarchy.coarsest, load)
        level = hierarchy.levels[depth]
        if level.stencil is None:
            apply, free = self._operator(hierarchy.young.astype(load.dtype)), jnp.asarray(self._free, load.dtype)
        else:
            apply, free = functools.partial(apply_stencil, level.stencil), 1.0
        halved, factors = self.steps[depth], self._chebyshev
        smoothed, residual, _ = _relax(level, apply, load, float(factors[0, 1]) * level.relax(load), [*factors[1:], (0.0, 0.0)])
        step = free * interpolate(self._cycle(hierarchy, gather(residual, halved), depth + 1), halved)
        corrected, _, step = _relax(level, apply, residual, step, factors)
        return smoothed + corrected + step


def _steps(shape: tuple[int, ...], comp: int, coarsest: int, layer: int) -> tuple[list[Halved], tuple[int, ...]]:
    """Return along which axes each grid is halved, and the sides of the coarsest."""
    steps: list[Halved] = []
    while comp * np.prod([n + 1 for n in shape]) > coarsest and (min(shape) > 2 or width(shape, comp) > layer):
        steps.append(tuple(n > 2 for n in shape))
        shape = tuple(-(-n // 2) if half else n for n, half in zip(shape, steps[-1], strict=True))
    return steps, shape


def _alive(stencil: Stencil) -> tuple[Stencil, Array]:
    """Return a stencil with ones on the diagonal of unknowns that no element is stiff against, and its diagonal."""
    diagonal = jnp.stack([stencil[0, i, i] for i in range(stencil.shape[1])])
    dead = jnp.where(diagonal > 0.0, 0.0, 1.0).astype(diagonal.dtype)
    ones = dead[:, None] * jnp.eye(len(dead), dtype=dead.dtype).reshape(len(dead), len(dead), *(1,) * (dead.ndim - 1))
    return stencil.at[0].add(ones), diagonal + dead


def _level(stencil: Stencil | None, diagonal: Array, apply: Apply) -> Level:
    """Return a grid with the largest eigenvalue of its scaled operator, by power iteration, and a margin."""
    inverse = jnp.where(diagonal > 0.0, 1.0 / jnp.where(diagonal > 0.0, diagonal, 1.0), 0.0)

    def power(_: Array | int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        image = inverse * apply(carry[0])
        return image / _norm(image), _norm(image)

    # Numbers without order, all frequencies in them; a random generator would take longer to compile than all the rest.
    count = jnp.arange(inverse.size, dtype=jnp.uint32).reshape(inverse.shape)
    vector = (count * count * jnp.uint32(2654435761)).astype(inverse.dtype) / 2.0**32 - 0.5
    bound = lax.fori_loop(0, 10, power, (vector / _norm(vector), jnp.ones((), inverse.dtype)))[1]
    return Level(stencil, inverse / (1.1 * bound))


def _relax(level: Level, apply: Apply, residual: Array, step: Array, factors: ArrayLike) -> tuple[Array, Array, Array]:
    """Take a step and all that follow it but the last one; return the sum, the residual that it leaves, and the last step.

    Each step is a factor times the one before, and another times what the smoother makes of the residual.
    """

    def take(carry: tuple[Array, Array, Array], factor: Array) -> tuple[tuple[Array, Array, Array], None]:
        field, residual, step = carry
        residual -= apply(step)
        return (field + step, residual, factor[0] * step + factor[1] * level.relax(residual)), None

    # A loop, because what is written out here takes long to compile in three dimensions.
    return lax.scan(take, (jnp.zeros_like(step), residual, step), jnp.asarray(factors, step.dtype))[0]


def _chebyshev(degree: int) -> Float[ndarray, "degree 2"]:
    """Return the factors of a step for the one before and for the scaled residual, for eigenvalues between 1/8 and 1."""
    centre, half = 0.5 * (1.0 + 1.0 / 8.0), 0.5 * (1.0 - 1.0 / 8.0)
    factors, last = [(0.0, 1.0 / centre)], half / centre
    for _ in range(degree - 1):
        now = 1.0 / (2.0 * centre / half - last)
        factors, last = [*factors, (now * last, 2.0 * now / half)], now
    return np.array(factors)


def _norm(field: Array) -> Array:
    return jnp.sqrt(jnp.vdot(field, field))
