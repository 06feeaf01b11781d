"""The rows of a problem on one window of time: residuals of all blocks, scaled, and their derivatives."""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import qmc

from physopt.pinn.conditions import AbstractCondition, Places, Start
from physopt.pinn.domain import Box, product
from physopt.pinn.field import Order
from physopt.pinn.least_squares import Factor, balance
from physopt.pinn.problem import Block, Jets, Problem
from physopt.pinn.space import Products

Look = Callable[[Float[np.ndarray, "n d"], Sequence[Order]], Jets]  # fields and derivatives at points


LOOKED = 4096  # points at which an answer is looked at


class Weights(NamedTuple):
    """What the equation and the readings count beside the conditions."""

    equation: float = 1.0
    measured: float = 0.3

    @classmethod
    def for_noise(cls, noise: float) -> "Weights":
        """Return a small weight for readings with much noise, so that the equation does not bend to it."""
        return cls(measured=float(np.clip(3e-4 / max(noise, 1e-300), 1e-2, 0.3)))


class Guess(NamedTuple):
    """Fields, as coefficients in a space, and the unknown numbers."""

    coefficients: Float[np.ndarray, "size fields"]
    unknowns: Float[np.ndarray, " k"]

    def plus(self, step: "Guess", share: float = 1.0) -> "Guess":
        """Return this and a share of a step."""
        return Guess(self.coefficients + share * step.coefficients, self.unknowns + share * step.unknowns)


class _Part(NamedTuple):
    block: Block
    places: Places
    weight: float
    starts: bool
    reads: bool
    known: Jets | None  # of the fields to which the guess is added
    counts: Float[np.ndarray, "n m"] | None = None  # by which each residual is multiplied at each point


