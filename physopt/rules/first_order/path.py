"""The way that a training has gone so far, as numbers without units: the curve of its loss, and how gradients and steps agree."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..learned import log_over, over, root

DECAY = 0.9  # of the mean of gradients and of their squared lengths
FAST, SLOW = 0.8, 0.96  # of the means of the logarithm of the loss: some 5 and 25 steps
OF_CURVE, OF_ARRAY = 5, 6  # numbers that `Path.curve` and `alignment` return


class Path(NamedTuple):
    """What is kept of the way.

    - `count`: of gradients so far. `first`: the first loss. `fast`, `slow`: means of the logarithm of the loss over the first, and
      `spread`, of its squared distance from `fast`.
    - `mean`: of gradients, with a decay of 0.9. `square`: that of their squared lengths. `grads`, `steps`: the last ones.
    """

    count: Int[Array, ""]
    first: Float[Array, ""]
    fast: Float[Array, ""]
    slow: Float[Array, ""]
    spread: Float[Array, ""]
    mean: list[Array]
    square: Float[Array, " arrays"]
    grads: list[Array]
    steps: list[Array]

    @classmethod
    def begun(cls, leaves: Sequence[Any]) -> "Path":
        """Return the way before the first gradient of these arrays."""
        zero, zeros = jnp.zeros((), jnp.float32), [jnp.zeros_like(leaf) for leaf in leaves]
        return cls(jnp.zeros((), jnp.int32), zero, zero, zero, zero, zeros, jnp.zeros(len(zeros), jnp.float32), zeros, zeros)

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

    def products(self, leaves: Sequence[Array], directions: Sequence[Array]) -> Float[Array, "arrays products"]:
        """Return, for each array, the inner products that `alignment` takes."""
        rows = []
        for k, (g, d) in enumerate(zip(leaves, directions, strict=True)):
            m, last, s = self.mean[k], self.grads[k], self.steps[k]
            pairs = [(g, g), (m, m), (d, d), (last, last), (s, s), (g, m), (d, m), (g, last), (d, s)]
            rows.append(jnp.stack([*(jnp.sum(a * b) for a, b in pairs), self.square[k]]).astype(jnp.float32))
        return jnp.stack(rows) if rows else jnp.zeros((0, 10), jnp.float32)

    def gone(self, leaves: Sequence[Array], steps: Sequence[Array]) -> "Path":
        """Return the way after a gradient and the step that answered it."""
        mean = [DECAY * m + (1.0 - DECAY) * g for m, g in zip(self.mean, leaves, strict=True)]
        lengths = jnp.stack([jnp.sum(g * g) for g in leaves]).astype(jnp.float32) if leaves else self.square
        square = DECAY * self.square + (1.0 - DECAY) * lengths
        return self._replace(mean=mean, square=square, grads=list(leaves), steps=list(steps))


def alignment(products: Float[Array, "*n products"]) -> Float[Array, "*n of_array"]:
    """Return the cosines of gradient with mean and last one, of direction with mean and last step, and how long gradient and mean are.

    The lengths are logarithms over the root of the mean square of gradients so far; all are zero where something has no length yet.
    """
    gg, mm, dd, ll, ss, gm, dm, gl, ds, square = jnp.moveaxis(products, -1, 0)
    g, m, d, last, s = (root(x) for x in (gg, mm, dd, ll, ss))
    cosines = [over(gm, g * m), over(-dm, d * m), over(gl, g * last), over(ds, d * s)]
    return jnp.stack([*cosines, log_over(gg, square), log_over(mm, square)], axis=-1)
