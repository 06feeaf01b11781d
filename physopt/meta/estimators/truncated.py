"""Truncated estimators: the gradient of a few moves of a run, as if what came before did not depend on the weights. Biased."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .backprop import clipped
from .online import AbstractOnline, Drawn, Gain, Run, Weights, Windowed, refuse_narrow


class TruncatedBackprop(AbstractOnline):
    r"""Differentiate through one window at a time.

    $$\hat g = \frac{W}{N} \sum_{i=1}^{N} \nabla_\theta \Delta_w(\theta; s_w),$$

    where $s_w$ is the state that the window begins with. It has no noise but that of tasks and windows, and a bias: how $s_w$ depends on
    the weights is left out. With one window it is `Backprop`.

    **Arguments:**

    - `num_steps`: moves per run, a multiple of `window`. `clip`: bound on the norm of each particle's gradient, as for `Backprop`.

    ??? cite "Reference"
        Williams, Peng, Neural Comput. 2 (1990) 490; Wu, Ren, Liao, Grosse, ICLR 2018, on its bias.
    """

    num_steps: int = eqx.field(static=True)
    window: int = eqx.field(static=True)
    clip: float = float("inf")
    pairs: ClassVar[int] = 0
    num_runs: ClassVar[int] = 1

    def windowed(self, gain: Gain, weights: Weights, runs: Run, noise: Weights, drawn: Drawn, begins: Any) -> Windowed:
        """See `AbstractOnline.windowed`."""
        slope, run = jax.grad(gain, has_aux=True)(weights, _only(runs))
        return Windowed(clipped(slope, self.clip), _alone(run), noise, run.cost)


class TruncatedAntithetic(AbstractOnline):
    r"""Antithetic evolution strategies in windows that all begin with the run of the weights themselves.

    $$\hat g = \frac{W}{NM} \sum_{i=1}^{N} \sum_{m=1}^{M}
    \frac{\Delta_w(\theta + \sigma \epsilon_{im}; s_w) - \Delta_w(\theta - \sigma \epsilon_{im}; s_w)}{2 \sigma} \epsilon_{im}$$

    Its bias is that of `TruncatedBackprop`. With one window it is `Antithetic`.

    **Arguments:**

    - `num_steps`: moves per run, a multiple of `window`. `sigma`: in units of the weights. `pairs`: $M$, per particle.

    ??? cite "Reference"
        Metz, Maheswaranathan, Nixon, Freeman, Sohl-Dickstein, ICML 2019; Vicol, Metz, Sohl-Dickstein, ICML 2021, algorithm 1.
    """

    num_steps: int = eqx.field(static=True)
    window: int = eqx.field(static=True)
    sigma: float = 0.01
    pairs: int = eqx.field(default=1, static=True)
    num_runs: ClassVar[int] = 1

    def __check_init__(self) -> None:
        refuse_narrow(self, self.sigma)
        if self.pairs < 1:
            raise ValueError(f"TruncatedAntithetic(pairs={self.pairs}): a slope needs at least one pair.")

    def windowed(self, gain: Gain, weights: Weights, runs: Run, noise: Weights, drawn: Drawn, begins: Any) -> Windowed:
        """See `AbstractOnline.windowed`."""
        many = jnp.concatenate([weights[None], weights + self.sigma * drawn, weights - self.sigma * drawn])
        gains, after = jax.vmap(gain, (0, None))(many, _only(runs))
        plus, minus = gains[1 : self.pairs + 1], gains[self.pairs + 1 :]
        slope = ((plus - minus)[:, None] / (2.0 * self.sigma) * drawn).mean(axis=0)
        return Windowed(slope, _alone(_only(after)), noise, after.cost.sum())


def _only(runs: Run) -> Run:
    return jax.tree.map(lambda leaf: leaf[0], runs)


def _alone(run: Run) -> Run:
    return jax.tree.map(lambda leaf: leaf[None], run)
