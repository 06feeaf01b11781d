"""Antithetic evolution strategies over whole runs."""

from collections.abc import Callable
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from physopt.core.iterate import History
from physopt.core.problem import AbstractFamily, AbstractProblem
from physopt.core.run import minimize
from physopt.core.stop import Stop

from ..loss import AbstractLoss
from .estimator import AbstractEstimator, Estimate, Tasks, perturbations, trainable, unrolled_loss

Perturbed: TypeAlias = Callable[[Any], Any]
Run: TypeAlias = Callable[[AbstractProblem, Any, PRNGKeyArray, int], History]


def _minimized(problem: AbstractProblem, rule: Any, key: PRNGKeyArray, num_steps: int) -> History:
    return minimize(problem, rule, problem.init(key), stop=Stop(max_evaluations=num_steps + 1)).history


class Antithetic(AbstractEstimator):
    r"""Antithetic evolution strategies: the gradient of the loss smoothed by a Gaussian of width `sigma`.

    $$\hat g = \frac1{TM} \sum_{t=1}^{T} \sum_{m=1}^{M}
    \frac{L_t(\theta + \sigma \epsilon_{tm}) - L_t(\theta - \sigma \epsilon_{tm})}{2 \sigma} \, \epsilon_{tm},
    \qquad \epsilon_{tm} \sim N(0, I),$$

    with perturbations drawn anew for each task $t$. Both runs of a pair have the same problem and start. The estimator needs only values,
    so it works for problems on the host, through `minimize`, and for traceable ones, through `unroll` and `vmap`.

    **Arguments:**

    - `num_steps`: moves per run. `sigma`: in units of the weights. `pairs`: $M \ge 2$, per task.
    - `run`: how the trained rule runs a host problem for `num_steps` moves; by `minimize` if left out.

    ??? cite "Reference"
        Salimans et al., arXiv:1703.03864 (2017), section 2; Nesterov, Spokoiny, Found. Comput. Math. 17 (2017) 527, eq. (27).
    """

    num_steps: int = eqx.field(static=True)
    sigma: float = 0.01
    pairs: int = eqx.field(default=4, static=True)
    run: Run = eqx.field(default=_minimized, static=True)

    def __check_init__(self) -> None:
        if self.pairs < 2 or not self.sigma > 0.0:
            raise ValueError(
                f"Antithetic(sigma={self.sigma}, pairs={self.pairs}): error bars need sigma > 0 and at least 2 pairs per task."
            )

    def __call__(
        self, meta_loss: AbstractLoss, rule: PyTree, family: AbstractFamily, tasks: Tasks, key: PRNGKeyArray, state: PyTree = None
    ) -> tuple[Estimate, PyTree]:
        """Return the mean loss of all runs, the gradient of the smoothed loss, and its standard error over the perturbations."""
        weights, rest = trainable(rule)
        flat, unravel = jax.flatten_util.ravel_pytree(weights)
        noise = perturbations(key, (len(tasks.keys), self.pairs, flat.size), flat.dtype)

        def perturbed(shift: Any) -> PyTree:
            return eqx.combine(unravel(flat + self.sigma * shift), rest)

        run = self._traced if family.traceable else self._hosted
        losses, costs = run(meta_loss, perturbed, family, tasks, noise)
        slopes = self._slopes(losses, noise)
        variance = slopes.var(axis=1, ddof=1).sum(axis=0) / (self.pairs * len(tasks.keys) ** 2)
        grad, error = (a.astype(flat.dtype) for a in (slopes.mean((0, 1)), jnp.sqrt(variance)))
        return Estimate(losses.mean(), unravel(grad), unravel(error), costs.sum()), state

    def _slopes(self, losses: Any, noise: Any) -> Any:
        """Return each pair's estimate, shape `(tasks, pairs, weights)`; `losses` are `(tasks, pairs, sign)`."""
        return ((losses[..., 0] - losses[..., 1]) / (2.0 * self.sigma))[..., None] * noise

    def _traced(self, meta_loss: AbstractLoss, perturbed: Perturbed, family: AbstractFamily, tasks: Tasks, noise: Any) -> tuple[Any, Any]:
        def run(mu: Any, key: PRNGKeyArray, shift: Any) -> tuple[Any, Any]:
            return unrolled_loss(meta_loss, perturbed(shift), family, self.num_steps, mu, key)

        over_signs = jax.vmap(run, (None, None, 0))
        over_pairs = jax.vmap(over_signs, (None, None, 0))
        return jax.vmap(over_pairs)(tasks.mus, tasks.keys, jnp.stack([noise, -noise], axis=2))

    def _hosted(self, meta_loss: AbstractLoss, perturbed: Perturbed, family: AbstractFamily, tasks: Tasks, noise: Any) -> tuple[Any, Any]:
        def run(mu: Any, key: PRNGKeyArray, shift: Any) -> tuple[float, float]:
            history = self.run(family.problem(mu), perturbed(shift), key, self.num_steps)
            return float(meta_loss(padded(history, self.num_steps + 1))), float(history.cost.sum())

        rows = zip(tasks.mus, tasks.keys, noise, strict=True)
        found = jnp.asarray([[[run(mu, key, e), run(mu, key, -e)] for e in shifts] for mu, key, shifts in rows])
        return found[..., 0], found[..., 1]


def padded(history: History, rows: int) -> History:
    """Repeat the last row of a run that ended early until it has `rows` rows, so that losses of runs can be compared."""
    return jax.tree.map(lambda a: np.pad(a, (0, rows - len(a)), mode="edge"), history)
