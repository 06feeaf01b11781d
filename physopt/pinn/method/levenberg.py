"""Levenberg's and Marquardt's method for a network, at fresh places in each step."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

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


class State(NamedTuple):
    """What the next step depends on, beside problem and network.

    - `flat`: weights and unknowns, in the order of `ravel_pytree`. `share`: places for each parameter.
    - `fitted`: norm of the residual after the last step, where it was fitted. `signs`: steps in a row that overfitted.
    - `rng`: state of the generator of the places, of `numpy.random.default_rng`.
    """

    flat: Float[np.ndarray, " p"]
    share: float
    fitted: float
    signs: int
    rng: dict[str, Any]

    @classmethod
    def at_start(cls, point: PyTree, seed: int = 0, first: float = FEW) -> "State":
        """Return the state before the first step."""
        return cls(np.asarray(ravel_pytree(point)[0]), first, np.inf, 0, dict(np.random.default_rng(seed).bit_generator.state))


class Step(NamedTuple):
    """One step: the point after it, the norm of the residual before it at fresh places, and its length, zero if none was good.

    `state` is what a training goes on from after this step, if it can.
    """

    point: PyTree
    norm: float
    length: float
    state: State | None = None


def levenberg(
    problem: Problem,
    network: Network,
    point: PyTree,
    seed: int = 0,
    damping: float = 1e-3,
    first: float = FEW,
    known: State | None = None,
) -> Iterator[Step]:
    r"""Yield one step after the other, without end: $(J^T J + \lambda) v = -J^T r$, $\lambda = c |r|$, and the best of nine lengths.

    Places are fresh in each step; those of the equation are dense where its residual is large. There are 1.6 of them for each parameter,
    and 3 as soon as the residual at fresh places is twice as large as where it was fitted.

    **Arguments:**

    - `network`: of this problem. `point`: where to start. `damping`: $c$. `first`: places for each parameter at first.
    - `known`: of an earlier step, to go on from there, bit for bit; then only the structure of `point` counts, not `seed` and `first`.

    **Raises:** `FloatingPointError` if the residual at the start is not finite.
    """
    state, back = known or State.at_start(point, seed, first), ravel_pytree(point)[1]
    while True:
        step = _next(problem, network, lambda flat: back(jnp.asarray(flat)), damping, state)
        assert step.state is not None
        state = step.state
        yield step


def _next(problem: Problem, network: Network, unravel: Callable[[np.ndarray], PyTree], damping: float, state: State) -> Step:
    """Return the step from a state, which depends on nothing else."""
    flat, rng = state.flat, np.random.default_rng(0)
    rng.bit_generator.state = state.rng
    there = network.at(places(problem, network, unravel(flat), rng, int(state.share * flat.size)))
    r, columns = (np.asarray(part) for part in linearized(there, unravel(flat)))
    norm = float(np.linalg.norm(r))
    if not np.isfinite(norm):
        raise FloatingPointError("The residual of the network is not finite where it starts; another seed may do.")
    signs = state.signs + 1 if norm > OVERFITTED * state.fitted else 0
    share = MANY if signs >= PATIENCE else state.share
    step = damped(columns, r, damping * norm)
    norms = np.asarray(_norms(there, unravel(flat), unravel(step)))
    best = int(np.argmin(np.where(np.isfinite(norms), norms, np.inf)))
    better = norms[best] < norm
    flat = flat + LENGTHS[best] * step if better else flat
    fitted = min(float(norms[best]), norm) if better else norm
    after = State(flat, share, fitted, signs, dict(rng.bit_generator.state))
    return Step(unravel(flat), norm, float(LENGTHS[best]) if better else 0.0, after)


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
