"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner, as a transformation for Optax."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree


class Basis(NamedTuple):
    """Of one side of a matrix: the mean of $G G^T$ and its eigenvectors."""

    mean: Float[Array, "m m"]
    vectors: Float[Array, "m m"]


class SOAPState(NamedTuple):
    """The number of gradients so far; per array their mean, the mean of their squares in the eigenbasis, and the bases of both sides."""

    count: Any
    first: PyTree
    second: PyTree
    bases: PyTree


def soap(
    learning_rate: float | Float[Array, ""],
    *,
    b1: float = 0.95,
    b2: float = 0.95,
    eps: float = 1e-8,
    every: int = 10,
) -> optax.GradientTransformation:
    r"""Return SOAP. For a matrix $G$ with bases $Q_L, Q_R$ the step is $-\eta \, Q_L \, [\hat M' / (\sqrt{\hat V} + \epsilon)] \, Q_R^T$.

    $M' = Q_L^T M Q_R$ is the rotated mean of gradients and $V$ the mean of $(Q_L^T G Q_R)^2$. $L$ and $R$, the means of $G G^T$ and
    $G^T G$, give the bases: by eigenvectors at first, then by one step of power iteration with QR. The first gradient makes the bases
    and no step. Arrays that are no matrices are treated as one row, so that only their long side is rotated.

    **Arguments:**

    - `learning_rate`: $\eta$. `b1`, `b2`: of the means. `eps`: $\epsilon$. `every`: so many gradients keep a basis.

    ??? cite "Reference"
        Vyas et al., *SOAP: improving and stabilizing Shampoo using Adam*, arXiv 2409.11321 (2024), algorithm 3.
    """

    def init(params: PyTree) -> SOAPState:
        zeros = jax.tree.map(lambda x: jnp.zeros(_matrix(x).shape, x.dtype), params)
        bases = jax.tree.map(lambda x: tuple(Basis(jnp.zeros((n, n), x.dtype), jnp.eye(n, dtype=x.dtype)) for n in x.shape), zeros)
        return SOAPState(jnp.zeros((), jnp.int32), zeros, zeros, bases)

    def update(grads: PyTree, state: SOAPState, params: PyTree = None) -> tuple[PyTree, SOAPState]:
        count = state.count + 1
        leaves, structure = jax.tree.flatten(grads)
        sides = structure.flatten_up_to(state.bases)
        matrices = [_matrix(leaf) for leaf in leaves]
        firsts = [b1 * m + (1.0 - b1) * g for m, g in zip(structure.flatten_up_to(state.first), matrices, strict=True)]
        rotated = [_rotate(g, own) for g, own in zip(matrices, sides, strict=True)]
        seconds = [b2 * v + (1.0 - b2) * g**2 for v, g in zip(structure.flatten_up_to(state.second), rotated, strict=True)]
        used = (count - 1).astype(rotated[0].dtype)  # the first gradient made the bases only
        scales = learning_rate * jnp.sqrt(1.0 - b2**used) / jnp.where(count > 1, 1.0 - b1**used, 1.0)
        steps = [_back(_rotate(m, own) / (jnp.sqrt(v) + eps), own) for m, v, own in zip(firsts, seconds, sides, strict=True)]
        updates = [(-scales * step).reshape(leaf.shape).astype(leaf.dtype) for step, leaf in zip(steps, leaves, strict=True)]
        kept = lambda new, old: jax.tree.map(lambda a, b: jnp.where(count > 1, a, b), new, old)  # noqa: E731
        means = [_averaged(g, own, b2) for g, own in zip(matrices, sides, strict=True)]
        bases = jax.lax.cond(
            count == 1,
            lambda: [tuple(Basis(b.mean, _axes(b.mean)) for b in own) for own in means],
            lambda: jax.lax.cond((count - 1) % every == 0, lambda: [tuple(_turned(b) for b in own) for own in means], lambda: means),
        )
        first, second = kept(structure.unflatten(firsts), state.first), kept(structure.unflatten(seconds), state.second)
        return structure.unflatten(updates), SOAPState(count, first, second, structure.unflatten(bases))

    return optax.GradientTransformation(init, update)


def _axes(mean: Array) -> Array:
    """Return eigenvectors of a mean of one gradient; those of the null space, which rounding would choose, are chosen by place."""
    values, vectors = jnp.linalg.eigh(jax.lax.stop_gradient(mean))  # equal eigenvalues have no derivative
    largest = jnp.max(values, initial=0.0)  # an array may be empty
    null = (vectors * (values < 1e-6 * largest)) @ vectors.T
    places = jnp.diag(jnp.linspace(0.5, 1.0, len(mean), dtype=mean.dtype))
    return jnp.linalg.eigh(mean + 1e-3 * largest * null @ places @ null)[1]


def _matrix(x: Any) -> Array:
    return jnp.asarray(x) if x.ndim == 2 else jnp.asarray(x).reshape(1, -1)


def _rotate(g: Array, sides: tuple[Basis, Basis]) -> Array:
    return sides[0].vectors.T @ g @ sides[1].vectors


def _back(g: Array, sides: tuple[Basis, Basis]) -> Array:
    return sides[0].vectors @ g @ sides[1].vectors.T


def _averaged(g: Array, sides: tuple[Basis, Basis], decay: float) -> tuple[Basis, Basis]:
    left, right = sides
    return (
        left._replace(mean=decay * left.mean + (1.0 - decay) * g @ g.T),
        right._replace(mean=decay * right.mean + (1.0 - decay) * g.T @ g),
    )


def _turned(basis: Basis) -> Basis:
    return basis._replace(vectors=jnp.linalg.qr(basis.mean @ basis.vectors)[0])
