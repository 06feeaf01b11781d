"""Where two conditions meet and contradict each other: corners, edges, and the ends of the domain at the start."""

import dataclasses
import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from .answer import Answer
from .conditions import AbstractCondition, Boundary, Places, Start
from .problem import Block, Problem

NEAR = 0.01  # of the domain: so close, two conditions meet
APART = 0.05  # of the domain: places that are named one by one
CONTRADICTION = 1e-3  # of the terms of both


class Contradiction(NamedTuple):
    """Two conditions, as their numbers in the problem, and the places where no fields meet both."""

    first: int
    second: int
    places: Float[np.ndarray, "n d"]

    def said(self, problem: Problem) -> str:
        """Return it as one clause."""
        a, b = (f"{i + 1}, a {type(problem.conditions[i]).__name__}," for i in (self.first, self.second))
        low, high = np.array(problem.ends).T
        rounded = low + np.round((self.places - low) / (high - low) / NEAR) * NEAR * (high - low)
        named = ["(" + ", ".join(f"{n} = {x:.4g}" for n, x in zip(problem.coordinates, p, strict=True)) + ")" for p in rounded[:2]]
        more = f" and {len(self.places) - 2} more places" if len(self.places) > 2 else ""
        return f"conditions {a} and {b} contradict each other at {' and '.join(named)}{more}"


def contradictions(answer: Answer) -> list[Contradiction]:
    r"""Return where conditions contradict each other.

    At a place where two conditions meet, their residuals are linearized at the answer. The fields and each of their derivatives count as
    free numbers there; where even these cannot make both residuals vanish, the conditions contradict each other. That a derivative along
    one side of a corner contradicts the value on the other is not seen.
    """
    problem, found = answer.problem, []
    kinds = [i for i, one in enumerate(problem.conditions) if isinstance(one, Start | Boundary)]
    spread = {i: _spread(problem, problem.conditions[i]) for i in kinds}
    for first, second in itertools.combinations(kinds, 2):
        meeting = _meeting(problem, spread[first], spread[second])
        if meeting is None:
            continue
        bad = _unmet(answer, (problem.blocks[first], problem.blocks[second]), meeting, (spread[first], spread[second]))
        if bad.any():
            found.append(Contradiction(first, second, meeting[0].points[bad]))
    return found


def _spread(problem: Problem, condition: AbstractCondition) -> Places:
    """Return places of a condition, close to each other next to the ends of each coordinate."""
    half = (1.0 - np.cos(np.pi * np.linspace(0.0, 1.0, 65 if len(problem.domain.names) < 3 else 17))) / 2.0
    axes = [low + (high - low) * half for low, high in problem.ends]
    if problem.time is not None:
        axes[-1] = np.array([problem.time[0], sum(problem.time) / 2.0, problem.time[1]])
    return condition.places(problem.domain, problem.time, axes)


def _meeting(problem: Problem, first: Places, second: Places) -> tuple[Places, Places] | None:
    """Return places where both hold, at the same points with the normals of each; `None` where they do not meet."""
    low, high = np.array(problem.ends).T
    unit = [(places.points - low) / (high - low) for places in (first, second)]
    distance, nearest = cKDTree(unit[1]).query(unit[0])
    chosen: list[int] = []
    for i in np.argsort(distance, kind="stable"):
        if distance[i] > NEAR or len(chosen) == 32:
            break
        if all(np.abs(unit[0][i] - unit[0][j]).max() > APART for j in chosen):
            chosen.append(int(i))
    if not chosen:
        return None
    normals = [None if one.normals is None else one.normals[rows] for one, rows in ((first, chosen), (second, nearest[chosen]))]
    return Places(first.points[chosen], normals[0]), dataclasses.replace(Places(first.points[chosen]), normals=normals[1])


def _unmet(answer: Answer, blocks: tuple[Block, Block], meeting: tuple[Places, Places], spread: tuple[Places, Places]) -> np.ndarray:
    """Return at which places no values of the fields and their derivatives meet both conditions, `spread` over all of their places."""
    problem, points = answer.problem, meeting[0].points
    orders = sorted({order for block in blocks for order in block.orders})
    jets = answer.jets(points, orders)
    unknowns = np.array([answer.unknowns.get(name, value) for name, value in problem.unknowns.items()])
    values, slopes = [], []
    for block, places in zip(blocks, meeting, strict=True):
        own = [orders.index(order) for order in block.orders]
        value, by_jet, _ = block.linearize(problem, jets[:, :, own], points, places.normals, unknowns)
        slope = np.zeros((*value.shape, *jets.shape[1:]))
        slope[:, :, :, own] = by_jet
        values.append(value)
        slopes.append(slope.reshape(*value.shape, -1))
    value, slope = np.concatenate(values, axis=1), np.concatenate(slopes, axis=1)
    # A condition is met where what is left is small beside its terms, each as large as it gets anywhere: at a corner all may vanish.
    around = answer.jets(np.concatenate([places.points for places in spread]), orders)
    sizes = np.abs(np.concatenate([around, jets]))
    largest = sizes.max(axis=0, initial=0.0, where=np.isfinite(sizes))
    terms = np.abs(slope) @ largest.reshape(-1)
    scale = np.maximum(terms, np.abs(value)).max(axis=0)
    bad = np.zeros(len(points), bool)
    for i in np.flatnonzero(np.isfinite(slope).all(axis=(1, 2)) & np.isfinite(value).all(axis=1)):
        rows = np.where(scale > 0.0, scale, 1.0)
        a, b = slope[i] / rows[:, None], value[i] / rows
        columns = np.abs(a).max(axis=0)
        a = a[:, columns > 0.0] / columns[columns > 0.0]
        step = np.linalg.lstsq(a, -b, rcond=1e-9)[0] if a.size else np.zeros(a.shape[1])
        bad[i] = np.abs(a @ step + b).max() > CONTRADICTION
    return bad
