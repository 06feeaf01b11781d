"""An estimate in pieces, each by a worker."""

import contextlib
import itertools
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from physopt.core.problem import AbstractFamily
from physopt.core.tasks import outcomes

from .estimators import AbstractEstimator, Estimate, Tasks
from .loss import AbstractLoss


class Spread(AbstractEstimator):
    r"""Share the tasks of another estimator out among workers, in a number of pieces that does not depend on the workers.

    $$\hat g = \sum_{p} \frac{n_p}{n} \hat g_p, \qquad s^2 = \sum_p \left(\frac{n_p}{n}\right)^2 s_p^2,$$

    with $n_p$ of the $n$ tasks in piece $p$, which has random numbers and a state of its own. So the estimate is the same bit for bit
    for any number of workers, also where some die: their pieces are sent again.

    **Arguments:**

    - `estimator`: estimates each piece. `executor`: see `physopt.core.tasks.opened`. `pieces`: at most as many as there are tasks.

    **Raises:** as `physopt.core.tasks.outcomes`; `FloatingPointError` for a loss that is not finite.
    """

    traceable: ClassVar[bool] = False
    estimator: AbstractEstimator
    executor: Executor = eqx.field(static=True)
    pieces: int = eqx.field(static=True)

    def __init__(self, estimator: AbstractEstimator, executor: Executor, pieces: int = 8):
        if pieces < 1:
            raise ValueError(f"An estimate cannot be made in {pieces} pieces; write at least 1.")
        self.estimator, self.executor, self.pieces = estimator, executor, pieces

    @property
    def num_steps(self) -> int:
        """Moves per run."""
        return self.estimator.num_steps

    def asked(self) -> dict[str, Any]:
        """Return what a resumed training must have in common: not the workers."""
        return {"estimator": self.estimator, "pieces": self.pieces}

    def init(self, rule: PyTree, family: AbstractFamily, num_tasks: int) -> list[PyTree]:
        """Return the states of all pieces."""
        return [self.estimator.init(rule, family, part.stop - part.start) for part in self._parts(num_tasks)]

    def __call__(
        self, meta_loss: AbstractLoss, rule: PyTree, family: AbstractFamily, tasks: Tasks, key: PRNGKeyArray, state: PyTree = None
    ) -> tuple[Estimate, list[PyTree]]:
        """Return the estimate over all pieces, and their states."""
        number = len(tasks.keys)
        parts, states = self._parts(number), self.init(rule, family, number) if state is None else state
        calls = {}
        for index, part in enumerate(parts):
            piece = jax.tree.map(lambda leaf, part=part: leaf[part], tasks)
            calls[f"piece {index}"] = (self.estimator, meta_loss, rule, family, piece, jax.random.fold_in(key, index), states[index])
        found = {}
        with contextlib.closing(outcomes(estimated, calls, self.executor)) as coming:
            for outcome in coming:
                if outcome.error is not None:
                    raise outcome.error
                found[outcome.name] = outcome.value
        estimates, states = zip(*(found[name] for name in calls), strict=True)
        if wrong := [name for name, one in zip(calls, estimates, strict=True) if not np.isfinite(one.loss)]:
            raise FloatingPointError(f"The meta-loss of {wrong[0]} of {len(parts)} came back as no finite number, which it is for any run.")
        return _joined(estimates, [(part.stop - part.start) / number for part in parts]), list(states)

    def _parts(self, number: int) -> list[slice]:
        ends = np.linspace(0, number, min(self.pieces, number) + 1).astype(int)
        return [slice(int(low), int(high)) for low, high in itertools.pairwise(ends)]


def estimated(call: tuple[Any, ...]) -> tuple[Estimate, PyTree]:
    """Return in a worker the estimate of a piece, and its next state."""
    go = _compiled if call[3].traceable else _estimate
    return go(*call)


def _estimate(estimator: Callable[..., Any], *of: Any) -> tuple[Estimate, PyTree]:
    return estimator(*of)


_compiled = eqx.filter_jit(_estimate)


def _joined(estimates: tuple[Estimate, ...], weights: list[float]) -> Estimate:
    def mean(*leaves: Any) -> Any:
        return sum(weight * leaf for weight, leaf in zip(weights, leaves, strict=True))

    def root(*leaves: Any) -> Any:
        return jnp.sqrt(sum((weight * leaf) ** 2 for weight, leaf in zip(weights, leaves, strict=True)))

    loss = mean(*(one.loss for one in estimates))
    grad = jax.tree.map(mean, *(one.grad for one in estimates))
    error = jax.tree.map(root, *(one.grad_std_error for one in estimates))
    return Estimate(loss, grad, error, jnp.asarray(sum(one.cost for one in estimates)))
