"""`physopt train quadratics`: meta-train a learned rule and compare it on tasks that it has not seen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import optax
from rich.table import Table

from physopt.core.problem import AbstractFamily
from physopt.core.recording import Recording
from physopt.core.rule import AbstractRule
from physopt.core.run import Interrupted
from physopt.core.weights import save_weights
from physopt.meta.estimators import AbstractEstimator, Antithetic, Backprop
from physopt.meta.protocol import break_even, compare
from physopt.meta.quadratics import Quadratics, log_cosh
from physopt.meta.training import Training, TrainingProgress, train
from physopt.rules.gradient import GradientDescent
from physopt.rules.lbfgs import LBFGS
from physopt.rules.learned import Span

from .arguments import check_count, check_seed
from .outputs import Recorded, command_line
from .progress import Progress, screen

TOLERANCE = 1e-6
BUDGET = 300
RUN = 40  # moves per run in training; held-out runs may take as many as BUDGET
HELD_OUT: dict[str, AbstractFamily] = {
    "16 unknowns": Quadratics(),
    "64 unknowns": Quadratics(dim=64),
    "log-cosh wells": Quadratics(shape=log_cosh),
}
BASELINES: dict[str, AbstractRule] = {"lbfgs": LBFGS(), "gradient": GradientDescent()}
# Chosen on other draws than those reported; long runs are chaotic in the weights, hence the clip and the small learning rates.
ESTIMATORS: dict[str, tuple[AbstractEstimator, float]] = {
    "antithetic": (Antithetic(RUN, sigma=0.01), 5e-3),
    "backprop": (Backprop(RUN, clip=0.3), 3e-3),
}


def quadratics(
    *,
    steps: int = 300,
    tasks: int = 32,
    seed: int = 0,
    seeds: int = 5,
    estimator: Literal["antithetic", "backprop"] = "antithetic",
    out: Path | None = None,
    outputs: Recorded = Recorded(),
) -> None:
    """Train the rule Span on random quadratic wells, once per seed, and compare it on held-out tasks.

    Parameters
    ----------
    steps
        Meta-training steps.
    tasks
        Fresh tasks per step.
    seed
        The first seed; it determines the rule's first weights, the training tasks and the held-out tasks.
    seeds
        Number of trainings, with consecutive seeds from the first.
    estimator
        How the gradient of the meta-loss is estimated.
    out
        Weight file to write: the rule of the first seed.
    """
    for option, count in {"steps": steps, "tasks": tasks, "seeds": seeds}.items():
        check_count(f"--{option}", count)
    check_seed(seed)
    outputs.check(out)
    method, rate = ESTIMATORS[estimator]
    optim = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(rate, steps)))
    records = []
    for current in range(seed, seed + seeds):
        spec = {"command": command_line(), "seed": current}
        asked = {"seed": current, "estimator": estimator, "tasks": tasks}
        wanted = outputs.recording(spec, asked, f"seed-{current}")
        untrained = Span(key=jax.random.key(current))
        try:
            trained, training = _train(untrained, method, optim, current, steps, tasks, wanted)
        except Interrupted as signal:
            trained, training = signal.found
            if out is not None and current == seed:
                save_weights(out, trained, {"command": command_line(), "seed": seed, "steps_done": len(training.loss)})
            outputs.write(records)
            raise
        cost = {"meta_training_s": float(training.seconds[-1]), "meta_training_evaluations": round(training.cost[-1])}
        rules = {"trained": trained, "untrained": untrained, **BASELINES}
        rows = compare(rules, HELD_OUT, current, tolerance=TOLERANCE, budget=BUDGET)
        records += [{"family": "quadratics", **row, **(cost if row["method"] == "trained" else {})} for row in rows]
        if out is not None and current == seed:
            scores = {row["circle"]: row["median_steps"] for row in rows if row["method"] == "trained"}
            save_weights(out, trained, {"command": command_line(), "seed": seed, "median_steps": scores, "tolerance": TOLERANCE})
    _print(records)
    if out is not None:
        screen().print(f"weights of seed {seed} in {out}", soft_wrap=True)
    outputs.write(records)


def _train(
    rule: AbstractRule,
    estimator: AbstractEstimator,
    optim: optax.GradientTransformation,
    seed: int,
    steps: int,
    tasks: int,
    record: Recording | None,
) -> tuple[AbstractRule, Training]:
    with Progress(f"training, seed {seed}", total=steps) as progress:

        def tell(step: TrainingProgress) -> None:
            progress.update(step.index + 1, loss=step.loss)

        return train(
            rule,
            Quadratics(),
            estimator,
            optim,
            num_steps=steps,
            key=jax.random.key(seed),
            tasks_per_step=tasks,
            record=record,
            callback=tell,
        )


def _print(records: Sequence[Mapping[str, Any]]) -> None:
    """Print medians per held-out set and seed, and after how many tasks the training has paid for itself."""
    methods = ["untrained", "trained", "lbfgs", "gradient"]
    table = Table(title=f"median evaluations until |g| <= {TOLERANCE:g} |g0|, 64 held-out tasks (converged within {BUDGET})")
    for name in ("held-out tasks", "seed", *methods, "untrained / trained"):
        table.add_column(name, justify="left" if name == "held-out tasks" else "right")
    by_place = {(r["circle"], r["seed"], r["method"]): r for r in records}
    for circle, seed in dict.fromkeys((c, s) for c in HELD_OUT for (d, s, _) in by_place if c == d):
        row = {m: by_place[circle, seed, m] for m in methods}
        cells = [f"{r['median_steps']:.0f} ({r['converged']})" for r in row.values()]
        table.add_row(circle, str(seed), *cells, f"{row['untrained']['median_steps'] / row['trained']['median_steps']:.1f}")
    console = screen(120)
    console.print(table)
    trained = [r for r in records if r["method"] == "trained" and r["circle"] == next(iter(HELD_OUT))]
    seconds, evaluations = (float(np.median([r[k] for r in trained])) for k in ("meta_training_s", "meta_training_evaluations"))
    console.print(f"one training: {seconds:.1f} s in the median, {evaluations:.0f} evaluations; it is paid back in evaluations")
    for other in ("untrained", "lbfgs", "gradient"):
        tasks, saved = break_even(evaluations, trained, [by_place[r["circle"], r["seed"], other] for r in trained])
        when = f"after {tasks:.0f} tasks" if saved > 0.0 else "never"
        console.print(f"  against {other}: {when} ({saved:+.1f} evaluations saved per task of {trained[0]['circle']}, on average)")
