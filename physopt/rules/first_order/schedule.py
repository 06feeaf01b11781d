"""A learned schedule: one multiplier of all steps of another rule, from the curve so far."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..learned import Head
from ..soap import soap
from .mixture import needed
from .path import OF_ARRAY, OF_CURVE, Path, alignment, flat, parted

FIRST = 20  # steps that a new task is looked at before it gets a rate of its own
LIMIT = 3.0  # of the logarithm of the multiplier


class Schedule(eqx.Module):
    """The maps from invariants to logarithms of a multiplier: one of each step, and one of the first steps; zero until trained.

    **Arguments:** `width`: of the hidden layers. `key`: draws their weights.
    """

    now: Head
    first: Head

    def __init__(self, width: int = 4, *, key: PRNGKeyArray):
        one, two = jax.random.split(key)
        self.now, self.first = (Head(width, k, OF_ARRAY + OF_CURVE, 1) for k in (one, two))


class ScheduleState(NamedTuple):
    """The state of the rule that is scheduled, the way so far, and the logarithm of the rate of this task over the common one."""

    base: PyTree
    path: Path
    own: Float[Array, ""]


def schedule(
    learning_rate: float | Float[Array, ""],
    weights: Schedule,
    *,
    horizon: int | None = None,
    base: optax.GradientTransformation | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Return the steps of `base`, all multiplied by $\eta \, e^{s(\phi_t) + r(\phi_{20})}$.

    The invariants $\phi_t$ are the curve of the loss and how gradients and steps agree, see `Path`; $r$ is the rate of a new task, which
    its first 20 steps tell, and is 0 before. Multiplying the loss changes nothing. Untrained it is `base`. The exponent is within
    $\pm 3$.

    A research rule: what its trained weights are worth stands in `learned`.

    `update` takes `value=`, the loss of the gradients, beside them.

    **Arguments:**

    - `learning_rate`: $\eta$. `weights`: what is learned. `horizon`: steps in all, if known. `base`: with a rate of 1; SOAP if left out.

    ??? cite "Reference"
        Moudgil et al., *Celo: training versatile learned optimizers on a compute diet*, TMLR 2025, on a scheduler apart from the direction.
    """
    inner = optax.with_extra_args_support(soap(1.0) if base is None else base)

    def init(params: PyTree) -> ScheduleState:
        return ScheduleState(inner.init(params), Path.begun(jax.tree.leaves(params)), jnp.zeros((), jnp.float32))

    def update(
        grads: PyTree, state: ScheduleState, params: PyTree = None, *, value: Any = None, **extra: Any
    ) -> tuple[PyTree, ScheduleState]:
        leaves, structure = jax.tree.flatten(grads)
        told = state.path.told(needed(value, "schedule"))
        base, after = inner.update(grads, state.base, params, value=value, **extra)
        g, d, sizes = flat(leaves), flat(structure.flatten_up_to(base)), [jnp.size(leaf) for leaf in leaves]
        products = told.products(g, d, sizes)
        invariants = jnp.concatenate([alignment(products.sum(axis=0)), told.curve(horizon)])
        own = jnp.where(told.count == FIRST, weights.first(invariants)[0], state.own).astype(state.own.dtype)
        multiplier = learning_rate * jnp.exp(jnp.clip(weights.now(invariants)[0] + own, -LIMIT, LIMIT))
        return structure.unflatten(parted(multiplier * d, leaves)), ScheduleState(after, told.gone(g, products, d), own)

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]
