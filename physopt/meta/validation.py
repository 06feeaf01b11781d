"""Validation during a training: the weights that are best on tasks that it does not see, and when to stop."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from physopt.core.problem import AbstractFamily

from .estimators import Tasks, Union
from .estimators.estimator import unrolled_loss
from .loss import AbstractLoss
from .training import TrainingProgress


class Validation:
    """A callback of `train` that keeps the rule of lowest `loss`, and stops when it gets no better.

    **Arguments:**

    - `loss(rule)`: of tasks that are not trained on, such as `mean_loss`. `rule`: the one before training.
    - `every`: steps between two looks. `patience`: looks in a row without a gain until the end.

    `best` is the rule, `losses` are all looks, that before the training first. A rule that never gets better stays the one before training.
    """

    def __init__(self, loss: Callable[[Any], Any], rule: PyTree, *, every: int = 10, patience: int = 4):
        self._loss, self._every, self._patience = loss, every, patience
        self.best, self.losses = rule, [float(loss(rule))]

    def __call__(self, step: TrainingProgress) -> bool:
        """Look at the rule after this step if it is its turn; return whether the training should end."""
        if (step.index + 1) % self._every:
            return False
        found = float(self._loss(step.rule))
        if found < min(self.losses):
            self.best = step.rule
        self.losses.append(found)
        return len(self.losses) - 1 - self.losses.index(min(self.losses)) >= self._patience


@eqx.filter_jit
def mean_loss(meta_loss: AbstractLoss, rule: PyTree, family: AbstractFamily, num_steps: int, tasks: Tasks) -> Float[Array, ""]:
    """Return the mean loss of runs on these tasks of a traceable family; of a `Union`, on as many of each member."""
    if isinstance(family, Union):
        parts = [
            mean_loss(meta_loss, rule, member, num_steps, own) for member, own in zip(family.members, family.shares(tasks), strict=True)
        ]
        return jnp.stack(parts).mean()
    return jax.vmap(lambda mu, key: unrolled_loss(meta_loss, rule, family, num_steps, mu, key)[0])(tasks.mus, tasks.keys).mean()
