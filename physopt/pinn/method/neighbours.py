"""Networks of one equation as least squares problems that differ in its parameters, for `physopt.meta.starts`."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from physopt.meta.starts.neighbours import Linear
from physopt.pinn.network import Network
from physopt.pinn.problem import Problem
from physopt.pinn.sampling import scattered

from .levenberg import FEW, linearized, places


class Networks:
    """The residual of a network by its weights and unknowns as one vector, and by the parameters of the equation.

    Units are those of `network`. Linearizations are at fresh places, dense where the residual is large; norms at places of their own,
    which stay.
    """

    def __init__(self, problem: Problem, network: Network, point: PyTree, seed: int) -> None:
        self._problem, self._rng, self.network = problem, np.random.default_rng(seed), network
        flat, self._unravel = ravel_pytree(point)
        self._count = int(FEW * flat.size)
        self._common = network.at(scattered(problem, self._rng, self._count))

    def at(self, task: Float[np.ndarray, " q"]) -> Network:
        """Return the network of another member of the family."""
        return _at(self.network, task)

    def unraveled(self, flat: Float[np.ndarray, " p"]) -> PyTree:
        """Return weights and unknowns of a vector."""
        return self._unravel(jnp.asarray(flat))

    def linearize(self, point: Float[np.ndarray, " p"], task: Float[np.ndarray, " q"]) -> Linear:
        """Return the residual at fresh places with its slopes. See `AbstractResiduals`."""
        weights, network = self.unraveled(point), _at(self.network, task)
        network = network.at(places(self._problem, network, weights, self._rng, self._count))
        residual, columns = (np.asarray(part) for part in linearized(network, weights))
        slopes = np.asarray(_slopes(network, weights))
        return Linear(residual, columns, slopes, lambda other, task: _norm(_at(network, task), self.unraveled(other)))

    def norm(self, point: Float[np.ndarray, " p"], task: Float[np.ndarray, " q"]) -> float:
        """Return the norm of the residual at the common places."""
        return _norm(_at(self._common, task), self.unraveled(point))

    def along(
        self, point: Float[np.ndarray, " p"], task: Float[np.ndarray, " q"], directions: Float[np.ndarray, "k p"]
    ) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, "rows k"]]:
        """Return the residual at the common places, and its derivatives along directions."""
        rows, slopes = _along(_at(self._common, task), self.unraveled(point), jnp.asarray(directions))
        return np.asarray(rows), np.asarray(slopes).T


def physical(network: Network, point: PyTree) -> PyTree:
    """Return a point whose outputs are the fields themselves, not in units of their sizes."""
    return _outputs_times(point, network.scales.fields)


def scaled(network: Network, point: PyTree) -> PyTree:
    """Return a point in the units of a network, from one whose outputs are the fields themselves."""
    return _outputs_times(point, 1.0 / network.scales.fields)


def _outputs_times(point: PyTree, factors: Float[Array, " fields"]) -> PyTree:
    arrays, unknowns = point
    last = arrays.layers[-1]
    both = (last.weight * factors[:, None], last.bias * factors)
    return eqx.tree_at(lambda network: (network.layers[-1].weight, network.layers[-1].bias), arrays, both), unknowns


def _at(network: Network, task: Float[np.ndarray, " q"]) -> Network:
    return network.with_parameters(jnp.asarray(task))


def _norm(network: Network, point: PyTree) -> float:
    return float(_residual_norm(network, point))


@eqx.filter_jit
def _residual_norm(network: Network, point: PyTree) -> Array:
    return jnp.linalg.norm(network.residual(point))


@eqx.filter_jit
def _slopes(network: Network, point: PyTree) -> Array:
    return jax.jacfwd(lambda task: network.with_parameters(task).residual(point))(network.parameters)


@eqx.filter_jit
def _along(network: Network, point: PyTree, directions: Array) -> tuple[Array, Array]:
    flat, unravel = ravel_pytree(point)
    rows = lambda x: network.residual(unravel(x))  # noqa: E731
    return rows(flat), jax.vmap(lambda direction: jax.jvp(rows, (flat,), (direction,))[1])(directions)
