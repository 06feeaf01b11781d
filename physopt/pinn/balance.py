r"""Weights for losses of first order, in a loop of one's own: $\sum_i w_i L_i$ with weights that change during the training.

The losses are `Network.terms`, or any others. Weights are no part of what is differentiated: wrap them in `jax.lax.stop_gradient`.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from physopt.core.tree import tree_norm


def gradient_norm_weights(grads: Sequence[PyTree], last: Float[Array, " terms"], decay: float = 0.9) -> Float[Array, " terms"]:
    r"""Return $w_i = a\, w_i^\mathrm{last} + (1 - a) \sum_j |\nabla L_j| / |\nabla L_i|$: all weighted gradients become equally long.

    **Arguments:**

    - `grads`: $\nabla L_i$, one pytree for each term. `last`: the weights so far, at first ones. `decay`: $a$.

    ??? cite "Reference"
        Wang, Sankaran, Wang, Perdikaris, *An expert's guide to training physics-informed neural networks*, arXiv:2308.08468 (2023),
        algorithm 1.
    """
    norms = jnp.stack([tree_norm(grad) for grad in grads])
    return _averaged(norms, last, decay)


def kernel_weights(jacobians: Sequence[Float[Array, "p _"]], last: Float[Array, " terms"], decay: float = 0.9) -> Float[Array, " terms"]:
    r"""Return $w_i = a\, w_i^\mathrm{last} + (1 - a) \sum_j \operatorname{tr} K_j / \operatorname{tr} K_i$.

    $K_i = J_i J_i^T$ is the neural tangent kernel of term $i$; with equal traces all terms fall equally fast.

    **Arguments:**

    - `jacobians`: $J_i^T$, the columns of `Network.linearized` that belong to term $i$. `last`, `decay`: as in `gradient_norm_weights`.

    ??? cite "Reference"
        Wang, Yu, Perdikaris, *When and why PINNs fail to train: a neural tangent kernel perspective*, J. Comput. Phys. 449, 110768 (2022),
        eqs. (6.5) and (6.6).
    """
    return _averaged(jnp.stack([jnp.sum(columns**2) for columns in jacobians]), last, decay)


class Relobralo(eqx.Module):
    r"""Relative loss balancing with random lookback: what has fallen least weighs most.

    With $b_i(s, t) = m \, \mathrm{softmax}_i \, L_i(t) / (\tau L_i(s))$ for $m$ terms and $\rho$ = 1 with probability `lookback`, else 0:

    $$w_i(t) = a \, [\rho \, w_i(t-1) + (1 - \rho) \, b_i(0, t)] + (1 - a) \, b_i(t-1, t)$$

    - `first`, `last`: the losses at the start and at the last call. `weights`: $w(t-1)$.

    **Arguments:** `decay`: $a$. `temperature`: $\tau$. `lookback`: the mean of $\rho$.

    ??? cite "Reference"
        Bischof, Kraus, *Multi-objective loss balancing for physics-informed deep learning*, arXiv:2110.09813 (2021), section 3.
    """

    first: Float[Array, " terms"]
    last: Float[Array, " terms"]
    weights: Float[Array, " terms"]
    decay: float = 0.999
    temperature: float = 0.1
    lookback: float = 0.999

    @classmethod
    def of(cls, losses: Float[Array, " terms"], **settings: float) -> "Relobralo":
        """Begin with equal weights at the losses of the start."""
        return cls(losses, losses, jnp.ones_like(losses), **settings)

    def next(self, losses: Float[Array, " terms"], key: PRNGKeyArray | Array) -> "Relobralo":
        """Return the balance after new losses; its `weights` are those to use."""
        kept = jax.random.bernoulli(key, self.lookback)
        history = jnp.where(kept, self.weights, self._balance(self.first, losses))
        weights = self.decay * history + (1.0 - self.decay) * self._balance(self.last, losses)
        return Relobralo(self.first, losses, weights, self.decay, self.temperature, self.lookback)

    def _balance(self, before: Array, after: Array) -> Array:
        tiny = jnp.finfo(after.dtype).tiny
        return after.size * jax.nn.softmax(after / (self.temperature * before + tiny))


def causal_weights(
    times: Float[Array, " n"], squares: Float[Array, " n"], span: tuple[float, float], slabs: int = 32, epsilon: float = 1.0
) -> Float[Array, " n"]:
    r"""Return $w = \exp(-\epsilon \sum_{k < s} L_k)$ for points in the slab of time $s$: later residuals count once earlier ones are small.

    $L_k$ is the mean of the squared residual over the points of slab $k$, zero for an empty one.

    **Arguments:**

    - `times`, `squares`: where the points are, and $r^2$ there. `span`: where time begins and ends; it is cut into `slabs` equal parts.
    - `epsilon`: $\epsilon$, per unit of $L$. Too large, the late points never count; the source raises it in steps from 0.01 to 100,
      each time until the last weight is above 0.99.

    ??? cite "Reference"
        Wang, Sankaran, Perdikaris, *Respecting causality is all you need for training physics-informed neural networks*,
        arXiv:2203.07404 (2022), eq. (3.11).
    """
    slab = jnp.clip(jnp.floor(slabs * (times - span[0]) / (span[1] - span[0])), 0, slabs - 1).astype(int)
    sums, counts = (jnp.zeros(slabs).at[slab].add(each) for each in (squares, jnp.ones_like(squares)))
    losses = sums / jnp.maximum(counts, 1.0)
    return jnp.exp(-epsilon * (jnp.cumsum(losses) - losses))[slab]


def _averaged(sizes: Float[Array, " terms"], last: Float[Array, " terms"], decay: float) -> Any:
    """Return the moving average of the total over each; a term that is zero keeps its weight."""
    return jnp.where(sizes > 0.0, decay * last + (1.0 - decay) * jnp.sum(sizes) / jnp.where(sizes > 0.0, sizes, 1.0), last)
