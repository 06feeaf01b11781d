"""What a rule costs on tasks it has not seen: evaluations to a relative tolerance."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, PRNGKeyArray

from physopt.core.iterate import unroll
from physopt.core.problem import AbstractFamily
from physopt.core.rule import AbstractRule

from .estimators import Tasks


def steps_to_tolerance(
    rule: AbstractRule, family: AbstractFamily, tasks: Tasks, *, tolerance: float, budget: int
) -> Int[np.ndarray, " tasks"]:
    r"""Count, per task, the evaluations after the start until $|g| \le \tau |g_0|$; rejected trials count, `budget + 1` means never.

    **Arguments:**

    - `family`: traceable. `tolerance`: $\tau$. `budget`: evaluations after the start that a run may use.
    """
    return np.asarray(_count(rule, family, tasks, tolerance, budget))


@eqx.filter_jit
def _count(rule: AbstractRule, family: AbstractFamily, tasks: Tasks, tolerance: float, budget: int) -> Int[jax.Array, " tasks"]:
    def one(mu: jax.Array, key: PRNGKeyArray) -> jax.Array:
        problem = family.problem(mu)
        norm = unroll(problem, rule, problem.init(key), budget)[1].grad_norm
        reached = norm <= tolerance * norm[0]
        return jnp.where(reached.any(), jnp.argmax(reached), budget + 1)

    return jax.vmap(one)(tasks.mus, tasks.keys)
