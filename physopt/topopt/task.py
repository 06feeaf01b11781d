"""A definition as numbers that can be compared, and a start for it from the design of a similar one."""

import hashlib
import json
import math

import equinox as eqx
import msgspec
import numpy as np
import scipy.ndimage
import scipy.optimize
import scipy.special
from jaxtyping import Float
from numpy import ndarray

from .definition import Definition
from .multilevel import prolonged
from .problem import SIMP

POINTS = 9  # along each side, at which layouts are compared
BLUR = 0.125  # sides: loads that are much farther apart than this have nothing in common
SIZE = 0.1  # what a logarithm of the size counts: the best design hardly depends on the resolution
EDGE = 1e-4  # how near a bound a latent variable is taken to be
SOFTENED = 4.0  # filter radii of blur for each unit of distance between layouts
SOFTEST = 2.0  # filter radii
# Entries of a definition that do not divide tasks into kinds: they are compared, or do not matter for where to begin.
COMPARED = {"name", "source", "shape", "volfrac", "penal", "rmin", "beta", "support", "load", "output", "spring", "passive", "space"}
COMPARED |= {"continuation"}


class Task(eqx.Module):
    r"""A definition as numbers. The distance of two tasks of one kind is $\sqrt{|a - a'|^2 + |n - n'|^2}$.

    - `kind`: dimension, number of cases, and all other entries: physics, objective, filter, material, mirrors. Different kinds cannot
      be compared.
    - `layout`: $a$: the forces of all cases, and which nodes are fixed and have springs along each axis, each blurred by an eighth
      of the sides, sampled at 9 points along each, and scaled to the norm 1; and likewise the mean of $2 \hat x - 1$ where $\hat x$ is
      prescribed. A single load that moves by a small fraction $\delta$ of a side changes it by $5.7\,\delta$, one that
      turns by a small angle by that angle.
    - `numbers`: $n$: the logarithms of the volume fraction, of the filter radius as a fraction of the longest side, and of the sides as
      fractions of the first; the exponent; $\log(1 + \beta)$; a tenth of the logarithm of the elements along x;
      $\log(1 + k)$ for springs of $k E_0$ in all.
    """

    kind: str
    layout: Float[ndarray, " a"]
    numbers: Float[ndarray, " n"]

    def apart(self, other: "Task") -> tuple[float, float]:
        """Return the distances of the layouts and of all; infinite if the kinds differ."""
        if self.kind != other.kind or self.layout.shape != other.layout.shape or self.numbers.shape != other.numbers.shape:
            return math.inf, math.inf
        layout, numbers = (float(np.linalg.norm(a - b)) for a, b in ((self.layout, other.layout), (self.numbers, other.numbers)))
        return layout, math.hypot(layout, numbers)


def task_of(definition: Definition, problem: SIMP) -> Task:
    """Return the task of a definition; `problem` is its problem."""
    structure, passive, shape = problem.equilibrium.structure, problem.densities.passive, definition.shape
    springs = np.zeros_like(structure.held) if structure.spring is None else structure.spring > 0.0
    near = [_weights(side + 1) for side in shape]
    loads = _scaled(np.stack([_seen(field, near) for force in structure.force for field in force]))  # cases weigh by their size
    # Scaled, too: the support of a single node would vanish beside that of an edge.
    parts = [_scaled(_seen(field.astype(float), near)) for part in (structure.held, springs) for field in part]
    bias = _seen(np.where(np.isnan(passive), 0.0, passive - 0.5), [_means(side) for side in shape])
    layout = [loads, *parts, 2.0 * bias / math.sqrt(bias.size)]
    numbers = [math.log(definition.volfrac), math.log(definition.rmin / max(shape)), definition.penal, math.log1p(definition.beta)]
    numbers += [math.log(side / shape[0]) for side in shape[1:]] + [SIZE * math.log(shape[0])]
    numbers += [0.0 if structure.spring is None else math.log1p(float(structure.spring.sum()) / definition.E0)]
    return Task(_kind(definition, problem), np.concatenate([field.ravel() for field in layout]), np.array(numbers))


def transferred(problem: SIMP, density: Float[ndarray, "..."], blur: float = 0.0) -> Float[ndarray, "..."]:
    r"""Return a design of `problem` from the physical densities of another one, with its bounds and its volume.

    The densities are interpolated to the grid, blurred, and shifted in the latent variable: $x = l + (u - l)\,\sigma(\psi + \mu)$, where
    $\mu$ keeps the volume. So members grow or shrink at their edges.

    **Arguments:**

    - `density`: on any grid of the same dimension. `blur`: width of a Gaussian, in elements.
    """
    field = prolonged(density, [new / old for new, old in zip(problem.lower.shape, density.shape, strict=True)])
    if blur > 0.0:
        field = scipy.ndimage.gaussian_filter(field, blur, mode="nearest")
    low, span = problem.lower, problem.upper - problem.lower
    latent = scipy.special.logit(np.clip(field, EDGE, 1.0 - EDGE))
    target = float((problem.weights * problem.init()).sum())

    def shifted(mu: float) -> Float[ndarray, "..."]:
        return low + span * scipy.special.expit(latent + mu)

    return shifted(scipy.optimize.brentq(lambda mu: float((problem.weights * shifted(mu)).sum()) - target, -50.0, 50.0, xtol=1e-13))


def softness(layout: float, rmin: float) -> float:
    r"""Return the blur, in elements, of a start whose layout is this far away: $\min(4 d, 2)$ filter radii.

    Where loads have moved, members must be able to move, and a start of solid and void would keep them where they were.
    """
    return rmin * min(SOFTENED * layout, SOFTEST)


def _weights(count: int, places: Float[ndarray, " i"] | None = None) -> Float[ndarray, "cell i"]:
    """Return how much each of `count` nodes along a side counts at the places where layouts are compared."""
    where = np.linspace(0.0, 1.0, count) if places is None else places
    return np.exp(-0.5 * (np.subtract.outer(np.linspace(0.0, 1.0, POINTS), where) / BLUR) ** 2)


def _means(count: int) -> Float[ndarray, "cell i"]:
    """Return the same for elements, such that a field of ones remains one."""
    weights = _weights(count, (np.arange(count) + 0.5) / count)
    return weights / weights.sum(axis=1, keepdims=True)


def _seen(field: Float[ndarray, "..."], weights: list[Float[ndarray, "_ _"]]) -> Float[ndarray, "..."]:
    for axis, weight in enumerate(weights):
        field = np.moveaxis(np.tensordot(weight, field, (1, axis)), 0, axis)
    return field


def _scaled(field: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    return field / max(float(np.linalg.norm(field)), 1e-300)


def _kind(definition: Definition, problem: SIMP) -> str:
    """Return a digest of all entries that are neither compared as numbers nor seen in the layout."""
    entries = {name: value for name, value in msgspec.to_builtins(definition).items() if name not in COMPARED}
    entries |= {"dim": len(definition.shape), "forces": problem.equilibrium.structure.force.shape[:2]}
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()[:16]
