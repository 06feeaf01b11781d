"""What a trained rule is worth: runs on held-out families beside baselines, and after how many tasks its training is paid back."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from physopt.core.problem import AbstractFamily
from physopt.core.rule import AbstractRule

from .estimators import draw
from .score import steps_to_tolerance

UNSEEN = 2**31 - 1  # training folds its step numbers into the same key, so this stream is another one


def compare(
    rules: Mapping[str, AbstractRule],
    held_out: Mapping[str, AbstractFamily],
    seed: int,
    *,
    tolerance: float = 1e-6,
    budget: int = 300,
    num_tasks: int = 64,
) -> list[dict[str, Any]]:
    r"""Return one record per rule and held-out family: evaluations until $|g| \le \tau |g_0|$ on tasks that no training of this seed drew.

    **Arguments:**

    - `rules`: the trained one and the baselines, by name. `held_out`: traceable families, by name.
    - `seed`: the seed of the training. `tolerance`: $\tau$. `budget`: evaluations of a run; `budget + 1` means never.
    """
    records = []
    for circle, family in held_out.items():
        unseen = draw(family, jax.random.fold_in(jax.random.key(seed), UNSEEN), num_tasks)
        for method, rule in rules.items():
            steps = steps_to_tolerance(rule, family, unseen, tolerance=tolerance, budget=budget)
            records.append(
                {
                    "circle": circle,
                    "method": method,
                    "seed": seed,
                    "median_steps": float(np.median(steps)),
                    "p90_steps": float(np.quantile(steps, 0.9)),
                    "converged": int((steps <= budget).sum()),
                    "tasks": len(steps),
                    "steps": steps.tolist(),
                }
            )
    return records


def break_even(evaluations: float, trained: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Return after how many tasks a training of so many evaluations is paid back, infinite if never, and what a task saves on average.

    **Arguments:**

    - `trained`, `other`: records of `compare` for the same tasks, in the same order.
    """
    saved = float(np.mean([np.mean(b["steps"]) - np.mean(a["steps"]) for a, b in zip(trained, other, strict=True)]))
    return (evaluations / saved if saved > 0.0 else math.inf), saved
