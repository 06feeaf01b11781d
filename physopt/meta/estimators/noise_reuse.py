"""Noise-reuse evolution strategies: one perturbation for all windows of a run."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .online import AbstractOnline, Drawn, Gain, Run, Weights, Windowed, refuse_narrow


class NoiseReuse(AbstractOnline):
    r"""Antithetic evolution strategies in windows, where all windows of a run have the perturbation that it began with.

    $$\hat g = \frac{W}{N} \sum_{i=1}^{N} \frac{\Delta_w^+ - \Delta_w^-}{2 \sigma} \epsilon, \qquad \epsilon \sim N(0, I),$$

    with $W$ windows per run, $N$ pairs of runs, and $\Delta_w$ as in `AbstractOnline`; $\epsilon$ is drawn when a run begins. Its mean
    over the windows is the gradient of the loss of the whole run, smoothed as by `Antithetic`. Of the estimators without bias that share
    noise among windows it has the least variance where the windows' own gradients point the same way, and then a call costs less than
    one of `Antithetic` by the factor $W$ for nearly the same.

    **Arguments:**

    - `num_steps`: moves per run, a multiple of `window`. `sigma`: in units of the weights. There are as many pairs of runs as tasks.

    ??? cite "Reference"
        Li, Harrison, Sohl-Dickstein, Smith, Metz, *Variance-reduced gradient estimation via noise-reuse in online evolution strategies*,
        NeurIPS 2023, algorithm 2.
    """

    num_steps: int = eqx.field(static=True)
    window: int = eqx.field(static=True)
    sigma: float = 0.01
    pairs: ClassVar[int] = 1
    num_runs: ClassVar[int] = 2

    def __check_init__(self) -> None:
        refuse_narrow(self, self.sigma)

    def windowed(self, gain: Gain, weights: Weights, runs: Run, noise: Weights, drawn: Drawn, begins: Any) -> Windowed:
        """See `AbstractOnline.windowed`."""
        shift = jnp.where(begins, drawn[0], noise)
        gains, runs = jax.vmap(gain)(weights + self.sigma * jnp.stack([shift, -shift]), runs)
        return Windowed((gains[0] - gains[1]) / (2.0 * self.sigma) * shift, runs, shift, runs.cost.sum())
