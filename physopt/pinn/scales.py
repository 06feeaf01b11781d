"""The units of a problem: how large its fields and its residuals are, so that a network sees numbers near one."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .conditions import Places
from .least_squares import balance
from .problem import Problem
from .waves import Linear, Waves, linear, stacked

WAVES = 64  # that stand for a solution
ROUGH = 1e-3  # what a size is fitted to


class Scales(eqx.Module):
    """`fields` are the sizes of the solution's fields; residuals of each block times their `rows` are near one."""

    fields: Float[Array, " fields"]
    rows: tuple[Float[Array, " _"], ...]


def scales(problem: Problem, places: Sequence[Places], rng: np.random.Generator) -> Scales:
    """Return the units of a problem.

    Random waves, fitted to the problem linearized at zero, say how large the fields are. A residual is compared with the sum of its
    terms, if the fields are waves of this size; units of time, length or of a field thus do not matter.
    """
    fields, unknowns, waves = len(problem.fields), np.array(list(problem.unknowns.values())), Waves(problem, rng, WAVES)
    blocks = (problem.block, *problem.blocks)
    still = [np.zeros((len(where.points), fields, len(block.orders))) for block, where in zip(blocks, places, strict=True)]
    parts = linear(problem, places, waves, still, unknowns)
    sizes = _sizes(problem, places, waves, parts)
    rows = []
    for part in parts:
        terms, given = (part.terms * sizes).max(axis=1), np.sqrt(np.mean(part.value**2, axis=1))
        rows.append(jnp.asarray(1.0 / np.where(terms > 0.0, terms, np.where(given > 0.0, given, 1.0))))
    return Scales(jnp.asarray(sizes), tuple(rows))


def _sizes(problem: Problem, places: Sequence[Places], waves: Waves, parts: Sequence[Linear]) -> Float[np.ndarray, " fields"]:
    """Return the root mean square of each field of the waves' fit; one for all if nothing says how large they are."""
    factors = np.split(balance(np.vstack([part.terms for part in parts])), np.cumsum([len(part.terms) for part in parts])[:-1])
    values, matrix = stacked(parts, factors)
    columns = WAVES * len(problem.fields)
    found = np.linalg.lstsq(matrix[:, :columns], -values, rcond=ROUGH)[0].reshape(WAVES, -1)
    points = places[0].points
    sizes = np.sqrt(np.mean(waves.jets(points, [(0,) * points.shape[1]], found) ** 2, axis=(0, 2)))
    largest = float(sizes.max(initial=0.0))
    if not 0.0 < largest < np.inf:
        return np.ones(len(sizes))
    return np.where(sizes > 1e-12 * largest, sizes, largest)
