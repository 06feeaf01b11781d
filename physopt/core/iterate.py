"""One iteration, and many of them under a trace: what the host driver and `jax.lax.scan` have in common."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from .answers import check_tangent, judged, kept, lent
from .problem import AbstractProblem, Evaluation, finite, move_along, step_norm
from .rule import AbstractRule
from .tree import Flag, Scalar, choose, namespace, tree_norm


class Carry(eqx.Module):
    """The state that one iteration passes to the next.

    - `base`: the last accepted point. `trial`: the point that `evaluation` is about.
    - `evaluation`: the oracle's answer at `trial`. `state`: the rule's.
    - `best`, `best_value`: the point of lowest finite value so far, and that value (infinite before there is one).
    - `step_norm`: length of the step from base to trial; NaN for an `Endpoint`. `accept`: did the rule accept its last trial?
    - `cost`: what the iteration has cost, the rule's own work included, in units of one full call of the oracle.
    """

    base: PyTree
    trial: PyTree
    evaluation: Evaluation
    state: PyTree
    best: PyTree
    best_value: Scalar
    step_norm: Scalar
    accept: Flag
    cost: Scalar


class History(eqx.Module):
    """One row per evaluation: the oracle's answer, the length of the step, and whether the rule had accepted the point before.

    `value` is in the problem's unit, `cost` in full calls of its oracle: what this row has cost, with all that the rule spent to reach it.
    `seconds` counts from the start of the run (NaN inside `unroll`).
    """

    value: Float[Array, " n"] | Float[np.ndarray, " n"]
    grad_norm: Float[Array, " n"] | Float[np.ndarray, " n"]
    step_norm: Float[Array, " n"] | Float[np.ndarray, " n"]
    accept: Bool[Array, " n"] | Bool[np.ndarray, " n"]
    cost: Float[Array, " n"] | Float[np.ndarray, " n"]
    seconds: Float[Array, " n"] | Float[np.ndarray, " n"]


class Trial(eqx.Module):
    """A trial point, and the other values that the next `Carry` will hold."""

    base: PyTree
    trial: PyTree
    state: PyTree
    step_norm: Scalar
    accept: Flag
    cost: Scalar


def begin(rule: AbstractRule, point: PyTree, evaluation: Evaluation, known: PyTree = None) -> Carry:
    """Initialize the rule's state from the oracle's answer at the starting point, and from the state known of an earlier run, if any."""
    xp = namespace(evaluation.value)
    best_value, point = xp.where(finite(evaluation), evaluation.value, xp.inf), kept(point)
    state = rule.init(evaluation) if known is None else rule.take_up(evaluation, known)
    # Arrays, not Python scalars, so that the structure is the same before and after a step.
    return Carry(point, point, evaluation, state, point, best_value, xp.asarray(0.0), xp.asarray(True), _total(evaluation, 0.0))


def again(carry: Carry) -> Carry:
    """Return the carry to go on from: its answer is known, and costs nothing a second time."""
    return dataclasses.replace(carry, cost=0.0 * carry.cost)


def propose(problem: AbstractProblem, rule: AbstractRule, carry: Carry) -> Trial:
    """Ask the rule for a move, and return the trial point that it leads to."""
    move, state = rule.step(carry.evaluation, carry.state)
    base = choose(move.recall, carry.best, choose(move.accept, carry.trial, carry.base))
    # A retraction may work in place, and a rule may keep the step, or the end of it, in its state.
    trial = kept(move_along(problem, lent(base), lent(move.step)))
    return Trial(base, trial, state, step_norm(move.step), move.accept, move.cost)


def settle(carry: Carry, new: Trial, evaluation: Evaluation) -> Carry:
    """Update the carry with the oracle's answer at the new trial."""
    better = finite(evaluation) & (evaluation.value < carry.best_value)
    best, best_value = choose(better, (new.trial, evaluation.value), (carry.best, carry.best_value))
    cost = _total(evaluation, new.cost)
    return Carry(new.base, new.trial, evaluation, new.state, best, best_value, new.step_norm, new.accept, cost)


def _total(evaluation: Evaluation, spent: Scalar) -> Any:
    xp = namespace(evaluation.value)
    return xp.asarray(evaluation.cost + spent, xp.asarray(evaluation.value).dtype)


def unroll(problem: AbstractProblem, rule: AbstractRule, point: PyTree | Carry, num_steps: int) -> tuple[Carry, History]:
    """Make `num_steps` moves in one `jax.lax.scan`: under `jit`, `vmap` and `grad`; traceable problems only.

    **Arguments:**

    - `point`: where to start, or the `Carry` with which another `unroll` ended: $n$ moves and then $m$ are $n + m$, bit for bit.

    **Returns:** the last `Carry` and a `History` of `num_steps + 1` evaluations, the starting point's first.

    **Raises:** `TypeError` for a problem that runs on the host; `TypeError` or `ValueError` for malformed answers, as `minimize`.
    """
    if not problem.traceable:
        raise TypeError(
            f"{type(problem).__name__} runs on the host and cannot be unrolled inside JAX. "
            "Use physopt.minimize, or meta-train with the Antithetic() estimator, which only needs values."
        )

    def row(carry: Carry) -> tuple[Any, ...]:
        return carry.evaluation.value, tree_norm(carry.evaluation.grad), carry.step_norm, carry.accept, carry.cost

    def body(carry: Carry, _: None) -> tuple[Carry, tuple[Any, ...]]:
        new = propose(problem, rule, carry)
        carry = settle(carry, new, judged(problem, problem.evaluate(new.trial)))
        return carry, row(carry)

    if isinstance(point, Carry):
        first = again(point)
    else:
        answer = judged(problem, problem.evaluate(point))
        check_tangent(problem, point, answer)
        first = begin(rule, point, answer)
        _check_arrays(rule, first.state)
    last, rows = jax.lax.scan(body, first, None, length=num_steps)
    columns = [jnp.concatenate([jnp.asarray(a)[None], b]) for a, b in zip(row(first), rows, strict=True)]
    return last, History(*columns, seconds=jnp.full(num_steps + 1, jnp.nan))


def _check_arrays(rule: AbstractRule, state: PyTree) -> None:
    for leaf in jax.tree.leaves(state):
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float):
            raise TypeError(
                f"The state of {type(rule).__name__} holds {leaf!r:.40}, and a scan carries arrays only. "
                "Make it a static field of the state, or use physopt.minimize."
            )
