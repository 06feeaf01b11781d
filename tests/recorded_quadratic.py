"""A small traceable problem and a rule with memory, and a script that records their run: `recorded_quadratic.py FOLDER BUDGET`.

The script prints `ready` when it starts to optimize, and the index of each record once it is committed.
"""

import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from physopt.core.problem import AbstractProblem, Euclidean, Evaluation
from physopt.core.recording import Recording
from physopt.core.rule import AbstractRule, Move
from physopt.core.run import Solution, minimize
from physopt.core.stop import Stop
from physopt.core.tree import tree_add, tree_scale, tree_zeros


class Bowl(AbstractProblem):
    """A quadratic with a little coupling, so that every operation of the compiler shows in the last bits."""

    traceable: bool = eqx.field(default=True, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key: Any) -> Any:
        return {"x": jax.random.normal(key, (6, 2)), "y": jnp.linspace(0.1, 1.0, 5)}

    def evaluate(self, point: Any) -> Evaluation:
        def value(p: Any) -> Any:
            weights = jnp.linspace(0.001, 1.0, 12).reshape(6, 2)
            return 0.5 * jnp.sum(weights * p["x"] ** 2) + 0.25 * jnp.sum(p["y"] ** 4) + 0.01 * jnp.sin(p["x"].sum()) * p["y"].sum()

        result, grad = jax.value_and_grad(value)(point)
        return Evaluation(result, grad, Euclidean(grad))

    def retract(self, point: Any, step: Any) -> Any:
        return tree_add(point, step)


class HeavyBall(AbstractRule):
    """Momentum: a rule whose state must survive a resume to the last bit."""

    def init(self, evaluation: Evaluation) -> Any:
        return tree_zeros(evaluation.grad)

    def step(self, evaluation: Evaluation, state: Any) -> tuple[Move, Any]:
        velocity = tree_add(tree_scale(0.95, state), tree_scale(-0.02, evaluation.grad))
        return Move(velocity, evaluation.value < 1e6), velocity


def record(folder: str, budget: int, callback: Any = None) -> Solution:
    """Record a run into `folder`, or continue the one that is there."""
    problem = Bowl()
    recording = Recording(folder, spec={"problem": "bowl"}, resume=True)
    return minimize(
        problem,
        HeavyBall(),
        problem.init(jax.random.key(0)),
        stop=Stop(max_evaluations=budget),
        record=recording,
        callback=callback,
    )


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    print("ready", flush=True)
    record(sys.argv[1], int(sys.argv[2]), lambda progress: print(progress.index, flush=True))
