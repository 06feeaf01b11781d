"""Means of gradients and of their squares, as Adam and SOAP keep them, in the arrays' own coordinates or in Shampoo's eigenbasis."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Basis(NamedTuple):
    """Of one side of a matrix: the mean of $G G^T$ and its eigenvectors."""

    mean: Float[Array, "m m"]
    vectors: Float[Array, "m m"]


class Eigenbasis(NamedTuple):
    r"""Shampoo's eigenbasis of each matrix $G$: $Q_L$ and $Q_R$, eigenvectors of $L$ and $R$, the means of $G G^T$ and $G^T G$.

    They are found by an eigensolver at first, then by one step of power iteration with QR.

    **Arguments:**

    - `every`: so many gradients keep a basis. `decay`: of the means.
    """

    every: int = 10
    decay: float = 0.95

    def init(self, matrix: Array) -> tuple[Basis, Basis]:
        """Return the bases of both sides before the first gradient."""
        left, right = (Basis(jnp.zeros((n, n), matrix.dtype), jnp.eye(n, dtype=matrix.dtype)) for n in matrix.shape)
        return left, right

    def update(self, bases: Sequence[tuple[Basis, Basis]], grads: Sequence[Array], count: Array) -> list[tuple[Basis, Basis]]:
        """Return the bases of all matrices after gradient number `count`, which begins with 1."""
        means = [_averaged(g, own, self.decay) for g, own in zip(grads, bases, strict=True)]
        return jax.lax.cond(
            count == 1,
            lambda: _found(_begun, means),
            lambda: jax.lax.cond((count - 1) % self.every == 0, lambda: _found(_turned, means), lambda: means),
        )


class Averages(NamedTuple):
    """The state of `Moments`: the number of gradients, and for each array its means, one for each decay, its mean square and bases."""

    count: Int[Array, ""]
    means: list[list[Array]]
    squares: list[Array]
    bases: list[tuple[Basis, Basis]] | None


class Seen(NamedTuple):
    """The newest gradients, their means and mean squares, and Adam's direction; one of each for every matrix, in its coordinates."""

    grads: list[Array]
    means: list[list[Array]]
    squares: list[Array]
    direction: list[Array]


class Moments(NamedTuple):
    r"""Keep means of gradients, and give Adam's direction $\hat M / (\sqrt{\hat V} + \epsilon)$ in the coordinates of the means.

    Without `basis` the coordinates are the arrays' own. With it they are $Q_L^T G Q_R$; the first gradient then makes the bases, and no
    step. Arrays that are no matrices are treated as one row, so that only their long side is rotated.

    **Arguments:**

    - `decays`: of the means of gradients, that of Adam's direction first. `square`: of the mean of squares. `eps`: $\epsilon$.
    """

    decays: tuple[float, ...] = (0.9,)
    square: float = 0.999
    eps: float = 1e-8
    basis: Eigenbasis | None = None

    def init(self, leaves: Sequence[Any]) -> Averages:
        """Return the state before the first gradient of these arrays."""
        zeros = [jnp.zeros_like(as_matrix(leaf)) for leaf in leaves]
        bases = None if self.basis is None else [self.basis.init(zero) for zero in zeros]
        return Averages(jnp.zeros((), jnp.int32), [[zero] * len(self.decays) for zero in zeros], zeros, bases)

    def update(self, leaves: Sequence[Any], state: Averages) -> tuple[Seen, Averages]:
        """Return what is seen after another gradient, in the coordinates before it, and the state after it."""
        count, grads = state.count + 1, [as_matrix(leaf) for leaf in leaves]
        turned = lambda every: every if state.bases is None else [_rotate(g, own) for g, own in zip(every, state.bases, strict=True)]  # noqa: E731
        means = [[b * m + (1.0 - b) * g for b, m in zip(self.decays, own, strict=True)] for own, g in zip(state.means, grads, strict=True)]
        here = turned(grads)
        squares = [self.square * v + (1.0 - self.square) * g**2 for v, g in zip(state.squares, here, strict=True)]
        rotated = [list(one) for one in zip(*(turned([own[k] for own in means]) for k in range(len(self.decays))), strict=True)]
        directions = [self._scale(count, v) * own[0] / (_root(v) + self.eps) for own, v in zip(rotated, squares, strict=True)]
        seen = Seen(here, rotated, squares, directions)
        if self.basis is None or state.bases is None:
            return seen, Averages(count, means, squares, None)
        means, squares = jax.tree.map(lambda new, old: jnp.where(count > 1, new, old), (means, squares), (state.means, state.squares))
        return seen, Averages(count, means, squares, self.basis.update(state.bases, grads, count))

    def back(self, steps: Sequence[Array], state: Averages, like: Sequence[Any]) -> list[Array]:
        """Return steps in the arrays' own coordinates, shapes and types; `state` is that before the gradient that they answer."""
        own = steps if state.bases is None else [_back(step, sides) for step, sides in zip(steps, state.bases, strict=True)]
        return [step.reshape(jnp.shape(leaf)).astype(leaf.dtype) for step, leaf in zip(own, like, strict=True)]

    def _scale(self, count: Array, like: Array) -> Array:
        """Return by what Adam corrects the direction, since the means begin with zero."""
        used = (count if self.basis is None else count - 1).astype(like.dtype)
        corrected = jnp.where(used > 0, 1.0 - self.decays[0] ** used, 1.0)
        return jnp.sqrt(1.0 - self.square**used) / corrected


