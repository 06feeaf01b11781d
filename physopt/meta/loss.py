"""Meta-losses: what a run should be good at, computed from its `History`, free of units and of the unknown minimum.

The last value is the wrong target: it rewards what happens after the tolerance that anyone needs. These losses count evaluations instead.

??? cite "Reference"
    Arisaka, Li, *Principled acceleration of iterative numerical methods using machine learning*, ICML 2023, section 3.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from physopt.core.iterate import History


class AbstractLoss(eqx.Module):
    """A number to be lowered by meta-training; differentiable almost everywhere, finite for any run."""

    @abc.abstractmethod
    def __call__(self, history: History) -> Float[Array, ""]:
        """Return the loss of one run."""


class LogArea(AbstractLoss):
    r"""Fraction of the evaluations needed, averaged over all tolerances from 1 down to `tolerance`.

    $$\frac1n \sum_{k=1}^n \mathrm{clip}\left(\frac{\log r_k - \log \tau}{- \log \tau}, 0, 1\right),
    \qquad r_k = \min_{j \le k} |g_j| / |g_0|,$$

    the area under the convergence curve. It equals the mean over log-uniform tolerances $t \in [\tau, 1]$ of the number of
    evaluations with $r_k > t$, divided by $n$: 1 for a run without progress, 0 for one that converges at once.

    **Arguments:**

    - `tolerance`: $\tau$, relative to the gradient norm at the start.
    """

    tolerance: float = 1e-6

    def __call__(self, history: History) -> Float[Array, ""]:
        """Return the area, between 0 and 1."""
        logs = _log_progress(history) / jnp.log(self.tolerance)
        return jnp.clip(1.0 - logs[1:], 0.0, 1.0).mean()


class SmoothSteps(AbstractLoss):
    r"""Number of evaluations until one tolerance is met, made smooth: $\sum_k \mathrm{sigmoid}((\log_{10} r_k - \log_{10} \tau) / w)$.

    Use it after `LogArea`: its gradient is small where the tolerance is far from being reached.

    **Arguments:**

    - `tolerance`: $\tau$, relative to the gradient norm at the start. `width`: $w$, in decades.
    """

    tolerance: float = 1e-6
    width: float = 0.5

    def __call__(self, history: History) -> Float[Array, ""]:
        """Return the number of evaluations, between 0 and that of the run."""
        decades = (_log_progress(history) - jnp.log(self.tolerance)) / jnp.log(10.0)
        return jax.nn.sigmoid(decades[1:] / self.width).sum()


class Fall(AbstractLoss):
    r"""How far the value has fallen on average, for positive values with noise and no known minimum, as those of minibatches.

    $$-\frac{1}{n - m} \sum_{k = m + 1}^n \ell(f_k), \qquad f_k = \log \frac{\bar v_1}{\bar v_k}, \qquad
    \ell(f) = \log(1 + f) \text{ for } f > 0, \text{ else } \max(f, -2).$$

    $\bar v_k$ are the $n$ means of `width` values in a row. The outer logarithm makes a gain relative to how far values fall in that task
    at all, so that easy tasks do not rule. What follows a value that is not finite counts as risen.

    **Arguments:**

    - `begin`: $m / n$; what comes before is not looked at. `width`: as many values as see all data once, say.
    """

    begin: float = eqx.field(default=0.25, static=True)
    width: int = eqx.field(default=8, static=True)

    def __call__(self, history: History) -> Float[Array, ""]:
        """Return the mean; 2 for a run whose value rises at once."""
        value = jnp.asarray(history.value)
        sound = jnp.cumsum(~(jnp.isfinite(value) & (value > 0.0))) == 0
        first = jnp.where(sound[0], value[0], 1.0)
        value = jnp.where(sound, value, jnp.exp(3.0) * first)
        means = jnp.convolve(value / first, jnp.full(min(self.width, value.size), 1.0 / self.width, value.dtype), "valid")
        fall = jnp.maximum(jnp.log(means[0]) - jnp.log(means), -2.0)
        gains = jnp.where(fall > 0.0, jnp.log1p(jnp.maximum(fall, 0.0)), fall)
        return jnp.where(sound[0], -gains[int(self.begin * gains.size) :].mean(), 2.0)


def _log_progress(history: History) -> Any:
    # Rows that are not finite, and gradients of zero, would give NaN derivatives where they are not chosen.
    norm = jnp.asarray(history.grad_norm)
    sound = jnp.isfinite(norm) & jnp.isfinite(jnp.asarray(history.value))
    logs = jnp.log(jnp.where(sound & (norm > 0.0), norm, 1.0))
    start = jnp.where(sound[0], logs[0], jnp.inf)
    logs = jnp.where(sound, jnp.where(norm > 0.0, logs, -jnp.inf), start)
    return jnp.where(sound[0], jax.lax.cummin(jnp.clip(logs - logs[0], -700.0, 0.0)), 0.0)
