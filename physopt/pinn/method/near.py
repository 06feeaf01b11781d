"""What solved neighbours of a problem say about it: windows of time, trial spaces, and a first guess."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from physopt.pinn.answer import Answer, Piece
from physopt.pinn.problem import Problem
from physopt.pinn.space import Products

from .system import Guess, System

LOOKED = 512  # points at which a neighbour's residual is compared


class Advice(NamedTuple):
    """How the nearest neighbour went on from some time: in which space, and how far."""

    space: Products
    length: float


class Near(NamedTuple):
    """Solved neighbours, those that fit the problem best first; `linear` problems need no first guess of them."""

    answers: tuple[Answer, ...] = ()
    linear: bool = False

    @property
    def guides(self) -> tuple[Answer, ...]:
        """Those that Newton's method begins from."""
        return () if self.linear else self.answers

    @property
    def space(self) -> Products:
        """The first space of the nearest one."""
        piece = self.answers[0].pieces[0]
        assert isinstance(piece, Piece)
        return piece.space

    def advice(self, now: float) -> Advice | None:
        """Return what the nearest neighbour did from this time on, or `None` where it does not reach."""
        for piece in self.answers[0].pieces if self.answers else ():
            assert isinstance(piece, Piece) and piece.window is not None
            if piece.window[1] - now > 0.01 * (piece.window[1] - piece.window[0]):
                return Advice(piece.space, piece.window[1] - piece.window[0])
        return None


def neighbours(problem: Problem, answers: Sequence[Answer]) -> Near:
    """Return those answers that a solution of this problem can begin from, in the order of what they leave of its residual.

    Those of a linear problem are in the order of their parameters' distance.

    **Raises:** `ValueError` for an answer to a problem with other fields, coordinates or unknown numbers, or another domain.
    """
    for answer in answers:
        for name, own, other in _shapes(problem, answer.problem):
            if own != other:
                raise ValueError(f"An answer with {name} {other} cannot be near a problem with {name} {own}; leave it out of near=.")
    if problem.measured:
        return Near()  # readings say where to begin
    linear = is_linear(problem)  # then only the nearest window and space are of use, and these are cheaper to find
    left = [distance(problem, answer.problem) if linear else remainder(problem, answer) for answer in answers]
    order = np.argsort(left, kind="stable")
    return Near(tuple(answers[i] for i in order if linear or np.isfinite(left[i])), linear)


def distance(problem: Problem, other: Problem) -> float:
    r"""Return the largest $|\ln \mu_i / \mu'_i|$; where signs differ, the relative difference takes its place; infinite for other names."""
    if problem.parameters.keys() != other.parameters.keys():
        return math.inf
    return apart(*(np.array([one.parameters[name] for name in problem.parameters]) for one in (problem, other)))


def apart(a: Float[np.ndarray, " q"], b: Float[np.ndarray, " q"]) -> float:
    """Return the largest ratio of two parameters, as a logarithm; where signs differ, the relative difference."""
    same = a * b > 0.0
    logs = np.abs(np.log(np.where(same, a / np.where(same, b, 1.0), 1.0)))
    return float(np.max(np.where(same, logs, np.abs(a - b) / np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-300)), initial=0.0))


def is_linear(problem: Problem) -> bool:
    """Whether no residual has slopes that depend on the fields, as far as random fields at a few points of the domain tell."""
    rng, count = np.random.default_rng(0), 16
    low, high = np.array(problem.ends).T
    points = rng.uniform(low, high, (count, len(low)))
    for block in (problem.block, *problem.blocks):
        draws = rng.standard_normal((2, count, len(problem.fields), len(block.orders)))
        unknowns = rng.standard_normal((2, len(problem.unknowns)))
        normals = np.full((count, len(problem.domain.names)), 1.0)
        first, second = (block.linearize(problem, *given)[1] for given in ((draws[i], points, normals, unknowns[i]) for i in (0, 1)))
        if not np.allclose(first, second, rtol=1e-9, atol=0.0, equal_nan=True):
            return False
    return True


def remainder(problem: Problem, answer: Answer) -> float:
    """Return how large the residuals of a problem are at an answer to another one, relative to their terms: the largest."""
    space, unknowns = Products.of(problem, problem.time), np.array(list(answer.unknowns.values()))
    system = System(problem, space, problem.time, base=(answer.jets, unknowns), looked=LOOKED)
    with np.errstate(all="ignore"):
        return float(np.max(system.relative(system.zero)))


def combined(system: System, answers: Sequence[Answer], held: Guess | None) -> Guess:
    """Return the combination of the neighbours' solutions that is best to first order; `held` is a first guess without them."""
    value = [(0,) * len(system.problem.coordinates)]
    guesses = [] if held is None else [held]
    for answer in answers:
        coefficients = system.space.fitted(lambda points, answer=answer: answer.jets(points, value)[:, :, 0])
        guesses.append(Guess(coefficients, np.array(list(answer.unknowns.values()))))
    jacobian = system.jacobian(guesses[-len(answers)])
    left = [float(np.linalg.norm(system.residual(guess))) for guess in guesses]
    best = guesses[int(np.nanargmin(left))]
    if len(guesses) == 1:
        return best
    steps = [Guess(guess.coefficients - best.coefficients, guess.unknowns - best.unknowns) for guess in guesses if guess is not best]
    along = jacobian @ np.stack([system.joined(step) for step in steps], axis=1)
    shares = np.linalg.lstsq(along, -system.residual(best), rcond=1e-8)[0]
    trial = best
    for step, share in zip(steps, shares, strict=True):
        trial = trial.plus(step, float(share))
    return trial if np.linalg.norm(system.residual(trial)) < min(left) else best


def _shapes(problem: Problem, other: Problem) -> list[tuple[str, object, object]]:
    pairs = [(name, getattr(problem, name), getattr(other, name)) for name in ("fields", "coordinates", "ends")]
    return [*pairs, ("unknowns", list(problem.unknowns), list(other.unknowns))]
