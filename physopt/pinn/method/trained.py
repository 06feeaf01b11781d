"""Solve a problem by a trained network, and estimate its error by random waves: for more than three coordinates."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from physopt.pinn.answer import Answer
from physopt.pinn.field import Order
from physopt.pinn.least_squares import Factor
from physopt.pinn.network import Network
from physopt.pinn.problem import Jets, Problem
from physopt.pinn.sampling import interior, scattered
from physopt.pinn.waves import Waves, linear, stacked

from .attempted import Callback, Tried
from .levenberg import levenberg

WAVES = 800  # of which an error is combined
ROWS = 2.5  # places for each of them
LOOKED = 4000  # points at which sizes are compared
FIRST, LATER = 20, 1.3  # steps before the first estimate, and times as many before each further one
STALLED = 4  # estimates in a row that are not lower by a tenth
MOST = 2000  # steps


class Defect(NamedTuple):
    """What is missing of an answer, as waves: the error is `error`, relative, of the worst field; `unknowns` are wrong by so much."""

    waves: Waves
    coefficients: Float[np.ndarray, "size fields"]
    unknowns: Float[np.ndarray, " k"]
    error: float


class Trained(NamedTuple):
    """The fields of a trained network at all times, and the correction to them; a `Piece` of an `Answer`."""

    window: tuple[float, float] | None
    network: Network
    point: PyTree
    defect: Defect | None = None

    def plain(self, points: Float[np.ndarray, "n d"], orders: list[Order]) -> Jets:
        """Return the fields without the correction."""
        with jax.enable_x64(True):
            return np.asarray(_jets(self.network, self.point, jnp.asarray(points), tuple(orders)))

    def corrected(self, points: Float[np.ndarray, "n d"], orders: list[Order]) -> Jets:
        """Return the fields with the correction."""
        plain = self.plain(points, orders)
        return plain if self.defect is None else plain + self.defect.waves.jets(points, orders, self.defect.coefficients)


def train_until(problem: Problem, tol: float, told: Callback, seed: int = 0) -> Answer:
    """Train a network until its estimated error is at most `tol`, or does not fall any more."""
    with jax.enable_x64(True):
        network = Network.of(problem, seed=seed)
        point = network.init(jax.random.key(seed))
        size, due, best, stalled = sum(leaf.size for leaf in jax.tree.leaves(point)), FIRST, np.inf, 0
        for index, step in enumerate(levenberg(problem, network, point, seed), 1):
            if index < due:
                continue
            trained = Trained(problem.time, network, step.point)
            defect = estimated(problem, trained, seed + 1)
            stalled = 0 if defect.error < 0.9 * best else stalled + 1
            best, due = min(best, defect.error), int(LATER * due)
            told(Tried(problem.time, size, defect.error, defect.error <= tol, defect.error))
            if defect.error <= tol or stalled >= STALLED or index >= MOST:
                return _answer(problem, trained._replace(defect=defect), tol, index, size)
    raise AssertionError("training goes on until it returns")


def estimated(problem: Problem, trained: Trained, seed: int, size: int = WAVES) -> Defect:
    r"""Return the solution, in random waves, of the problem linearized at a trained network: what it is wrong by.

    The waves know nothing of the network, so an error that it cannot see is not hidden from them. On Poisson's equation in 5 and 10
    coordinates the estimate was 1.0 to 1.3 times the error.
    """
    rng = np.random.default_rng(seed)
    waves, places = Waves(problem, rng, size), scattered(problem, rng, int(ROWS * size))
    unknowns, rows = np.asarray(trained.point[1]), [np.asarray(scale) for scale in trained.network.scales.rows]
    known = [trained.plain(where.points, list(block.orders)) for where, block in zip(places, (problem.block, *problem.blocks), strict=True)]
    values, matrix = stacked(linear(problem, places, waves, known, unknowns), rows)
    found = Factor(matrix).solve(values)
    columns = size * len(problem.fields)
    coefficients = found[:columns].reshape(size, -1)
    points = interior(problem, rng, LOOKED)
    order = [(0,) * points.shape[1]]
    missing, there = (
        np.sqrt(np.mean(look**2, axis=(0, 2))) for look in (waves.jets(points, order, coefficients), trained.plain(points, order))
    )
    return Defect(waves, coefficients, found[columns:], float(np.max(missing / np.maximum(there, 1e-300))))


def _answer(problem: Problem, trained: Trained, tol: float, steps: int, size: int) -> Answer:
    assert trained.defect is not None
    error, unknowns = trained.defect.error, np.asarray(trained.point[1]) + trained.defect.unknowns
    why = f"estimated error {error:.1e}" + ("" if error <= tol else "; a longer training of this network does not help")
    named = dict(zip(problem.unknowns, unknowns.tolist(), strict=True))
    return Answer(problem, (trained,), error, error <= tol, why, named, {}, steps, size)


@eqx.filter_jit
def _jets(network: Network, point: PyTree, points: Array, orders: tuple[Order, ...]) -> Array:
    return network.jets(point, points, orders)
