"""Train a network on a problem whose solution is known, until its error is small enough."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
from jaxtyping import PyTree

from physopt.core.recording import Recording
from physopt.core.rule import AbstractRule
from physopt.core.run import Interrupted, Progress, Solution, minimize
from physopt.core.stop import Stop
from physopt.pinn.poisson import Poisson
from physopt.rules.model_step import ModelStep


class Trained(NamedTuple):
    """The outcome: the run's solution, whose point is the network, and its relative $L_2$ error."""

    solution: Solution
    error: float


def train(
    problem: Poisson,
    network: PyTree,
    *,
    rule: AbstractRule = ModelStep(),
    target: float = 1e-5,
    steps: int = 300,
    record: str | Path | Recording | None = None,
    callback: Callable[[Progress, float], bool | None] | None = None,
) -> Trained:
    """Return the network trained by `rule` until its relative $L_2$ error against the known solution is at most `target`.

    **Arguments:**

    - `network`: where to start; `problem.init(key)` gives one. `steps`: the most steps of the rule.
    - `record`: as for `minimize`. `callback`: called with the progress and the error after each evaluation; `True` stops the run.

    **Raises:** as `minimize`; the `found` of an `Interrupted` is what was trained by then.
    """
    measure = eqx.filter_jit(problem.error)

    def reached(progress: Progress) -> bool:
        error = float(measure(progress.carry.trial))
        return (callback is not None and bool(callback(progress, error))) or error <= target

    try:
        solution = minimize(problem, rule, network, stop=Stop(max_evaluations=steps + 1), record=record, callback=reached)
    except Interrupted as signal:
        raise Interrupted(Trained(signal.found, float(measure(signal.found.point)))) from signal
    return Trained(solution, float(measure(solution.point)))
