"""Geometric multigrid as the preconditioner of conjugate gradients, matrix-free on the fine grid. Traceable, any dimension."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float
from numpy import ndarray

from .element import at_corners, corners
from .stencil import (
    Stencil,
    apply_elements,
    apply_stencil,
    child_interpolation,
    element_diagonal,
    gather,
    half_elements,
    half_matrices,
    interpolate,
    stencil_of,
)

Apply = Callable[[Array], Array]


class Level(NamedTuple):
    """One grid: its stencil (none on the finest), the inverse of its diagonal, a bound of the eigenvalues of the scaled operator."""

    stencil: Stencil | None
    inverse: Array
    bound: Array


class Hierarchy(NamedTuple):
    """All grids of one design: the moduli on the finest, the grids from fine to coarse, and the coarsest's Cholesky factor."""

    young: Array
    levels: list[Level]
    coarsest: Array


class Solved(NamedTuple):
    """A field, the iterations it took, and the norm of the residual that is left, relative to the load's."""

    field: Array
    iterations: Array
    residual: Array


class Multigrid:
    r"""Solve $K(E) u = f$ on a grid of elements, whatever the contrast of the moduli.

    Conjugate gradients in float64; the preconditioner is one V-cycle in float32 with Chebyshev-Jacobi smoothing. Coarse operators are
    Galerkin products $P^T K P$, small matrices of coarse elements, so that thin members survive on coarse grids; supports are part of
    them exactly. Where a side is no multiple of a power of two, elements without stiffness are added.

    **Arguments:**

    - `element`: $K_0$. `held`: the degrees of freedom held at zero, `(comp, *node)`.
    - `spring`: stiffness added to each degree of freedom, of the same shape; coarse grids go without.
    - `degree`: of the smoother. `coarsest`: unknowns that are solved directly.

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
    ):
        self.element, self.degree = element, degree
        self.shape = tuple(n - 1 for n in held.shape[1:])
        self.depth, padded = _depth(self.shape, element.shape[1], coarsest)
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
        free, fine_apply = jnp.asarray(self._free, low.dtype), self._operator(low)
        diagonal = element_diagonal(self.element, low) + jnp.asarray(self._spring, low.dtype)
        levels = [_level(None, diagonal, fine_apply)]

        def alone(field: Array) -> Array:
            return fine_apply(free * field) + (1.0 - free) * field  # one grid only: solved directly, held unknowns included

        apply: Apply = alone
        matrices = self._first_coarse(low) if self.depth else None
        while matrices is not None:
            stencil, diagonal = _alive(stencil_of(matrices))
            apply = functools.partial(apply_stencil, stencil)
            levels.append(_level(stencil, diagonal, apply))
            matrices = half_matrices(matrices) if len(levels) <= self.depth else None
        shape = levels.pop().inverse.shape
        columns = jax.vmap(lambda unit: apply(unit.reshape(shape)).ravel())(jnp.eye(np.prod(shape), dtype=jnp.float32))
        dense = 0.5 * (columns + columns.T).astype(jnp.float64)
        # Rounding on the way here must not turn the energy of a floating island negative.
        dense += 1e-7 * jnp.diag(jnp.diag(dense))
        return Hierarchy(fine, levels, jax.scipy.linalg.cho_factor(dense)[0])

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
        residual = load - operate(x)
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

    def _first_coarse(self, young: Float[Array, "..."]) -> Array:
        touching = tuple(self._touching.T)
        # What is held is left out, not taken off again: the difference of large numbers would drown void's in single precision.
        matrices = half_elements(self.element, young.at[touching].set(0.0))
        shares = young[touching][:, None, None, None, None] * jnp.asarray(self._shares, young.dtype)
        parents = tuple(index // 2 for index in touching)
        return matrices.at[(slice(None),) * 4 + parents].add(jnp.moveaxis(shares, 0, -1))

    def _at_supports(self, padded: tuple[int, ...]) -> tuple[ndarray, ndarray]:
        """Return the elements at supports, and the share of each in its parent's matrix."""
        free = at_corners(self._free, len(padded))  # (corner, comp, *element)
        real = np.zeros(padded, bool)
        real[tuple(slice(0, n) for n in self.shape)] = True
        touching = np.argwhere(real & ~free.all(axis=(0, 1)))
        kept = np.moveaxis(free[:, :, *touching.T], -1, 0).astype(float)
        stiffness = np.einsum("kai,aibj,kbj->kaibj", kept, self.element, kept)
        shares = np.zeros_like(stiffness)
        for child in corners(len(padded)):
            share, mine = child_interpolation(child), (touching % 2 == child).all(axis=1)
            shares[mine] = np.einsum("bB,kbidj,dD->kBiDj", share, stiffness[mine], share, optimize=True)
        return touching, shares

    def _cycle(self, hierarchy: Hierarchy, load: Array, depth: int = 0) -> Array:
        if depth == len(hierarchy.levels):
            solved = jax.scipy.linalg.cho_solve((hierarchy.coarsest, False), load.ravel().astype(jnp.float64))
            return solved.astype(load.dtype).reshape(load.shape)
        level = hierarchy.levels[depth]
        if level.stencil is None:
            apply, free = self._operator(hierarchy.young.astype(load.dtype)), jnp.asarray(self._free, load.dtype)
        else:
            apply, free = functools.partial(apply_stencil, level.stencil), 1.0
        field = _smooth(level, apply, load, None, self.degree)
        field += free * interpolate(self._cycle(hierarchy, gather(load - apply(field)), depth + 1))
        return _smooth(level, apply, load, field, self.degree)


