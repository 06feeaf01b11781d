"""Any rule as an Optax transformation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from physopt.core.gauss_newton import GaussNewton
from physopt.core.problem import AbstractModel, Endpoint, Euclidean, Evaluation, finite
from physopt.core.rule import AbstractRule, Move
from physopt.core.tree import tree_add, tree_sub

Residuals = Callable[[PyTree], Any] | Array


class RuleState(NamedTuple):
    """The number of evaluations, the rule's state, the last accepted point, the trial that follows, and the point of lowest value."""

    count: Any
    rule: PyTree
    base: PyTree
    trial: PyTree
    best: PyTree
    best_value: Any


def as_optax(rule: AbstractRule, *, damping: float | None = None) -> optax.GradientTransformationExtraArgs:
    r"""Return a transformation whose updates are the moves of `rule`; the inverse of `FromOptax`.

    `update(grads, state, params, value=...)` takes the loss and its gradient at `params` and returns what to add to them. `params` are a
    *trial*: a rule may reject them, and the update then leads from them to another trial from the last accepted point. So the last
    `params` of a loop have not been judged; `optax.tree.get(state, "best")` are the best that were. Rules compare values, so the loss
    has to be the same function in each step (one batch, or all data).

    The rule sees what stands before it in `optax.chain`, such as clipped gradients, and not what follows. Parameters may be of mixed
    shapes and real types, with `None` or `optax.MaskedNode` where nothing moves. The rule computes in JAX's default real type.

    **Arguments:**

    - `damping`: with it the rule gets the model of Gauss and Newton, `GaussNewton` with $\lambda = c |r|$, $c$ = `damping`; else
      `Euclidean`. `update` then also takes `residuals`: the function of the parameters whose sum of squares the loss is a multiple
      of, or its array at `params` together with `jacobian`, a pytree like the parameters as `jax.jacobian` returns it.

    `update` also takes `value_fn`, the loss as a function of the parameters, which is called if there is no `value`. Without `params` the
    transformation trusts that they are the trial that it has asked for.

    **Raises:** `TypeError` for what is no rule; at `init` for a rule that computes on the host or needs another model, for one whose state
    is not arrays, and for parameters that are not real; at `update` for what is missing. `ValueError` for a negative `damping`, and for a
    loss or gradients of another form.
    """

    if not isinstance(rule, AbstractRule):
        raise TypeError(f"as_optax takes a rule, such as LBFGS(), and got {rule!r:.40}. What is a transformation already needs nothing.")
    if damping is not None and not damping >= 0.0:
        raise ValueError(f"The damping is {damping}; it is added to squares, so write a number of at least 0, such as 1e-3.")

    def init(params: PyTree) -> RuleState:
        _check_real(params)
        form = jax.eval_shape(lambda p: _first_state(rule, p, damping), params)
        state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), form)
        params = jax.tree.map(jnp.asarray, params)
        return RuleState(jnp.asarray(0), state, params, params, params, jnp.asarray(jnp.inf))

    def update(
        grads: PyTree,
        state: RuleState,
        params: PyTree | None = None,
        *,
        value: Any = None,
        value_fn: Callable[[PyTree], Any] | None = None,
        residuals: Residuals | None = None,
        jacobian: PyTree | None = None,
        **_: Any,
    ) -> tuple[PyTree, RuleState]:
        here = state.trial if params is None else jax.tree.map(jnp.asarray, params)
        if jax.tree.structure(grads) != jax.tree.structure(here):
            raise ValueError("The gradients are no pytree like the parameters; write jax.value_and_grad(loss)(params).")
        value, grads = _value(rule, value, value_fn, here), _widened(grads)
        model = Euclidean(grads) if damping is None else _gauss_newton(grads, here, residuals, jacobian, damping)
        evaluation = Evaluation(value, grads, model)
        first = state.count == 0
        inner = jax.lax.cond(first, lambda: _arrays(rule.init(evaluation), state.rule), lambda: state.rule)
        better = finite(evaluation) & (value < state.best_value)
        best, best_value = _where(better | first, here, state.best), jnp.where(better, value, state.best_value)
        move, inner = rule.step(evaluation, inner)
        base = _where(move.recall, best, _where(move.accept, here, state.base))
        trial, updates = _moved(move, base, here)
        return updates, RuleState(state.count + 1, _arrays(inner, state.rule), base, trial, best, best_value)

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]


def _moved(move: Move, base: PyTree, here: PyTree) -> tuple[PyTree, PyTree]:
    """Return the next trial, and the way to it from the newest."""
    if isinstance(move.step, Endpoint):
        trial = jax.tree.map(lambda end, leaf: jnp.asarray(end, leaf.dtype), move.step.point, base)
        return trial, tree_sub(trial, here)
    step = jax.tree.map(lambda along, leaf: jnp.asarray(along, leaf.dtype), move.step, base)
    # From a point to itself the way is zero, so that an accepted trial is left along the step itself.
    return tree_add(base, step), tree_add(tree_sub(base, here), step)


