"""The network of Andrychowicz and others: a recurrent one for each coordinate."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..moments import Seen
from .coordinatewise import AbstractCoordinatewise, beside

RANGE = 10.0  # $p$ of the paper: sizes down to $e^{-p}$ are told apart


class Recurrent(AbstractCoordinatewise):
    r"""A gated recurrent unit for each coordinate, which sees sign and size of its gradient, and Adam's direction.

    The gradient is in units of the root of the mean square of its array so far. Size and sign are $\log |g| / p$ and $\mathrm{sign}(g)$,
    below $e^{-p}$ they are $-1$ and $e^p g$, with $p = 10$.

    **Arguments:**

    - `width`: of the memory of a coordinate. `key`: draws the unit's weights; those of its answer are zero until trained.

    ??? cite "Reference"
        Andrychowicz et al., *Learning to learn by gradient descent by gradient descent*, NeurIPS 2016, section 2 and appendix A. The unit
        is that of Cho et al., arXiv 1406.1078 (2014), as in Wichrowska et al., ICML 2017.
    """

    unit: eqx.nn.GRUCell
    out: Float[Array, "2 width"]
    bias: Float[Array, " 2"]

    def __init__(self, width: int = 8, *, key: PRNGKeyArray):
        self.unit = eqx.nn.GRUCell(3, width, key=key)
        self.out, self.bias = jnp.zeros((2, width)), jnp.zeros(2)

    def blank(self, count: int, dtype: Any) -> Float[Array, "n width"]:
        """Return a memory of zeros."""
        return jnp.zeros((count, self.unit.hidden_size), dtype)

    def inputs(self, seen: Seen, count: Array) -> Float[Array, "n 3"]:
        """See `AbstractCoordinatewise.inputs`."""
        told = [_logarithmic(g, v) for g, v in zip(seen.grads, seen.squares, strict=True)]
        sizes, signs = ([one[k] for one in told] for k in range(2))
        return beside([sizes, signs, [jnp.clip(a, -RANGE, RANGE) for a in seen.direction]])

    def __call__(self, inputs: Float[Array, "n 3"], memory: Float[Array, "n width"]) -> tuple[Float[Array, "n 2"], Float[Array, "n width"]]:
        """See `AbstractCoordinatewise.__call__`."""
        memory = jax.vmap(self.unit)(inputs, memory).astype(memory.dtype)
        return memory @ self.out.T + self.bias, memory


def _logarithmic(g: Array, square: Array) -> tuple[Array, Array]:
    """Return size and sign of a gradient in units of the root of the mean of these squares."""
    mean = jnp.sum(square) / max(square.size, 1)
    g = jnp.where(mean > 0.0, g * jax.lax.rsqrt(jnp.where(mean > 0.0, mean, 1.0)), 0.0)
    large = jnp.abs(g) >= jnp.exp(-RANGE)
    size = jnp.where(large, jnp.log(jnp.where(large, jnp.abs(g), 1.0)) / RANGE, -1.0)
    return size, jnp.where(large, jnp.sign(g), jnp.exp(RANGE) * g)
