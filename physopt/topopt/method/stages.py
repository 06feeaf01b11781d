"""From a problem of topology optimization to a design, through stages: coarse grids first, or continuation."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, PyTree
from numpy import ndarray

from physopt.core.described import describe
from physopt.core.parts import Parts
from physopt.core.recording import Recording
from physopt.core.rule import AbstractRule
from physopt.core.run import Interrupted, Progress, Solution, minimize
from physopt.core.stop import Stop
from physopt.topopt import SIMP
from physopt.topopt.multilevel import coarser, prolonged, refined
from physopt.topopt.outcome import Outcome, outcome_of
from physopt.topopt.task import transferred

from .resume import recall

WINDOW = 20  # solves over which the last stage's gain is measured
STALLED = 3e-3  # fraction: a stage whose lowest value falls by less makes room for another start
HOPELESS = 0.01  # fraction: so does one that is this much above the lowest design before it


@dataclasses.dataclass(frozen=True)
class Stage:
    """A problem, its rule, and the number of solves that it may take; coarse grids and continuation come first.

    Several stages may have the problem of the last one: the outcome is the lowest of their designs.

    - `solutions`: the largest number of solves, those of earlier stages with the same problem included.
    - `patience`: the next stage begins when in so many solves the lowest value has fallen by less than the fraction `gain` of itself, or
      is 1 % above that of earlier stages.
    - `fresh`: it starts where the first stage did, not from where the one before ended.
    - `blur`: it starts from the lowest design so far, blurred by this many filter radii.
    - `floor`: a classical method in full: it is not abandoned for being higher.
    - `misled`: it runs only if the stage before was misled: that stage began from the lowest design and gained less than 0.3 %, or it
      ended 1 % above it and its rule, `Corrected`, distrusts its cheap problem.
    - `best`: it goes on from the lowest design so far, with what the rule there had learned.
    """

    problem: SIMP
    rule: AbstractRule
    solutions: int
    patience: int | None = None
    gain: float = STALLED
    fresh: bool = False
    blur: float | None = None
    floor: bool = False
    misled: bool = False
    best: bool = False


@dataclasses.dataclass(frozen=True)
class Step:
    """One solve of a run: its stage, the work so far in solves of the finest grid, and what it found.

    `own` says whether `problem` is the problem itself, not a cheaper one. See `recall` for those before a resume.
    """

    stage: int
    own: bool
    problem: SIMP
    equivalents: float
    seconds: float
    value: float
    volume: float
    design: Float[ndarray, "..."]

    @property
    def density(self) -> Float[ndarray, "..."]:
        """The physical densities, on the grid of the stage."""
        return self.problem.density(self.design)


class Trace(NamedTuple):
    """Values by work, in solves of the finest grid; NaN between two starts."""

    work: Float[ndarray, " n"]
    value: Float[ndarray, " n"]


@dataclasses.dataclass(frozen=True)
class Design:
    """The outcome: the problem of the last stage, its lowest solution, every step on the way, and whether any criterion ended the run."""

    problem: SIMP
    solution: Solution
    steps: list[Step]
    settled: bool

    @property
    def density(self) -> Float[ndarray, "..."]:
        """The physical densities."""
        return self.problem.density(self.solution.point)

    def verify(self, *, drop_loose: bool = False) -> Outcome:
        """Return an independent check: the value by a direct solve, volume, greyness, the pieces of the surface."""
        return outcome_of(self.problem, self.solution.point, drop_loose=drop_loose)

    def trace(self) -> Trace:
        """Return the value of every solve of the problem itself, over all starts."""
        work, values, before = [], [], None
        for step in (step for step in self.steps if step.own):
            if before not in (None, step.stage):
                work.append(step.equivalents)
                values.append(math.nan)
            work.append(step.equivalents)
            values.append(step.value)
            before = step.stage
        return Trace(np.array(work), np.array(values))


def on_coarser_grids(problem: SIMP, rule: AbstractRule, counts: Iterable[int]) -> list[Stage]:
    """Return the stages before that of a problem, from coarse to fine; `counts` are the solves, those on the next coarser grid first."""
    stages: list[Stage] = []
    for count in counts:
        if (below := coarser(stages[0].problem if stages else problem)) is None:
            break
        stages.insert(0, Stage(below, rule, count))
    return stages


def optimize(
    stages: Sequence[Stage],
    *,
    start: Float[ndarray, "..."] | None = None,
    change: float | None = 0.01,
    gain: float = 0.0,
    record: str | Path | Recording | None = None,
    callback: Callable[[Step], bool | None] | None = None,
) -> Design:
    """Run the stages, each from the design of the one before, or from the lowest design, blurred.

    **Arguments:**

    - `start`: the design with which the first stage begins; the uniform one if left out.
    - `change`: the last stage ends when no density changes by more than this; `None` uses all solves it may take.
    - `gain`: the last stage also ends when in 20 solves the lowest value has fallen by less than this fraction. The run ends when a
      start from the lowest design has not gained more.
    - `record`: where to record; each of several stages has its own folder there.
    - `callback`: called after each solve; `True` stops the run.

    **Returns:** a `Design`; whether it converged is in its solution.

    **Raises:** as `minimize`; the `found` of an `Interrupted` is the design so far.
    """
    Stop(change=change, gain=gain, max_evaluations=stages[-1].solutions)  # refuses wrong numbers before the first stage, not at the last
    record = Recording.of(record)
    rules = [] if record is None else list({str(describe(stage.rule)): stage.rule for stage in stages}.values())
    with Parts(record, [f"stage-{number}" for number in range(len(stages))], problem=stages[-1].problem, rules=rules) as parts:
        design = _through(stages, start, change, gain, parts, callback)
        parts.end(design.settled, {"reason": design.solution.reason, "value": float(design.solution.evaluation.value)})
    return design


def _through(
    stages: Sequence[Stage],
    start: Float[ndarray, "..."] | None,
    change: float | None,
    gain: float,
    parts: Parts,
    callback: Callable[[Step], bool | None] | None,
) -> Design:
    steps: list[Step] = []
    problem, left = stages[-1].problem, stages[-1].solutions
    lowest: Solution | None = None
    solution: Solution | None = None
    misled = blurred = False
    for number, stage in enumerate(stages):
        if stage.misled and not misled:
            continue
        blurred = stage.blur is not None or (blurred and not stage.fresh)
        own, last = stage.problem is problem, number == len(stages) - 1
        point, state = stage.problem.init() if start is None else start, None
        if stage.blur is not None and lowest is not None:
            point = transferred(stage.problem, problem.density(lowest.point), stage.blur * problem.densities.filtering.rmin)
        elif stage.best and lowest is not None:
            point, state = _handed_on(problem, lowest, stage)
        elif solution is not None and not stage.fresh:
            point, state = _handed_on(stages[number - 1].problem, solution, stage)
        known = _value(lowest)
        ceiling = math.inf if stage.floor else known + HOPELESS * abs(known)
        most = min(stage.solutions, left) if own else stage.solutions
        stop = Stop(patience=stage.patience, gain=stage.gain, ceiling=ceiling, max_evaluations=most)
        if last:
            stop = Stop(change=change, patience=WINDOW if gain > 0.0 else None, gain=gain, max_evaluations=most)
        tell = _teller(steps, number, stage, problem, callback)
        before = len(steps)
        try:
            solution = minimize(stage.problem, stage.rule, point, state=state, stop=stop, record=parts[number], callback=tell)
        except Interrupted as signal:
            recall(steps, before, signal.found)
            cut = (stage.problem, signal.found) if lowest is None or (own and _value(signal.found) < known) else (problem, lowest)
            raise Interrupted(Design(*cut, steps, False)) from signal
        recall(steps, before, solution)
        if own:
            left -= solution.num_evaluations
            found = _value(solution)
            lowest = solution if lowest is None or found < known else lowest
            gained, stalled = known - found, solution.reason == "stalled"
            misled = (found > ceiling and stage.rule.doubts(solution.carry.state)) or (
                blurred and stalled and gained <= STALLED * abs(found)
            )
            idle = blurred and stalled and gained <= gain * abs(found)
            if left < 1 or (idle and gain > 0.0):
                break
        if solution.reason == "callback":
            break
    assert solution is not None
    settled = solution.reason in ("converged", "stalled")
    return Design(stage.problem, solution, steps, settled) if lowest is None else Design(problem, lowest, steps, settled)


def _teller(
    steps: list[Step], number: int, stage: Stage, problem: SIMP, callback: Callable[[Step], bool | None] | None
) -> Callable[[Progress], bool]:
    """Return what a stage calls after each solve: it adds a step to those before."""
    price = stage.problem.equilibrium.unknowns / problem.equilibrium.unknowns
    work, seconds = (steps[-1].equivalents, steps[-1].seconds) if steps else (0.0, 0.0)

    def tell(progress: Progress) -> bool:
        trial, volume = progress.carry.trial, float(stage.problem.density(progress.carry.trial).mean())
        value, own = float(progress.carry.evaluation.value), stage.problem is problem
        spent = work + price * progress.cost
        steps.append(Step(number, own, stage.problem, spent, seconds + progress.seconds, value, volume, trial))
        return callback is not None and bool(callback(steps[-1]))

    return tell


def _value(solution: Solution | None) -> float:
    """Return the value of a solution; infinity where there is none."""
    value = math.inf if solution is None else float(solution.evaluation.value)
    return value if math.isfinite(value) else math.inf


def _handed_on(before: SIMP, solution: Solution, stage: Stage) -> tuple[Float[ndarray, "..."], PyTree]:
    """Return where the next stage starts, and what its rule can take up of the state of the rule before."""
    point, shape = solution.point, before.equilibrium.structure.shape
    state = stage.rule.known(solution.state)
    if shape == stage.problem.equilibrium.structure.shape:
        return point, state
    return refined(stage.problem, point), jax.tree.map(lambda leaf: prolonged(leaf) if np.shape(leaf) == shape else leaf, state)