class System:
    """Least squares for a problem on a window: `residual` and `jacobian` of all rows, in a trial space.

    `interior` holds the points of the equation, `everywhere` also those on the edges of the box.

    **Arguments:**

    - `before`: the fields at the end of the window before; the first window takes what the problem says of the start.
    - `base`: fields to which those of the space are added, with the unknown numbers there. `weights`: of the equation and of the readings.
    - `also`: further points at which the equation is to hold. `looked`: at so many points instead it is only looked at, if any.
    """

    def __init__(
        self,
        problem: Problem,
        space: Products,
        window: tuple[float, float] | None,
        before: Look | None = None,
        base: tuple[Look, Float[np.ndarray, " k"]] | None = None,
        weights: Weights = Weights(),
        also: Float[np.ndarray, "_ d"] | None = None,
        looked: int = 0,
    ) -> None:
        self.problem, self.space, self._base, self._weights = problem, space, base, weights
        size = len(problem.domain.names)
        further = self._scattered(looked) if looked else np.zeros((0, len(space.bases))) if also is None else also
        further = further[problem.domain.inside(further[:, :size])]
        interior = further if looked else np.concatenate([space.points(problem.domain), further])
        if len(interior) < 3:
            raise ValueError("The domain fills too little of its box to be solved in: fewer than three of the points are inside.")
        self._parts = [self._equation(interior, weights.equation)]
        for condition, block in zip(problem.conditions, problem.blocks, strict=True):
            places = condition.places(problem.domain, window, space.axes())
            self._parts.append(self._part(block, places, weights.measured if condition.measured else 1.0, condition))
        if before is not None:
            self._parts = self._starting(before)
        self._scales: list[Float[np.ndarray, " _"]] | None = None
        self.interior = interior
        everywhere = product(space.axes())
        self.everywhere = everywhere[problem.domain.inside(everywhere[:, :size])]

    @property
    def zero(self) -> Guess:
        """Nothing in the space, and the unknowns where the problem says that they begin."""
        given = np.array(list(self.problem.unknowns.values())) if self._base is None else np.zeros(len(self.problem.unknowns))
        return Guess(np.zeros((self.space.size, len(self.problem.fields))), given)

    def starting(self, before: Look) -> "System":
        """Return the same system, but with other fields at the end of the window before."""
        other = copy.copy(self)
        other._parts = self._starting(before)
        return other

    def residual(self, guess: Guess) -> Float[np.ndarray, " rows"]:
        """Return all rows at a guess; `jacobian` has to be called before, because it finds the scales."""
        assert self._scales is not None, "the scales are not known yet"
        rows = []
        for part, scale in zip(self._parts, self._scales, strict=True):
            value = self._linearize(part, guess)[0]
            rows.append((_summed(part.places, value) * scale).T.ravel())
        return np.concatenate(rows)

    def jacobian(self, guess: Guess) -> Float[np.ndarray, "rows columns"]:
        """Return the derivative of all rows with respect to the coefficients, all fields of one function together, and the unknowns."""
        parts = [self._rows(part, guess) for part in self._parts]
        if self._scales is None:
            self._scales = self._balanced(parts, guess)
        for part, rows, scale in zip(self._parts, parts, self._scales, strict=True):
            rows *= np.repeat(scale, self._height(part))[:, None]
        return np.vstack(parts)

    def factor(self, jacobian: Float[np.ndarray, "rows columns"]) -> Factor:
        """Return the factor of a derivative; functions of corners are nearly combinations of others, and are damped more."""
        return Factor(jacobian, 1e-13 if self.space.corners is None else 1e-11)

    @property
    def measured(self) -> Bool[np.ndarray, " rows"]:
        """Which rows are readings."""
        return np.repeat([part.reads for part in self._parts], [part.block.size * self._height(part) for part in self._parts])

    def misfits(self, guess: Guess) -> list[float]:
        """Return how far each condition is from being met, relative to the terms in it as large as they are anywhere.

        Readings count by their mean square. Conditions count by the median, because two of them may disagree at a corner.
        """
        return self.relative(guess)[1:]

    def relative(self, guess: Guess) -> list[float]:
        """Return how large the residuals of the equation and of each condition are, relative to their terms."""
        found = []
        for part in self._parts:
            missed = _summed(part.places, self._linearize(part, guess)[0]) ** 2
            mean = np.mean if part.reads or part is self._parts[0] else np.median
            found.append(float(np.sqrt(mean(missed))) / max(float(self._terms(part, guess).max()), 1e-300))
        return found

    def worst(self, guess: Guess) -> Float[np.ndarray, "few d"]:
        """Return points with a residual well beyond what it is where the equation was solved, the worst few of many."""
        many = self._scattered(LOOKED)
        many = many[self.problem.domain.inside(many[:, : len(self.problem.domain.names)])]
        part = self._equation(many, 1.0)
        there, here = (np.abs(self._linearize(one, guess)[0]) for one in (part, self._parts[0]))
        excess = np.max(there / np.maximum(here.max(axis=0), 1e-300), axis=1)
        chosen = np.argsort(excess)[-max(self.space.size // 8, 8) :]
        return many[chosen[excess[chosen] > 2.0]]

    def _scattered(self, num: int) -> Float[np.ndarray, "n d"]:
        low, high = self.space.low, self.space.high
        return low + (high - low) * qmc.Halton(len(low), scramble=False).random(num)[1:]

    def joined(self, guess: Guess) -> Float[np.ndarray, " columns"]:
        """Return a guess as one vector: the inverse of `split`."""
        return np.concatenate([guess.coefficients.ravel(), guess.unknowns])

    def split(self, step: Float[np.ndarray, " columns"]) -> Guess:
        """Return a solution of the linear system as a guess."""
        fields = len(self.problem.fields)
        return Guess(step[: self.space.size * fields].reshape(-1, fields), step[self.space.size * fields :])

    def _equation(self, points: Float[np.ndarray, "n d"], weight: float) -> _Part:
        r"""Return the part of the equation; in a rectangle, its residual of order $2m$ counts by $d^m$, $d$ the distance from the sides.

        Where two sides meet, derivatives grow without bound whatever the data, and least squares would see nothing else. With $d^m$ the
        residual still bounds the error, by Hardy's inequality: $|u| \le C |d^m r|$ in the norms of $H^m_0$ and $L_2$.

        ??? cite "Reference"
            Grisvard, *Elliptic Problems in Nonsmooth Domains* (1985), theorem 1.4.4.4.
        """
        problem = self.problem
        part = self._part(problem.block, Places(points), weight, None)
        domain, sides = problem.domain, ~np.array(problem.domain.periodic, bool)
        if problem.marches or not isinstance(domain, Box) or sides.sum() < 2 or self.space.inward:
            return part
        few = points[:: len(points) // 50 + 1]
        jets = np.random.default_rng(0).standard_normal((len(few), len(problem.fields), len(part.block.orders)))
        used = part.block.linearize(problem, jets, few, None, np.array(list(problem.unknowns.values())))[1].any(axis=(0, 2))
        orders = np.array([sum(order[: len(sides)]) for order in part.block.orders])
        inside = 2.0 * (points[:, : len(sides)] - domain.low) / (domain.high - domain.low) - 1.0
        distance = np.prod(np.maximum(1.0 - inside**2, 0.0)[:, sides], axis=1)
        return part._replace(counts=distance[:, None] ** (np.max(used * orders, axis=1) // 2))

    def _part(self, block: Block, places: Places, weight: float, condition: AbstractCondition | None) -> _Part:
        reads = condition is not None and condition.measured
        return _Part(
            block,
            places,
            weight,
            isinstance(condition, Start),
            reads,
            None if self._base is None else self._base[0](places.points, block.orders),
        )

    def _starting(self, before: Look) -> list[_Part]:
        """Return the parts, with what the residuals of the start were at the end of the window before as their targets."""
        unknowns, parts = np.array(list(self.problem.unknowns.values())), []
        for part in self._parts:
            if part.starts:
                points = part.places.points
                value = part.block.linearize(self.problem, before(points, part.block.orders), points, None, unknowns)[0]
                part = part._replace(places=Places(points, targets=value.T.ravel()))
            parts.append(part)
        return parts

    def _linearize(self, part: _Part, guess: Guess) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        jets = self.space.jets(part.places.points, part.block.orders, guess.coefficients)
        unknowns = guess.unknowns if self._base is None else guess.unknowns + self._base[1]
        total = jets if part.known is None else jets + part.known
        value, by_jet, by_unknown = part.block.linearize(self.problem, total, part.places.points, part.places.normals, unknowns)
        if part.counts is None:
            return value, by_jet, by_unknown
        return value * part.counts, by_jet * part.counts[:, :, None, None], by_unknown * part.counts[:, :, None]

    def _jets(self, points: Float[np.ndarray, "n d"], orders: Sequence[Order], guess: Guess) -> Jets:
        jets = self.space.jets(points, orders, guess.coefficients)
        return jets if self._base is None else jets + self._base[0](points, orders)

    def _terms(self, part: _Part, guess: Guess) -> Float[np.ndarray, " m"]:
        """Return how large the terms of each residual are: those with the fields, as large as these are anywhere, or the others."""
        value, by_jet, _ = self._linearize(part, guess)
        here, anywhere = (self._jets(points, part.block.orders, guess) for points in (part.places.points, self.interior))
        terms = np.sum(np.abs(by_jet) * np.sqrt(np.mean(anywhere**2, axis=0)), axis=(2, 3))
        sums = _summed(dataclasses.replace(part.places, targets=None), terms)
        rest = _summed(part.places, value - np.einsum("nmfk,nfk->nm", by_jet, here))
        return np.sqrt(np.maximum(np.mean(sums**2, axis=0), np.mean(rest**2, axis=0)))

    def _rows(self, part: _Part, guess: Guess) -> Float[np.ndarray, "rows columns"]:
        """Return the derivatives of a part's rows, unscaled: all rows of the first residual, then of the second."""
        _, by_jet, by_unknown = self._linearize(part, guess)
        points, size, fields = part.places.points, self.space.size, len(self.problem.fields)
        blocks = []
        for m in range(part.block.size):
            rows = np.zeros((len(points), size * fields + by_unknown.shape[2]))
            for f in range(fields):
                used = {order: by_jet[:, m, f, k] for k, order in enumerate(part.block.orders) if by_jet[:, m, f, k].any()}
                if used:
                    rows[:, f : size * fields : fields] = self.space.rows(points, used)
            rows[:, size * fields :] = by_unknown[:, m]
            blocks.append(rows if part.places.sums is None else part.places.sums @ rows)
        return np.vstack(blocks)

    @staticmethod
    def _height(part: _Part) -> int:
        return len(part.places.points) if part.places.sums is None else len(part.places.sums)

    def _balanced(self, parts: list[Float[np.ndarray, "_ columns"]], guess: Guess) -> list[Float[np.ndarray, " _"]]:
        """Return what each residual is multiplied by, so that units do not matter; readings are compared with the equation's terms."""
        size, fields, sizes = self.space.smooth, len(self.problem.fields), []  # beside a corner the others are as large as one likes
        for part, rows in zip(self._parts, parts, strict=True):
            cube = rows[:, : size * fields].reshape(part.block.size, self._height(part), size, fields)
            sizes.append(np.sqrt(np.einsum("mrsf,mrsf->mf", cube, cube) / cube.shape[1]))
        factors = np.split(balance(np.vstack(sizes)), np.cumsum([len(own) for own in sizes])[:-1])
        scales = [part.weight * own / self._height(part) ** 0.5 for part, own in zip(self._parts, factors, strict=True)]
        if self._weights.measured < self._weights.equation:
            equation = (factors[0] * self._terms(self._parts[0], guess)).min()
            for i, part in enumerate(self._parts):
                if part.reads:
                    scales[i] = np.full_like(scales[i], part.weight * equation / self._terms(part, guess).max() / self._height(part) ** 0.5)
        return scales


def _summed(places: Places, value: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "rows m"]:
    total = value if places.sums is None else places.sums @ value
    return total if places.targets is None else total - places.targets.reshape(-1, len(total)).T
