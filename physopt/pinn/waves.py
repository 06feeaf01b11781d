"""Random waves of all coordinates, and a problem linearized in them: for sizes and for errors, in any number of coordinates."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .conditions import Places
from .field import Order
from .problem import Jets, Problem

SPREAD = 1.5  # octaves to both sides of half a wave per coordinate
FEW = (1, 2, 3)  # coordinates that most waves depend on


class Waves:
    r"""Functions $\sin(w \cdot z + b)$ of the scaled coordinates, with random $w$ and $b$.

    Frequencies are normal, of half a wave on a side of the box, less or more by up to 1.5 octaves. A wave depends on one, two, three or all
    coordinates, because errors are often sums of functions of few. A coordinate that repeats gets whole periods.

    **Arguments:**

    - `size`: how many.
    """

    def __init__(self, problem: Problem, rng: np.random.Generator, size: int) -> None:
        self._low, high = (np.array(end) for end in zip(*problem.ends, strict=True))
        dim, repeats = len(high), np.array([*problem.domain.periodic, *[False] * (problem.time is not None)])
        drawn = 0.5 * np.pi * rng.standard_normal((size, dim)) * 2.0 ** rng.uniform(-SPREAD, SPREAD, (size, 1))
        ranks = np.argsort(np.argsort(rng.random((size, dim)), axis=1), axis=1)
        drawn = drawn * (ranks < rng.choice([*FEW, dim], size)[:, None])
        self._frequencies = np.where(repeats, np.pi * np.rint(drawn / (0.5 * np.pi)), drawn) * 2.0 / (high - self._low)
        self._phases, self.size = rng.uniform(0.0, 2.0 * np.pi, size), size

    def each(self, points: Float[np.ndarray, "n d"], orders: Sequence[Order]) -> Float[np.ndarray, "n size orders"]:
        """Return the derivatives of each wave at points."""
        phases = (points - self._low) @ self._frequencies.T + self._phases
        columns = [np.sin(phases + 0.5 * np.pi * sum(o)) * np.prod(self._frequencies ** np.array(o), axis=1) for o in orders]
        return np.stack(columns, axis=-1)

    def jets(self, points: Float[np.ndarray, "n d"], orders: Sequence[Order], coefficients: Float[np.ndarray, "size fields"]) -> Jets:
        """Return the derivatives of the fields with these coefficients."""
        return np.einsum("nwk,wf->nfk", self.each(points, orders), coefficients)


class Linear(NamedTuple):
    """One residual of a problem, linearized in waves and unknown numbers: `value` and `matrix`, one row for each place or sum.

    - `terms`: how large the terms of each residual are, for waves of size one in each field.
    """

    value: Float[np.ndarray, "_ _"]
    matrix: Float[np.ndarray, "_ _ columns"]
    terms: Float[np.ndarray, "_ fields"]


def linear(
    problem: Problem,
    places: Sequence[Places],
    waves: Waves,
    known: Sequence[Float[np.ndarray, "_ fields _"]],
    unknowns: Float[np.ndarray, " k"],
) -> list[Linear]:
    """Return all residuals linearized at fields whose derivatives at the places are `known`."""
    found = []
    for block, where, jets in zip((problem.block, *problem.blocks), places, known, strict=True):
        value, by_jet, by_unknown = block.linearize(problem, jets, where.points, where.normals, unknowns)
        each = waves.each(where.points, block.orders)
        matrix = np.einsum("nmfk,nwk->mnwf", by_jet, each)
        matrix = np.concatenate([matrix.reshape(*matrix.shape[:2], -1), np.moveaxis(by_unknown, 1, 0)], axis=2)
        terms = np.einsum("nmfk,k->nmf", np.abs(by_jet), np.sqrt(np.mean(each**2, axis=(0, 1))))
        value = value.T
        if where.sums is not None:
            matrix, value = where.sums @ matrix, value @ where.sums.T
            terms = np.abs(where.sums).sum(axis=1).mean() * terms
        if where.targets is not None:
            value = value - where.targets.reshape(value.shape)
        found.append(Linear(value, matrix, np.sqrt(np.mean(terms**2, axis=0))))
    return found


def stacked(parts: Sequence[Linear], scales: Sequence[Float[np.ndarray, " _"]]) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows together, `(values, matrix)`, each residual times its scale and the root of its share of the mean."""
    factors = [scale[:, None] / part.value.shape[1] ** 0.5 for part, scale in zip(parts, scales, strict=True)]
    values = [(factor * part.value).ravel() for part, factor in zip(parts, factors, strict=True)]
    matrices = [(factor[:, :, None] * part.matrix).reshape(-1, part.matrix.shape[2]) for part, factor in zip(parts, factors, strict=True)]
    return np.concatenate(values), np.concatenate(matrices)
