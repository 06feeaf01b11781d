"""Levenberg's and Marquardt's method for a network, at fresh places in each step."""

from collections.abc import Iterator
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from physopt.pinn.conditions import Places
from physopt.pinn.network import Network
from physopt.pinn.problem import Problem
from physopt.pinn.sampling import SHARE, conditions, weighted

FEW, MANY = 1.6, 3.0  # places for each parameter: early, and when fewer are overfitted
OVERFITTED = 2.0  # times as large as where it was fitted is the residual at fresh places
PATIENCE = 5  # steps in a row
LENGTHS = 2.0 ** -np.arange(9.0)  # of a step; the best is taken


class Step(NamedTuple):
    """One step: the point after it, the norm of the residual before it at fresh places, and its length, zero if none was good."""

    point: PyTree
    norm: float
    length: float


def levenberg(
    problem: Problem, network: Network, point: PyTree, seed: int = 0, damping: float = 1e-3, first: float = FEW
) -> Iterator[Step]:
    r"""Yield one step after the other, without end: $(J^T J + \lambda) v = -J^T r$, $\lambda = c |r|$, and the best of nine lengths.

    Places are fresh in each step; those of the equation are dense where its residual is large. There are 1.6 of them for each parameter,
    and 3 as soon as the residual at fresh places is twice as large as where it was fitted.

    **Arguments:**

    - `network`: of this problem. `point`: where to start. `damping`: $c$. `first`: places for each parameter at first.

    **Raises:** `FloatingPointError` if the residual at the start is not finite.
    """
    rng, (begin, back) = np.random.default_rng(seed), ravel_pytree(point)
    flat = np.asarray(begin)

    def unravel(flat: np.ndarray) -> PyTree:
        return back(jnp.asarray(flat))

    share, fitted, signs = first, np.inf, 0
    while True:
        network = network.at(places(problem, network, unravel(flat), rng, int(share * flat.size)))
        r, columns = (np.asarray(part) for part in linearized(network, unravel(flat)))
        norm = float(np.linalg.norm(r))
        if not np.isfinite(norm):
            raise FloatingPointError("The residual of the network is not finite where it starts; another seed may do.")
        signs = signs + 1 if norm > OVERFITTED * fitted else 0
        share = MANY if signs >= PATIENCE else share
        step = damped(columns, r, damping * norm)
        norms = np.asarray(_norms(network, unravel(flat), unravel(step)))
        best = int(np.argmin(np.where(np.isfinite(norms), norms, np.inf)))
        better = norms[best] < norm
        flat = flat + LENGTHS[best] * step if better else flat
        fitted = min(float(norms[best]), norm) if better else norm
        yield Step(unravel(flat), norm, float(LENGTHS[best]) if better else 0.0)


def damped(columns: Float[np.ndarray, "p rows"], r: Float[np.ndarray, " rows"], damping: float) -> Float[np.ndarray, " p"]:
    r"""Return $-(J^T J + \lambda)^{-1} J^T r$ by Cholesky; $\lambda$ is raised to the rounding of $J^T J$."""
    gram = scipy.linalg.blas.dsyrk(1.0, columns, lower=1)
    least = 16.0 * np.finfo(float).eps * np.trace(gram)
    gram[np.diag_indices_from(gram)] += max(damping, least)
    return -scipy.linalg.cho_solve(scipy.linalg.cho_factor(gram, lower=True, overwrite_a=True), columns @ r)


def places(problem: Problem, network: Network, point: PyTree, rng: np.random.Generator, num: int) -> list[Places]:
    """Return about `num` fresh places; those of the equation are dense where its residual is large."""
    edge = int(SHARE * num / max(len(problem.conditions), 1)) + 1

    def size(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        return np.linalg.norm(np.asarray(_unscaled(network, point, jnp.asarray(points))), axis=1)

    return [Places(weighted(problem, rng, num - edge * len(problem.conditions), size)), *conditions(problem, rng, edge)]


@eqx.filter_jit
def linearized(network: Network, point: PyTree) -> tuple[Array, Array]:
    """Return what `Network.linearized` does, compiled."""
    return network.linearized(point)


@eqx.filter_jit
def _unscaled(network: Network, point: PyTree, points: Array) -> Array:
    return network.unscaled(point, points)


@eqx.filter_jit
def _norms(network: Network, point: PyTree, step: PyTree) -> Array:
    def norm(length: Array) -> Array:
        return jnp.linalg.norm(network.residual(jax.tree.map(lambda x, v: x + length * v, point, step)))

    return jax.lax.map(norm, jnp.asarray(LENGTHS))
