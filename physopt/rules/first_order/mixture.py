"""A learned mixture around the step of another rule, such as SOAP's."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..learned import Head
from ..soap import soap
from .path import OF_ARRAY, OF_CURVE, Path, alignment


class Mixture(eqx.Module):
    """The map from invariants of an array to the four coefficients of its step; zero until trained.

    **Arguments:** `width`: of the hidden layer. `key`: draws its weights.
    """

    head: Head

    def __init__(self, width: int = 4, *, key: PRNGKeyArray):
        self.head = Head(width, key, OF_ARRAY + OF_CURVE + 1, 4)


class MixtureState(NamedTuple):
    """The state of the rule mixed around, and the way so far."""

    base: PyTree
    path: Path


def mixture(
    learning_rate: float | Float[Array, ""],
    weights: Mixture,
    *,
    horizon: int | None = None,
    base: optax.GradientTransformation | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Return a mixture around a step $d$: for each array $\Delta = \eta \, v$ with

    $$v = e^{h_0} d - |d| \left( h_1 \frac{m}{|m|} + h_2 \frac{g}{|g|} \right) + h_3 v_\mathrm{last}.$$

    $m$ is the mean of gradients. The coefficients $h$ are functions of numbers without units: cosines between gradient, mean and steps,
    logarithms of ratios of lengths, and the curve of the loss, see `Path`. So multiplying the loss changes nothing. Untrained, $h = 0$: the
    step of `base`. $|h_0| \le 3$, $|h_1|, |h_2| \le 2$, $|h_3| \le 0.95$.

    `update` takes `value=`, the loss of the gradients, beside them.

    **Arguments:**

    - `learning_rate`: $\eta$. `weights`: what is learned. `horizon`: steps in all, if known. `base`: with a rate of 1; SOAP if left out.

    ??? cite "Reference"
        The idea of learned weights of known steps: Almeida et al., arXiv 2106.00958 (2021); Harrison et al., *A closer look at learned
        optimization: stability, robustness, and inductive biases*, NeurIPS 2022.
    """
    inner = optax.with_extra_args_support(soap(1.0) if base is None else base)

    def init(params: PyTree) -> MixtureState:
        return MixtureState(inner.init(params), Path.begun(jax.tree.leaves(params)))

    def update(
        grads: PyTree, state: MixtureState, params: PyTree = None, *, value: Any = None, **extra: Any
    ) -> tuple[PyTree, MixtureState]:
        leaves, structure = jax.tree.flatten(grads)
        told = state.path.told(needed(value, "mixture"))
        base, after = inner.update(grads, state.base, params, value=value, **extra)
        directions = structure.flatten_up_to(base)
        products = told.products(leaves, directions)
        curve = jnp.broadcast_to(told.curve(horizon), (len(leaves), OF_CURVE))
        matrix = jnp.asarray([[float(jnp.ndim(leaf) == 2)] for leaf in leaves], jnp.float32).reshape(-1, 1)
        mixed = _bounded(jax.vmap(weights.head)(jnp.concatenate([alignment(products), curve, matrix], axis=1)))
        steps = [_mixed(h, d, m, g, s) for h, d, m, g, s in zip(mixed, directions, told.mean, leaves, told.steps, strict=True)]
        updates = structure.unflatten([(learning_rate * step).astype(step.dtype) for step in steps])
        return updates, MixtureState(after, told.gone(leaves, steps))

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]


def needed(value: Any, name: str) -> Any:
    """Return the loss; raise `TypeError` if there is none."""
    if value is None:
        raise TypeError(f"The {name} follows the loss, and update got none: write update(grads, state, params, value=loss).")
    return value


def _bounded(h: Float[Array, "arrays 4"]) -> Float[Array, "arrays 4"]:
    limits = jnp.asarray([3.0, 2.0, 2.0, 0.95], h.dtype)
    return jnp.clip(h, -limits, limits)


def _mixed(h: Float[Array, "4"], d: Array, m: Array, g: Array, s: Array) -> Array:
    length = _length(d)
    along = lambda x: jnp.where(_length(x) > 0.0, length / jnp.where(_length(x) > 0.0, _length(x), 1.0), 0.0) * x  # noqa: E731
    h = h.astype(d.dtype)
    return jnp.exp(h[0]) * d - h[1] * along(m) - h[2] * along(g) + h[3] * s


def _length(x: Array) -> Array:
    square = jnp.sum(x * x)
    return jnp.where(square > 0.0, jnp.sqrt(jnp.where(square > 0.0, square, 1.0)), 0.0)
