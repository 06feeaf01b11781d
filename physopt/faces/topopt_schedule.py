"""The learned method of topology optimization: a few numbers that say how the coarse grids are used and how the finest one begins."""

import functools
import itertools
import math
import operator
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from physopt.core.iterate import History
from physopt.core.problem import AbstractProblem
from physopt.core.weights import load_weights
from physopt.meta.loss import AbstractLoss
from physopt.rules.guard import Guard
from physopt.rules.mirror import MirrorDescent
from physopt.rules.mma import MMA, Poles
from physopt.topopt import SIMP, MeanCompliance

from .topopt import Stage, on_coarser_grids, optimize

FILE = Path(__file__).with_name("topopt.safetensors")
# Chosen by hand: solutions on the next coarser grid, and the ratio of those on each grid to those on the next finer one; where asymptotes
# begin there, how much wider and narrower they become, and the move limit; the largest change of the latent variable in the first step on
# the finest grid, and the longest later step in units of that.
HAND = {"coarse": 12.0, "ratio": 1.5, "start": 2.0, "wider": 0.2, "narrower": 0.3, "move": 0.2, "first": 1.0, "longest": 1e3}
SOLUTIONS = 40  # per run in training
FIRST = 6  # solutions: what comes before hardly matters for the loss
CAP = 0.1  # as a share: designs that are worse than this are all equally bad


class Schedule(eqx.Module):
    r"""Moving asymptotes on coarser grids, then mirror descent on the finest, guarded by moving asymptotes.

    `weights` are the logarithms of the eight `numbers` relative to `HAND`, in units of $\log 2$.
    """

    weights: Float[Array, "8"]

    @classmethod
    def by_hand(cls) -> "Schedule":
        """Return the schedule before any training."""
        return cls(jnp.zeros(len(HAND), jnp.float32))

    def numbers(self) -> dict[str, float]:
        """Return the numbers by name, each within a factor of 16 of the one chosen by hand."""
        factors = 2.0 ** np.clip(np.asarray(self.weights, float), -4.0, 4.0)
        return {name: hand * float(factor) for (name, hand), factor in zip(HAND.items(), factors, strict=True)}

    def stages(self, problem: SIMP, solutions: int) -> list[Stage]:
        """Return the stages for a problem: coarse grids where there are any, and at most `solutions` on its own."""
        numbers = self.numbers()
        poles = Poles(min(numbers["start"], 10.0), 1.0 + numbers["wider"], max(1.0 - numbers["narrower"], 0.05))
        careful = MMA(poles, min(numbers["move"], 1.0))
        quick = Guard(MirrorDescent(numbers["first"], longest=numbers["longest"]), MMA(), patience=5.0, share=0.3)
        # Mirror descent follows one function, and lets a mechanism fall apart.
        smooth = isinstance(problem.objective, MeanCompliance)
        counts = itertools.accumulate(itertools.repeat(numbers["ratio"]), operator.mul, initial=numbers["coarse"])
        before = on_coarser_grids(problem, careful, (max(round(count), 2) for count in counts))
        finest = quick if smooth else careful if before else MMA()
        return [*before, Stage(problem, finest, solutions)]


@functools.cache
def trained() -> Schedule:
    """Return the schedule that physopt ships."""
    return load_weights(FILE, Schedule.by_hand())


class Excess(AbstractLoss):
    r"""Mean over the solutions $k$ of $\min(\log(v_k / v_n), 0.1)$, plus $2 \log v_n$: to be quick, and to end low."""

    def __call__(self, history: History) -> Float[Array, ""]:
        """Return the loss of one run, from the lowest values after each solution."""
        logs = jnp.log(jnp.asarray(history.value))
        return jnp.minimum(logs[FIRST:] - logs[-1], CAP).mean() + 2.0 * logs[-1]


def run(problem: AbstractProblem, schedule: Schedule, key: PRNGKeyArray, solutions: int) -> History:
    """Return the lowest value on the finest grid after work worth 0, 1, ... `solutions` of its solutions."""
    assert isinstance(problem, SIMP)
    stages = schedule.stages(problem, solutions + 1)
    steps = optimize(stages, change=None, callback=lambda step: step.equivalents >= solutions).steps
    fine = [(step.equivalents, step.value) for step in steps if step.stage == len(stages) - 1]
    first = steps[0].value  # a design not begun is worth the uniform one
    values = [min([value for spent, value in fine if spent <= count], default=first) for count in range(solutions + 1)]
    nothing = np.full(solutions + 1, math.nan)
    return History(np.array(values), nothing, nothing, np.ones(solutions + 1, bool), nothing)
