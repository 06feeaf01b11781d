"""Random structures to train on: boxes with a few supports and loads anywhere."""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from numpy import ndarray

from physopt.core.problem import AbstractFamily

from .filters import DensityFilter
from .problem import SIMP
from .structure import Structure

NUMBERS = 24


class RandomStructures(AbstractFamily):
    """Boxes of `size` elements along x, fixed along random parts of their edges, with one to three forces of random place and direction.

    A task vector holds numbers between 0 and 1: shape, volume, filter, and where and how the box is supported and loaded.
    """

    size: int = 64
    traceable: bool = eqx.field(default=False, static=True)

    def __check_init__(self) -> None:
        if self.size % 8 or self.size < 16:
            raise ValueError(f"The size is {self.size}; write a multiple of 8, at least 16.")

    def sample(self, key: PRNGKeyArray) -> Float[Array, " mu"]:
        """Draw a task vector."""
        return jax.random.uniform(key, (NUMBERS,))

    def problem(self, mu: Float[Array, " mu"] | Float[ndarray, " mu"]) -> SIMP:
        """Build the problem of a task vector."""
        numbers = iter(np.asarray(mu, float).tolist())
        draw = lambda low, high: low + (high - low) * next(numbers)  # noqa: E731
        wide = self.size
        high = 8 * round(wide * draw(0.4, 1.0) / 8.0)
        volfrac, rmin = draw(0.15, 0.5), draw(2.4, 4.0)
        held = np.zeros((2, wide + 1, high + 1), bool)
        if next(numbers) < 0.5:  # clamped along a part of the left edge
            start = draw(0.0, 0.6)
            held[:, 0, int(start * high) : int((start + draw(0.3, 1.0)) * high) + 1] = True
        else:  # a pin and a roller at the lower edge
            left, right = int(draw(0.0, 0.3) * wide), int(draw(0.7, 1.0) * wide)
            held[:, left : left + 2, 0] = held[1, right - 1 : right + 1, 0] = True
        loads, together = 1 + int(2.999 * next(numbers)), next(numbers) < 0.5
        force = np.zeros((1 if together else loads, 2, wide + 1, high + 1))
        for load in range(loads):
            x, y, angle = int(draw(0.4, 1.0) * wide), int(draw(0.0, 1.0) * high), draw(0.0, 2.0 * np.pi)
            force[0 if together else load, :, x, y] += draw(0.5, 1.0) * np.array([np.cos(angle), np.sin(angle)])
        return SIMP(Structure((wide, high), force, held), volfrac, DensityFilter(rmin))