def _first_state(rule: AbstractRule, params: PyTree, damping: float | None) -> PyTree:
    """Try the rule on parameters that are traced, and return its state."""
    name, grads = type(rule).__name__, _widened(params)
    flat = ravel_pytree(grads)[0]
    model = Euclidean(grads) if damping is None else GaussNewton(grads, jnp.outer(flat, flat), flat @ flat)
    evaluation = Evaluation(flat @ flat, grads, model)
    try:
        state = rule.init(evaluation)
        for leaf in jax.tree.leaves(state):
            if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float):
                raise TypeError(
                    f"The state of {name} holds {leaf!r:.40}, and Optax keeps arrays only. Make it a static field of the state."
                )
        state = jax.tree.map(jnp.asarray, state)
        return _arrays(rule.step(evaluation, state)[1], state)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError, jax.errors.TracerIntegerConversionError) as error:
        raise TypeError(
            f"{name} computes on the host, and an Optax transformation has to run inside jax.jit. "
            "Use it by physopt.minimize, or take a rule that can be traced, such as LBFGS()."
        ) from error


def _value(rule: AbstractRule, value: Any, value_fn: Callable[[PyTree], Any] | None, params: PyTree) -> Array:
    if value is None and value_fn is None:
        raise TypeError(
            f"{type(rule).__name__} compares the loss of its trials, and update got none: write update(grads, state, params, value=loss)."
        )
    value = jnp.asarray(value if value is not None or value_fn is None else value_fn(params))
    if value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
        raise ValueError(f"The loss has shape {value.shape} and type {value.dtype}; one real number is wanted, such as loss.mean().")
    return value.astype(jnp.result_type(float))


def _gauss_newton(grads: PyTree, params: PyTree, residuals: Residuals | None, jacobian: PyTree | None, damping: float) -> AbstractModel:
    flat, unravel = ravel_pytree(_widened(params))
    if callable(residuals):
        like = jax.tree.map(lambda leaf: leaf.dtype, params)
        function = residuals

        def rows(theta: Array) -> tuple[Array, Array]:
            r = ravel_pytree(function(jax.tree.map(lambda leaf, kind: leaf.astype(kind), unravel(theta), like)))[0]
            return (r := r.astype(flat.dtype)), r

        forward = flat.size < jax.eval_shape(rows, flat)[0].size
        columns, r = (jax.jacfwd if forward else jax.jacrev)(rows, has_aux=True)(flat)
    elif residuals is not None and jacobian is not None:
        r = jnp.ravel(residuals).astype(flat.dtype)
        if jax.tree.structure(jacobian) != jax.tree.structure(params):
            raise ValueError("The jacobian is no pytree like the parameters; write jax.jacobian(residuals)(params).")
        columns = jnp.concatenate([jnp.reshape(leaf, (r.size, -1)).astype(flat.dtype) for leaf in jax.tree.leaves(jacobian)], axis=1)
    else:
        raise TypeError(
            "With damping the rule follows the model of Gauss and Newton: write update(..., residuals=function), "
            "or the residuals at params with their jacobian=jax.jacobian(function)(params)."
        )
    slope = columns.T @ r
    square = slope @ slope
    # The factor between the loss and half of the sum of squares, such as 2 / n for the mean.
    factor = jnp.where(square > 0.0, ravel_pytree(grads)[0] @ slope / jnp.where(square > 0.0, square, 1.0), 1.0)
    return GaussNewton(grads, factor * columns.T @ columns, factor * damping * jnp.linalg.norm(r))


def _check_real(params: PyTree) -> None:
    leaves = jax.tree.leaves(params)
    if not leaves:
        raise TypeError("There are no parameters. Give the arrays that are to be trained, such as eqx.filter(model, eqx.is_array).")
    for leaf in leaves:
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | float | int | jax.ShapeDtypeStruct):
            raise TypeError(
                f"A parameter is {leaf!r:.40}, which is no array. Give eqx.filter(model, eqx.is_inexact_array) instead of the model."
            )
        kind = jnp.result_type(leaf)
        if not jnp.issubdtype(kind, jnp.floating):
            raise TypeError(
                f"A parameter is of type {kind}, and rules move real numbers. "
                "Leave it out by eqx.filter(model, eqx.is_inexact_array) or optax.masked; split complex ones into two real parts."
            )


def _widened(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(float)), tree)


def _arrays(state: PyTree, like: PyTree) -> PyTree:
    """Return the state with the types of another."""
    return jax.tree.map(lambda leaf, old: jnp.asarray(leaf, old.dtype), state, like)


def _where(predicate: Any, yes: PyTree, no: PyTree) -> PyTree:
    return jax.tree.map(lambda y, n: jnp.where(predicate, y, n), yes, no)
