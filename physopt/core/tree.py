"""Linear algebra on tangents (pytrees of NumPy or JAX arrays), and branches that work with and without a trace.

Everything here works on host arrays without compilation, and traces under `jax.jit`.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree, Shaped

Flag: TypeAlias = Bool[Array, ""] | Bool[np.ndarray, ""] | np.bool_ | bool
Scalar: TypeAlias = Shaped[Array, ""] | Shaped[np.ndarray, ""] | np.number | float | int


def tree_dot(a: PyTree, b: PyTree) -> Any:
    r"""Return the inner product $\sum_k \sum_i a_{k,i} b_{k,i}$ over all leaves."""
    products = jax.tree.map(lambda x, y: (x * y).sum(), a, b)
    return sum(jax.tree.leaves(products))


def tree_norm(a: PyTree) -> Any:
    r"""Return the Euclidean norm $\sqrt{\langle a, a \rangle}$; NaN or infinite if any leaf is."""
    return tree_dot(a, a) ** 0.5


def tree_scale(factor: Any, a: PyTree) -> PyTree:
    """Return `factor * a`."""
    return jax.tree.map(lambda x: factor * x, a)


def tree_add(a: PyTree, b: PyTree) -> PyTree:
    """Return `a + b`."""
    return jax.tree.map(lambda x, y: x + y, a, b)


def tree_sub(a: PyTree, b: PyTree) -> PyTree:
    """Return `a - b`."""
    return jax.tree.map(lambda x, y: x - y, a, b)


def tree_zeros(a: PyTree) -> PyTree:
    """Return the zero tangent with the structure of `a`."""
    return jax.tree.map(lambda x: namespace(x).zeros_like(x), a)


def tree_combine(coefficients: Sequence[Any] | Any, terms: Sequence[PyTree]) -> PyTree:
    r"""Return $\sum_k c_k a_k$."""
    return jax.tree.map(lambda *leaves: sum(c * x for c, x in zip(coefficients, leaves, strict=True)), *terms)


def form(tree: PyTree) -> tuple[Any, tuple[tuple[int, ...], ...]]:
    """Return the structure of a pytree and the shapes of its leaves."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple(np.shape(leaf) for leaf in leaves)


def is_traced(*values: Any) -> bool:
    """Say whether any leaf is a JAX tracer, i.e. whether a Python `if` on it would fail."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def namespace(value: Any) -> Any:
    """Return `jax.numpy` for JAX arrays and tracers, else `numpy`: the module whose functions suit `value`."""
    return jnp if isinstance(value, jax.Array) else np


def choose(predicate: Flag, yes: PyTree, no: PyTree) -> PyTree:
    """Return `yes` where `predicate` holds, else `no`; under a trace both need the same structure."""
    if is_traced(predicate):
        return jax.tree.map(lambda y, n: jnp.where(predicate, y, n), yes, no)
    return yes if predicate else no


def branch(predicate: Flag, yes: Callable[..., Any], no: Callable[..., Any], *args: Any) -> Any:
    """Call `yes(*args)` where `predicate` holds, else `no(*args)`; on the host only one of them runs."""
    if is_traced(predicate):
        return jax.lax.cond(predicate, yes, no, *args)
    return yes(*args) if predicate else no(*args)


def fold(function: Callable[[Any, Any], tuple[Any, Any]], carry: Any, rows: PyTree, *, reverse: bool = False) -> tuple[Any, Any]:
    """Return what `jax.lax.scan(function, carry, rows, reverse=reverse)` does; on the host without a compiler."""
    if is_traced(carry, rows):
        return jax.lax.scan(function, carry, rows, reverse=reverse)
    count, results = len(jax.tree.leaves(rows)[0]), []
    for k in reversed(range(count)) if reverse else range(count):
        carry, result = function(carry, jax.tree.map(lambda leaf, k=k: leaf[k], rows))
        results.append(result)
    results = results[::-1] if reverse else results
    return carry, jax.tree.map(lambda *leaves: namespace(leaves[0]).stack(leaves), *results)


def tree_push(memory: PyTree, item: PyTree) -> PyTree:
    """Drop the oldest row of every leaf of `memory`, shape `(rows, ...)`, and append `item` as the newest."""

    def push(rows: Any, new: Any) -> Any:
        xp = namespace(rows)
        return xp.concatenate([rows[1:], xp.asarray(new)[None]])

    return jax.tree.map(push, memory, item)


def tree_memory(item: PyTree, rows: int) -> PyTree:
    """Return a memory of `rows` zero tangents shaped like `item`, oldest first."""

    def blank(leaf: Any) -> Any:
        return namespace(leaf).zeros((rows, *leaf.shape), leaf.dtype)

    return jax.tree.map(blank, item)
