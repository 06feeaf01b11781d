"""The network of Metz and others: a small perceptron that sees means of gradients of one coordinate, and the time."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..learned import Head
from ..moments import Seen
from .coordinatewise import DECAYS, FLOOR, AbstractCoordinatewise, beside, normalised

TIMES = (10.0, 100.0, 1000.0)  # steps


class PerCoordinate(AbstractCoordinatewise):
    r"""A perceptron with one hidden layer. Of each coordinate it sees, in the array's unit, the gradient $g$ and its means $m_k$.

    It also sees both over $\sqrt v$, where $v$ is the mean of $g^2$; $1 / \sqrt v$; and, the same for all, the time $t$ as
    $\tanh(t / \tau - 1)$ for $\tau$ = 10, 100, 1000 steps.

    **Arguments:**

    - `width`: of the hidden layer. `key`: draws its weights; the others are zero until trained.

    ??? cite "Reference"
        Metz et al., *Practical tradeoffs between memory, compute, and performance in learned optimizers*, CoLLAs 2022, small_fc_lopt.
    """

    head: Head

    def __init__(self, width: int = 8, *, key: PRNGKeyArray):
        self.head = Head(width, key, 2 * (1 + len(DECAYS)) + 1 + len(TIMES), 2)

    def blank(self, count: int, dtype: Any) -> Float[Array, "n 0"]:
        """Return no memory."""
        return jnp.zeros((count, 0), dtype)

    def inputs(self, seen: Seen, count: Array) -> Float[Array, "n inputs"]:
        """See `AbstractCoordinatewise.inputs`."""
        inverse = [_inverse_root(v) for v in seen.squares]
        plain = [seen.grads, *([own[k] for own in seen.means] for k in range(len(DECAYS)))]
        over = [[x * r for x, r in zip(column, inverse, strict=True)] for column in plain]
        columns = beside([[normalised(x) for x in column] for column in (*plain, *over, inverse)])
        times = jnp.tanh(count / jnp.asarray(TIMES, columns.dtype) - 1.0)
        return jnp.concatenate([columns, jnp.broadcast_to(times, (len(columns), len(TIMES)))], axis=1)

    def __call__(self, inputs: Float[Array, "n inputs"], memory: Float[Array, "n 0"]) -> tuple[Float[Array, "n 2"], Float[Array, "n 0"]]:
        """See `AbstractCoordinatewise.__call__`."""
        return jax.vmap(self.head)(inputs), memory


def _inverse_root(square: Array) -> Array:
    """Return one over the root of a mean square in units of that of the array; zero where the array has seen no gradient."""
    mean = jnp.sum(square) / max(square.size, 1)
    return jnp.where(mean > 0.0, jax.lax.rsqrt(square / jnp.where(mean > 0.0, mean, 1.0) + FLOOR), 0.0)
