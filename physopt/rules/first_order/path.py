"""The way that a training has gone so far, as numbers without units: the curve of its loss, and how gradients and steps agree."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..learned import log_over, over, root

DECAY = 0.9  # of the mean of gradients and of their squared lengths
FAST, SLOW = 0.8, 0.96  # of the means of the logarithm of the loss: some 5 and 25 steps
OF_CURVE, OF_ARRAY = 5, 6  # numbers that `Path.curve` and `alignment` return


Flat: TypeAlias = Float[Array, " n"]


class Path(NamedTuple):
    """What is kept of the way.

    - `count`: of gradients so far. `first`: the first loss. `fast`, `slow`: means of the logarithm of the loss over the first, and
      `spread`, of its squared distance from `fast`.
    - `mean`: of gradients, with a decay of 0.9. `square`: that of their squared lengths. `grads`, `steps`: the last ones. All arrays stand
      one after the other in one, since a few long ones are compiled sooner than many short ones.
    """

    count: Int[Array, ""]
    first: Float[Array, ""]
    fast: Float[Array, ""]
    slow: Float[Array, ""]
    spread: Float[Array, ""]
    mean: Flat
    square: Float[Array, " arrays"]
    grads: Flat
    steps: Flat

    @classmethod
    def begun(cls, leaves: Sequence[Any]) -> "Path":
        """Return the way before the first gradient of these arrays."""
        zero, zeros = jnp.zeros((), jnp.float32), jnp.zeros_like(flat(leaves))
        return cls(jnp.zeros((), jnp.int32), zero, zero, zero, zero, zeros, jnp.zeros(len(leaves), jnp.float32), zeros, zeros)

    def told(self, value: Any) -> "Path":
        """Return the way after another loss."""
        value = jnp.asarray(value, jnp.float32)
        first = jnp.where(self.count == 0, value, self.first)
        sound = jnp.isfinite(value) & (value > 0.0) & (first > 0.0)  # others tell nothing
        log = jnp.clip(jnp.log(jnp.where(sound, value, 1.0)) - jnp.log(jnp.where(sound, first, 1.0)), -20.0, 20.0)
        of = lambda mean, new, decay: jnp.where(self.count == 0, new, decay * mean + (1.0 - decay) * new)  # noqa: E731
        fast, slow = of(self.fast, log, FAST), of(self.slow, log, SLOW)
        spread = jnp.where(self.count == 0, 0.0, of(self.spread, (log - self.fast) ** 2, SLOW))
        return self._replace(count=self.count + 1, first=first, fast=fast, slow=slow, spread=spread)

    def curve(self, horizon: int | None) -> Float[Array, " of_curve"]:
        """Return how far and how fast the loss falls, its noise, the fraction of the steps, 0 if not told, and time to the power -1/2."""
        fraction = 0.0 * self.fast if horizon is None else jnp.clip(self.count / horizon, 0.0, 1.0)
        return jnp.stack([self.fast / 4.0, self.fast - self.slow, root(self.spread), fraction, self.count**-0.5]).astype(jnp.float32)

    def products(self, g: Flat, d: Flat, sizes: Sequence[int]) -> Float[Array, "arrays products"]:
        """Return, for each array, the inner products that `alignment` takes, of a gradient and a direction."""
        m, last, s = self.mean, self.grads, self.steps
        every = jnp.stack([g * g, m * m, d * d, last * last, s * s, g * m, d * m, g * last, d * s]).astype(jnp.float32)
        sums = [part.sum(axis=1) for part in jnp.split(every, np.cumsum(sizes)[:-1], axis=1)] if sizes else [jnp.zeros((0, 9))]
        return jnp.concatenate([jnp.stack(sums).reshape(-1, 9), self.square[:, None]], axis=1).astype(jnp.float32)

    def gone(self, g: Flat, products: Float[Array, "arrays products"], step: Flat) -> "Path":
        """Return the way after a gradient and the step that answered it."""
        square = DECAY * self.square + (1.0 - DECAY) * products[:, 0]
        return self._replace(mean=DECAY * self.mean + (1.0 - DECAY) * g, square=square, grads=g, steps=step)


def alignment(products: Float[Array, "*n products"]) -> Float[Array, "*n of_array"]:
    """Return the cosines of gradient with mean and last one, of direction with mean and last step, and how long gradient and mean are.

    The lengths are logarithms over the root of the mean square of gradients so far; all are zero where something has no length yet.
    """
    gg, mm, dd, ll, ss, gm, dm, gl, ds, square = jnp.moveaxis(products, -1, 0)
    g, m, d, last, s = (root(x) for x in (gg, mm, dd, ll, ss))
    cosines = [over(gm, g * m), over(-dm, d * m), over(gl, g * last), over(ds, d * s)]
    return jnp.stack([*cosines, log_over(gg, square), log_over(mm, square)], axis=-1)


def flat(leaves: Sequence[Any]) -> Flat:
    """Return all arrays one after the other."""
    return jnp.concatenate([jnp.ravel(leaf) for leaf in leaves]) if leaves else jnp.zeros(0, jnp.float32)


def parted(x: Flat, like: Sequence[Any]) -> list[Array]:
    """Return the arrays that stand one after the other, with shapes and types of others."""
    parts = jnp.split(x, np.cumsum([jnp.size(leaf) for leaf in like])[:-1]) if like else []
    return [part.reshape(jnp.shape(leaf)).astype(leaf.dtype) for part, leaf in zip(parts, like, strict=True)]
