"""Where a trial space is too poor, and which richer one, or which shorter window, is to be tried next."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from physopt.pinn.answer import Piece
from physopt.pinn.domain import product
from physopt.pinn.problem import Problem
from physopt.pinn.space import Products

from .window import Attempt, correct, ratio

NEARLY = 3.0  # goals: an error that is smaller may come from functions that a front has left behind
CORNERED = 2.0  # so many times the error in any coordinate: then functions for corners are tried
CLEAR = 0.05  # an error that is larger does not tell where it comes from, nor how large the solution gets


class Refined(NamedTuple):
    """A space, by which factor the window is to be shorter, how many systems were factorized for that, and whether it is full."""

    space: Products
    shorter: float
    factors: int
    full: bool


def refined(
    problem: Problem,
    space: Products,
    made: Attempt | None,
    before: Piece | None,
    goal: float,
    largest: int,
    fresh: bool = False,
    corners: bool = True,
) -> Refined:
    """Say what to try next, from corrections that are finer in one coordinate only; `made` is `None` where Newton's method failed.

    `fresh`: it was the first attempt on its window, whose functions may still be where a front was in the window before.
    `corners`: functions for corners may be taken.
    """
    most, marches = largest / len(problem.fields), problem.marches
    if made is None and marches:
        return Refined(space, 0.5, 0, False)
    if made is None:
        grown = space
        for axis in range(len(space.bases)):
            grown = grown.grown(axis, lambda x, times: np.ones_like(x), most)
        return Refined(grown, 1.0, 0, grown is space)
    errors = np.array([_error_in(problem, made, before, made.piece.space.finer(axis)) for axis in range(len(space.bases))])
    grown, shorter = space, 1.0
    cornered = space.cornered(problem.domain) if corners and made.own < CLEAR and not marches else None
    if cornered is not None and cornered.size <= most and _error_in(problem, made, before, cornered) >= CORNERED * errors.max():
        return Refined(cornered, 1.0, len(space.bases) + 1, False)
    poor = np.flatnonzero(errors >= 0.3 * errors.max())
    for axis in poor:
        if marches and axis == len(space.bases) - 1:
            shorter = float(np.clip((0.3 * goal / errors[axis]) ** (1 / 8), 0.2, 0.7))
            continue
        profile = _profile(made.piece, int(axis), space)
        moved = grown.moved(int(axis), profile) if fresh and errors[axis] < NEARLY * goal else grown
        grown = grown.grown(int(axis), profile, most) if moved is grown else moved
    full = grown is space and not (marches and poor.tolist() == [len(space.bases) - 1])
    return Refined(grown, min(shorter, 0.5) if full and marches else shorter, len(space.bases), full)


def _error_in(problem: Problem, made: Attempt, before: Piece | None, finer: Products) -> float:
    """Return the estimated error by a space with more functions of one kind, of one coordinate or for corners."""
    piece = made.piece
    own = correct(problem, piece.space, made.guess, finer, piece.window, before, made.worst, made.weights).own
    points = finer.points(problem.domain)
    value = [(0,) * points.shape[1]]
    added, there = finer.jets(points, value, own.coefficients), piece.plain(points, value)
    return ratio(np.mean(added**2, axis=(0, 2)), np.mean(there**2, axis=(0, 2)))


def _profile(piece: Piece, axis: int, space: Products) -> Callable[[Float[np.ndarray, " n"], int], Float[np.ndarray, " n"]]:
    """Return how large a derivative along one coordinate gets, at a few places in the others."""
    inner = slice(None) if space.corners is None else slice(1, -1)  # at a corner nothing has derivatives
    places = [np.linspace(basis.low, basis.high, 5)[inner] for i, basis in enumerate(space.bases) if i != axis]
    others = product(places) if places else np.zeros((1, 0))

    def size(x: Float[np.ndarray, " n"], times: int) -> Float[np.ndarray, " n"]:
        points = np.insert(np.repeat(others, len(x), axis=0), axis, np.tile(x, len(others)), axis=1)
        order = tuple(times if i == axis else 0 for i in range(len(space.bases)))
        jets = piece.plain(points, [order, (0,) * len(order)])
        each = np.abs(jets[:, :, 0]) / np.maximum(np.abs(jets[:, :, 1]).max(axis=0), 1e-300)
        return each.max(axis=1).reshape(len(others), len(x)).max(axis=0)

    return size
