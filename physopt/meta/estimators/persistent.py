"""Persistent evolution strategies: a gradient of the loss of a whole run from a few of its moves at a time."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .online import AbstractOnline, Drawn, Gain, Run, Weights, Windowed, refuse_narrow


class Persistent(AbstractOnline):
    r"""Antithetic evolution strategies in windows, each perturbed anew, where a slope feels all perturbations of its run so far.

    $$\hat g = \frac{W}{N} \sum_{i=1}^{N} \frac{\Delta_w^+ - \Delta_w^-}{2 \sigma} \sum_{v \le w} \epsilon_v,
    \qquad \epsilon_v \sim N(0, I),$$

    with $W$ windows per run, $N$ pairs of runs, and $\Delta_w$ as in `AbstractOnline`. Its mean over the windows is the gradient of the
    smoothed loss of the *whole* run, however short they are. The variance grows with their number.

    **Arguments:**

    - `num_steps`: moves per run, a multiple of `window`. `sigma`: in units of the weights. There are as many pairs of runs as tasks.

    ??? cite "Reference"
        Vicol, Metz, Sohl-Dickstein, ICML 2021, section 4, algorithm 2.
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
        (shift,) = drawn
        felt = noise + shift
        gains, runs = jax.vmap(gain)(weights + self.sigma * jnp.stack([shift, -shift]), runs)
        return Windowed((gains[0] - gains[1]) / (2.0 * self.sigma) * felt, runs, felt, runs.cost.sum())
