"""A learned mixture around the step of another rule, such as SOAP's."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..learned import Head, over, root
from ..soap import soap
from .path import OF_ARRAY, OF_CURVE, Path, alignment, flat, parted


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

    A research rule: what its trained weights are worth stands in `learned`.

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
        g, d, sizes = flat(leaves), flat(structure.flatten_up_to(base)), [jnp.size(leaf) for leaf in leaves]
        products, matrix = told.products(g, d, sizes), np.array([[float(jnp.ndim(leaf) == 2)] for leaf in leaves], np.float32)
        curve = jnp.broadcast_to(told.curve(horizon), (len(leaves), OF_CURVE))
        h = jax.vmap(weights.head)(jnp.concatenate([alignment(products), curve, matrix.reshape(-1, 1)], axis=1))
        each = jnp.repeat(_coefficients(h, products), np.array(sizes, int), axis=0, total_repeat_length=g.size).astype(g.dtype)
        v = each[:, 0] * d + each[:, 1] * told.mean + each[:, 2] * g + each[:, 3] * told.steps
        return structure.unflatten(parted(learning_rate * v, leaves)), MixtureState(after, told.gone(g, products, v))

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]


def needed(value: Any, name: str) -> Any:
    """Return the loss; raise `TypeError` if there is none."""
    if value is None:
        raise TypeError(f"The {name} follows the loss, and update got none: write update(grads, state, params, value=loss).")
    return value


def _coefficients(h: Float[Array, "arrays 4"], products: Float[Array, "arrays products"]) -> Float[Array, "arrays 4"]:
    """Return the factors of direction, mean, gradient and last step."""
    limits = jnp.asarray([3.0, 2.0, 2.0, 0.95], h.dtype)
    h = jnp.clip(h, -limits, limits)
    length = root(products[:, 2])
    along = [over(length, root(products[:, k])) for k in (1, 0)]  # mean and gradient
    return jnp.stack([jnp.exp(h[:, 0]), -h[:, 1] * along[0], -h[:, 2] * along[1], h[:, 3]], axis=1)
