"""Rules that are learned for one coordinate and applied to all: what the network of each sees, and how its answer becomes a step."""

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from ..moments import Averages, Eigenbasis, Moments, Seen
from .path import flat, parted

DECAYS = (0.9, 0.99, 0.999)  # of means of gradients, as in VeLO
FLOOR = 1e-4  # of a mean square over that of its array: coordinates that nothing depends on are not looked at more closely


class AbstractCoordinatewise(eqx.Module):
    """The network of one coordinate; it has a memory, which may be empty."""

    @abc.abstractmethod
    def blank(self, count: int, dtype: Any) -> Float[Array, "n memory"]:
        """Return the memory of so many coordinates before the first step."""

    @abc.abstractmethod
    def inputs(self, seen: Seen, count: Array) -> Float[Array, "n inputs"]:
        """Return what the network is told of all coordinates of all arrays, one after the other, free of the unit of the loss."""

    @abc.abstractmethod
    def __call__(
        self, inputs: Float[Array, "n inputs"], memory: Float[Array, "n memory"]
    ) -> tuple[Float[Array, "n 2"], Float[Array, "n memory"]]:
        """Return direction and logarithm of its size, and the memory after it."""


class CoordinateState(NamedTuple):
    """Means of gradients, and the memory of the network."""

    averages: Averages
    memory: Float[Array, "n memory"]


def coordinatewise(
    learning_rate: float | Float[Array, ""], network: AbstractCoordinatewise, *, basis: Eigenbasis | None = None
) -> optax.GradientTransformation:
    r"""Return a learned correction of Adam's direction $a$; with a `basis`, of SOAP's, in its coordinates.

    $$\Delta = -\eta \, |a| \, \frac{u}{|u|}, \qquad u = \frac{a}{\mathrm{rms}(a)} + d \, e^{s},$$

    for each array, where the network gives $d$ and $s$ of each coordinate. Inputs and outputs are normalised by the root of their mean
    square over the array, so the size of a step is Adam's, and multiplying the loss changes nothing (but for Adam's $\epsilon = 10^{-8}$).
    With a network that answers zero, such as one that is not trained, it is Adam ($\beta$ = 0.9, 0.999) or SOAP ($\beta$ = 0.95, 0.95).

    A research rule: what its trained weights are worth stands in `learned`.

    **Arguments:**

    - `learning_rate`: $\eta$. `network`: what is learned. `basis`: SOAP's eigenbasis; without it the arrays' own coordinates.

    ??? cite "Reference"
        Andrychowicz et al., NeurIPS 2016; Metz et al., *VeLO*, arXiv 2211.09760 (2022); Moudgil et al., *Celo*, TMLR 2025.
    """
    moments = Moments(DECAYS) if basis is None else Moments((0.95, *DECAYS[1:]), 0.95, basis=basis)

    def init(params: PyTree) -> CoordinateState:
        leaves = jax.tree.leaves(params)
        dtype = jnp.result_type(*leaves, jnp.float32)
        return CoordinateState(moments.init(leaves), network.blank(sum(jnp.size(leaf) for leaf in leaves), dtype))

    def update(grads: PyTree, state: CoordinateState, params: PyTree = None) -> tuple[PyTree, CoordinateState]:
        leaves, structure = jax.tree.flatten(grads)
        seen, averages = moments.update(leaves, state.averages)
        answers, memory = network(network.inputs(seen, averages.count).astype(state.memory.dtype), state.memory)
        each = answers[:, 0] * jnp.exp(jnp.clip(answers[:, 1], -5.0, 5.0))
        steps = [-learning_rate * _as_long(a, normalised(a) + d) for a, d in zip(seen.direction, parted(each, seen.direction), strict=True)]
        return structure.unflatten(moments.back(steps, state.averages, leaves)), CoordinateState(averages, memory)

    return optax.GradientTransformation(init, update)


def normalised(x: Array) -> Array:
    """Return an array over the root of its mean square; zero stays zero."""
    square = jnp.sum(x**2) / max(x.size, 1)
    return jnp.where(square > 0.0, x * jax.lax.rsqrt(jnp.where(square > 0.0, square, 1.0)), 0.0)


def beside(columns: Sequence[Sequence[Array]]) -> Float[Array, "n columns"]:
    """Return one column for each list of arrays, all coordinates of all arrays one after the other."""
    return jnp.stack([flat(one) for one in columns], axis=1)


def _as_long(a: Array, u: Array) -> Array:
    return jnp.sqrt(jnp.sum(a**2) / max(a.size, 1)) * normalised(u)