def _depth(shape: tuple[int, ...], comp: int, coarsest: int) -> tuple[int, tuple[int, ...]]:
    """Return how often a grid is halved, and its sides made multiples of that power of two."""
    depth, padded = 0, shape
    while comp * np.prod([n // 2**depth + 1 for n in padded]) > coarsest and min(n // 2**depth for n in padded) > 2:
        depth += 1
        padded = tuple(-(-n // 2**depth) * 2**depth for n in shape)
    return depth, padded


def _alive(stencil: Stencil) -> tuple[Stencil, Array]:
    """Return a stencil with ones on the diagonal of unknowns that no element is stiff against, and its diagonal."""
    centre = next(offset for offset in stencil if not any(offset))
    comp = stencil[centre].shape[0]
    diagonal = jnp.stack([stencil[centre][i, i] for i in range(comp)])
    dead = jnp.where(diagonal > 0.0, 0.0, 1.0).astype(diagonal.dtype)
    ones = dead[:, None] * jnp.eye(comp, dtype=dead.dtype).reshape(comp, comp, *(1,) * (dead.ndim - 1))
    return {**stencil, centre: stencil[centre] + ones}, diagonal + dead


def _level(stencil: Stencil | None, diagonal: Array, apply: Apply) -> Level:
    """Return a grid with the largest eigenvalue of its scaled operator, by power iteration, and a margin."""
    inverse = jnp.where(diagonal > 0.0, 1.0 / jnp.where(diagonal > 0.0, diagonal, 1.0), 0.0)

    def power(_: Array | int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        image = inverse * apply(carry[0])
        return image / _norm(image), _norm(image)

    vector = jax.random.normal(jax.random.key(0), inverse.shape, inverse.dtype)
    bound = lax.fori_loop(0, 10, power, (vector / _norm(vector), jnp.ones((), inverse.dtype)))[1]
    return Level(stencil, inverse, 1.1 * bound)


def _smooth(level: Level, apply: Apply, load: Array, field: Array | None, degree: int) -> Array:
    """Reduce the error in the upper part of the spectrum by a Chebyshev polynomial of the scaled operator."""
    high, low = level.bound, level.bound / 8.0
    centre, half = 0.5 * (high + low), 0.5 * (high - low)
    residual = load if field is None else load - apply(field)
    step = level.inverse * residual / centre
    field = step if field is None else field + step

    def improve(_: Array | int, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        residual, step, field, last = carry
        residual = residual - apply(step)
        now = 1.0 / (2.0 * centre / half - last)
        step = now * last * step + (2.0 * now / half) * (level.inverse * residual)
        return residual, step, field + step, now

    # A loop, because what is written out here takes long to compile in three dimensions.
    return lax.fori_loop(0, degree - 1, improve, (residual, step, field, half / centre))[2]


def _norm(field: Array) -> Array:
    return jnp.sqrt(jnp.vdot(field, field))
