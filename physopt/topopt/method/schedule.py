"""The default method: seven numbers, chosen by hand or learned, control the averaged grids; further starts follow."""

import dataclasses
import functools
import math
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from physopt.core.iterate import History
from physopt.core.problem import AbstractProblem
from physopt.core.weights import load_weights
from physopt.meta.loss import AbstractLoss
from physopt.rules.corrected import Corrected
from physopt.rules.mma import MMA, Poles
from physopt.topopt import SIMP

from .race import ACROSS, CRITERIA, FINISH, FLOOR, TUNED, averaged, race, unhelpful
from .stages import Stage, optimize

FILE = Path(__file__).with_name("schedule.safetensors")
# Chosen by hand: solves on the grid of a quarter of the resolution, then on that of a half before the first on the design's own, and
# before each later one; where asymptotes begin, how much wider and narrower they become, and the move limit.
HAND = {"layout": 32.0, "before": 4.0, "between": 4.0, "start": 0.3, "wider": 1.0, "narrower": 0.4, "move": 0.3}
PATIENCE = 3  # solves that may go by without a gain before another start
# Filter radii, of each further start; no two alike, or one that gained nothing would come again.
BLURS = (2.0, 1.0, 0.5, 3.0, 1.5, 0.75, 4.0, 0.25, 2.5)
SOLUTIONS = 40  # per run in training
FIRST = 6  # solves: what comes before hardly matters for the loss
CAP = 0.1  # as a fraction: designs that are worse than this are all equally bad


class Schedule(eqx.Module):
    r"""Coarser grids first, then the design's own with several corrected steps for each solve, and further starts.

    `weights` are the logarithms of the seven `numbers` relative to `HAND`, in units of $\log 2$.
    """

    weights: Float[Array, "7"]

    @classmethod
    def by_hand(cls) -> "Schedule":
        """Return the schedule before any training."""
        return cls(jnp.zeros(len(HAND), jnp.float32))

    def numbers(self) -> dict[str, float]:
        """Return the numbers by name, each within a factor of 2 of the one chosen by hand."""
        factors = 2.0 ** np.clip(np.asarray(self.weights, float), -1.0, 1.0)
        return {name: hand * float(factor) for (name, hand), factor in zip(HAND.items(), factors, strict=True)}

    def stages(self, problem: SIMP, solutions: int) -> list[Stage]:
        """Return the stages for a problem, at most `solutions` on its own grid.

        The order is: first start, tuned `MMA`, criteria, then blurred starts. If coarser grids do not help, the race comes first.
        """
        first = self.start(problem, solutions)
        if len(first) == 1:
            return [*race(problem, solutions), *(Stage(problem, FINISH, solutions, patience=FLOOR // 2, blur=blur) for blur in BLURS)]
        sketch, cheap, last = first
        own, layout = dataclasses.replace(last, patience=PATIENCE), sketch.solutions
        several = problem.functions > 1
        if unhelpful(problem):
            stages = [*race(problem, solutions), dataclasses.replace(sketch, fresh=True), cheap, own]
        else:
            second = [Stage(sketch.problem, TUNED, 3 * layout // 2, fresh=True), cheap, own]
            floor = Stage(problem, TUNED, solutions, patience=FLOOR, fresh=True, floor=True, misled=True)
            third = [Stage(sketch.problem, CRITERIA, 3 * layout // 4, fresh=True)]
            third += [dataclasses.replace(sketch, solutions=3 * layout // 8), cheap, own]
            # The criteria refuse several functions. Then only a start that gains nothing tells whether the layout is the right one.
            early = [dataclasses.replace(sketch, solutions=layout // 2, blur=BLURS[-1]), cheap, own]
            stages = [sketch, cheap, own, *([*early, floor, *second] if several else [*second, floor, *third])]
        for blur in BLURS[:-1] if several else BLURS:
            stages += [dataclasses.replace(sketch, solutions=layout // 2, blur=blur), cheap, own]
        return stages

    def start(self, problem: SIMP, solutions: int) -> list[Stage]:
        """Return the stages of the first start: coarser grids if there are any, then the problem's own."""
        numbers = self.numbers()
        poles = Poles(min(numbers["start"], 10.0), 1.0 + numbers["wider"], max(1.0 - numbers["narrower"], 0.05))
        rule = MMA(poles, min(numbers["move"], 1.0))
        layout, before, between = (round(numbers[name]) for name in ("layout", "before", "between"))
        if (cheap := averaged(problem)) is None:
            return [Stage(problem, rule, solutions)]
        coarsest = averaged(problem, 2) if min(problem.equilibrium.structure.shape) >= 4 * ACROSS else None
        if coarsest is None:  # where half the resolution has to do, its solves are expensive
            coarsest, layout = cheap, layout // 2
        options = {} if problem.objective.falling else {"slack": math.inf}
        price = cheap.equilibrium.unknowns / problem.equilibrium.unknowns
        own = Stage(problem, Corrected(rule, cheap, between, price=price, **options), solutions)
        return [Stage(coarsest, rule, layout), Stage(cheap, rule, before), own]


@functools.cache
def trained() -> Schedule:
    """Return the learned schedule that physopt ships."""
    return load_weights(FILE, Schedule.by_hand())


class Excess(AbstractLoss):
    r"""Mean over the solves $k$ of $\min(\log(v_k / v_n), 0.1)$, plus $2 \log v_n$: rewards a quick run and a low final value."""

    def __call__(self, history: History) -> Float[Array, ""]:
        """Return the loss of one run, from the lowest values after each solve."""
        logs = jnp.log(jnp.asarray(history.value))
        return jnp.minimum(logs[FIRST:] - logs[-1], CAP).mean() + 2.0 * logs[-1]


def run(problem: AbstractProblem, schedule: Schedule, key: PRNGKeyArray, solutions: int) -> History:
    """Return the lowest value that the first start finds on the finest grid after work worth 0, 1, ... `solutions` of its solves."""
    assert isinstance(problem, SIMP)
    stages = schedule.start(problem, solutions + 1)
    steps = optimize(stages, change=None, callback=lambda step: step.equivalents >= solutions).steps
    fine = [(step.equivalents, step.value) for step in steps if step.own]
    first = steps[0].value  # a design not begun is worth the uniform one
    values = [min([value for spent, value in fine if spent <= count], default=first) for count in range(solutions + 1)]
    nothing = np.full(solutions + 1, math.nan)
    return History(np.array(values), nothing, nothing, np.ones(solutions + 1, bool), np.ones(solutions + 1), nothing)