def _root(v: Array) -> Array:
    """Return the square root, with a derivative of none at none instead of an infinite one."""
    return jnp.where(v > 0.0, jnp.sqrt(jnp.where(v > 0.0, v, 1.0)), 0.0)


def as_matrix(x: Any) -> Array:
    """Return a matrix as it is, and any other array as one row, in single precision or better: half of it is too coarse for means."""
    x = jnp.asarray(x, jnp.promote_types(jnp.result_type(x), jnp.float32))
    return x if x.ndim == 2 else x.reshape(1, -1)


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


def _found(find: Callable[[Array, Array], Array], bases: Sequence[tuple[Basis, Basis]]) -> list[tuple[Basis, Basis]]:
    """Find the vectors of all bases; those of one size at once, and none before the last ones are found.

    Jaxlib spreads decompositions of several matrices over its threads and waits for them; as many at a time as there are threads would
    wait for ever.
    """
    sides, wait = [side for both in bases for side in both], jnp.zeros(())
    alike: dict[Any, list[int]] = {}
    for k, side in enumerate(sides):
        alike.setdefault((len(side.mean), side.mean.dtype), []).append(k)
    for (size, dtype), places in sorted(alike.items(), key=str):
        if size > 1:
            means, vectors = (jnp.stack([getattr(sides[k], name) for k in places]) for name in ("mean", "vectors"))
            vectors = jax.vmap(find)(means + wait.astype(dtype), vectors)
            wait = jnp.where(vectors[0, 0, 0] > 2.0, 1.0, 0.0)  # an entry is at most 1, so this is 0, but no compiler knows
            for k, own in zip(places, vectors, strict=True):
                sides[k] = sides[k]._replace(vectors=own)
    return list(zip(sides[::2], sides[1::2], strict=True))


def _turned(mean: Array, vectors: Array) -> Array:
    return jnp.linalg.qr(mean @ vectors)[0]


def _begun(mean: Array, _: Array) -> Array:
    """Return eigenvectors of a mean of one gradient; those of the null space, which rounding would choose, are chosen by place."""
    values, vectors = jnp.linalg.eigh(jax.lax.stop_gradient(mean))  # equal eigenvalues have no derivative
    largest = jnp.max(values, initial=0.0)  # an array may be empty
    null = (vectors * (values < 1e-6 * largest)) @ vectors.T
    places = jnp.diag(jnp.linspace(0.5, 1.0, len(mean), dtype=mean.dtype))
    return jnp.linalg.eigh(mean + 1e-3 * largest * null @ places @ null)[1]
