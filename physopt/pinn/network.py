"""A network that solves a problem: its weights are the point, all residuals together are the value."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from physopt.core.gauss_newton import GaussNewton
from physopt.core.problem import AbstractProblem, Euclidean, Evaluation
from physopt.core.tree import tree_add

from .conditions import Places
from .field import Order
from .problem import Block, Problem
from .sampling import scattered
from .scales import Scales, scales

POINTS = 1000  # places, unless another number is asked for


class Shape(NamedTuple):
    """What a network looks like: its inputs, outputs and hidden layers.

    - `sides`: where each coordinate begins and ends, and whether it repeats. `fields`: number of outputs.
    """

    sides: tuple[tuple[float, float, bool], ...]
    fields: int
    width: int
    depth: int

    def __call__(self, key: PRNGKeyArray | Array) -> eqx.nn.MLP:
        """Return a fresh network."""
        inputs = len(self.sides) + sum(repeats for _, _, repeats in self.sides)
        return eqx.nn.MLP(inputs, self.fields, self.width, self.depth, jnp.tanh, key=key)

    def inputs(self, x: Float[Array, " d"]) -> Float[Array, " inputs"]:
        """Return coordinates scaled to $[-1, 1]$; one that repeats as cosine and sine."""
        parts = []
        for value, (low, high, repeats) in zip(x, self.sides, strict=True):
            scaled = 2.0 * (value - low) / (high - low) - 1.0
            parts += [jnp.cos(jnp.pi * scaled), jnp.sin(jnp.pi * scaled)] if repeats else [scaled]
        return jnp.stack(parts)


class Batch(eqx.Module):
    """The places at which one residual has to vanish; see `Places`."""

    points: Float[Array, "n d"]
    normals: Float[Array, "n s"]
    sums: Float[Array, "rows n"] | None = None
    targets: Float[Array, " rows"] | None = None

    @classmethod
    def of(cls, places: Places, space: int) -> "Batch":
        """Return places as arrays of JAX; without a boundary there are no normals."""
        normals = np.full((len(places.points), space), np.nan) if places.normals is None else places.normals
        sums, targets = (None if part is None else jnp.asarray(part) for part in (places.sums, places.targets))
        return cls(jnp.asarray(places.points), jnp.asarray(normals), sums, targets)


class Network(AbstractProblem):
    r"""Solve a `Problem` by a network: minimize $\tfrac12 |r|^2$ over its weights and the unknown numbers.

    $r$ lists the residuals of the equation and of all conditions at some places, each as $w s \, r_i / \sqrt n$: $n$ is the number of
    places, $s$ makes residuals of different units comparable (see `scales`), and $w$ is `physics_weight` or `boundary_weight`. Inputs are
    scaled to $[-1, 1]$, coordinates that repeat become cosine and sine, and outputs are in units of the solution's size. Derivatives in
    the coordinates are taken forward, those of one total order together.

    A point is `(arrays of an equinox.nn.MLP, unknowns)`; steps are added. One evaluation is one residual with its Jacobian.
    `Network.of(problem)` builds one.

    - `damping`: $c$ in the model's $\lambda = c |r|$: large far from a solution, zero at a solution.

    **Raises:** `ValueError` unless JAX computes in float64: Gauss-Newton squares the condition number.
    """

    blocks: tuple[Block, ...] = eqx.field(static=True)
    shape: Shape = eqx.field(static=True)
    begin: Float[Array, " k"]
    parameters: Float[Array, " q"]
    scales: Scales
    batches: tuple[Batch, ...]
    physics_weight: float = 1.0
    boundary_weight: float = 1.0
    damping: float = 1e-3
    traceable: bool = eqx.field(default=True, static=True)
    unit: str = eqx.field(default="1", static=True)

    def __check_init__(self) -> None:
        if jnp.result_type(float) != jnp.float64:
            raise ValueError(
                "A network needs float64, which JAX leaves off by default: the normal equations of Gauss-Newton lose half of all digits. "
                'Write jax.config.update("jax_enable_x64", True) before the first array.'
            )
        if min(self.shape.width, self.shape.depth) < 1:
            raise ValueError(
                f"A network of width {self.shape.width} and depth {self.shape.depth} is empty; write at least 1, such as 16 and 3."
            )

    @classmethod
    def of(cls, problem: Problem, *, width: int = 16, depth: int = 3, points: int = POINTS, seed: int = 0, **settings: Any) -> "Network":
        """Build the network problem of an equation at random places, about `points` in all.

        **Arguments:**

        - `width`, `depth`: of the tanh network. `seed`: of the places. `settings`: the further fields, such as `boundary_weight`.

        **Raises:** `ValueError` for senseless numbers; `FloatingPointError` where the equation is not finite.
        """
        if points < 8:
            raise ValueError(f"{points} points pose no equation; write at least as many as the network has parameters.")
        rng = np.random.default_rng(seed)
        places = scattered(problem, rng, points)
        problem.block.check(problem, places[0].points)
        repeats = (*problem.domain.periodic, *[False] * (problem.time is not None))
        shape = Shape(tuple((*end, again) for end, again in zip(problem.ends, repeats, strict=True)), len(problem.fields), width, depth)
        begin, parameters = (jnp.asarray(list(numbers.values()), float) for numbers in (problem.unknowns, problem.parameters))
        batches = tuple(Batch.of(each, len(problem.domain.names)) for each in places)
        return cls(
            blocks=(problem.block, *problem.blocks),
            shape=shape,
            begin=begin,
            parameters=parameters,
            scales=scales(problem, places, rng),
            batches=batches,
            **settings,
        )

    def at(self, places: Sequence[Places]) -> "Network":
        """Return the same problem at other places."""
        space = self.batches[0].normals.shape[1]
        return eqx.tree_at(lambda network: network.batches, self, tuple(Batch.of(each, space) for each in places))

    def with_parameters(self, parameters: Float[Array, " q"]) -> "Network":
        """Return the same problem with other parameters of the equation, in the same units."""
        return eqx.tree_at(lambda network: network.parameters, self, parameters)

    def init(self, key: PRNGKeyArray | Array) -> PyTree:
        """Return the parameters of a fresh network, and the unknowns where they begin."""
        return eqx.filter(self.shape(key), eqx.is_array), self.begin

    def evaluate(self, point: PyTree) -> Evaluation:
        """Compute the residual and its Jacobian in one sweep over the places."""
        unravel = ravel_pytree(point)[1]
        r, columns = self.linearized(point)
        square, grad = r @ r, unravel(columns @ r)
        return Evaluation(0.5 * square, grad, GaussNewton(grad, columns @ columns.T, self.damping * jnp.sqrt(square)))

    def retract(self, point: PyTree, step: PyTree) -> PyTree:
        """Return `point + step`."""
        return tree_add(point, step)

    def loss(self, point: PyTree) -> Float[Array, ""]:
        r"""Return $\tfrac12 |r|^2$, for a loop of one's own: `jax.value_and_grad(network.loss)`."""
        r = self.residual(point)
        return 0.5 * r @ r

    def terms(self, point: PyTree) -> Float[Array, " blocks"]:
        r"""Return $\tfrac12 |r|^2$ of the equation and of each condition, in their order: what `loss` is the sum of."""
        return jnp.stack([0.5 * r @ r for r in self._residuals(point)])

    def residual(self, point: PyTree) -> Float[Array, " rows"]:
        """Return all rows, those of the equation first."""
        return jnp.concatenate(self._residuals(point))

    def _residuals(self, point: PyTree) -> list[Array]:
        flat, unravel = ravel_pytree(point)
        return [
            self._rows(i, jax.vmap(self._at_a_place(i, unravel), (None, 0, 0))(flat, *self._where(i)).T) for i in range(len(self.blocks))
        ]

    def linearized(self, point: PyTree) -> tuple[Float[Array, " rows"], Float[Array, "p rows"]]:
        r"""Return the residual $r$ and $J^T$, in the order of `ravel_pytree(point)`."""
        flat, unravel = ravel_pytree(point)
        values, columns = [], []
        for i in range(len(self.blocks)):
            function = self._at_a_place(i, unravel)
            both = jax.vmap(lambda theta, x, n, f=function: (f(theta, x, n), jax.jacrev(f)(theta, x, n)), (None, 0, 0), (1, 2))
            value, slope = both(flat, *self._where(i))
            values.append(self._rows(i, value))
            columns.append(self._rows(i, jnp.moveaxis(slope, 1, 0), targets=False))
        return jnp.concatenate(values), jnp.concatenate(columns, axis=1)

    def unscaled(self, point: PyTree, points: Float[Array, "n d"]) -> Float[Array, "n m"]:
        """Return the equation's residuals at points, in comparable units."""
        flat, unravel = ravel_pytree(point)
        normals = jnp.full((len(points), self.batches[0].normals.shape[1]), jnp.nan)
        return jax.vmap(self._at_a_place(0, unravel), (None, 0, 0))(flat, points, normals) * self.scales.rows[0]

    def jets(self, point: PyTree, points: Float[Array, "n d"], orders: tuple[Order, ...]) -> Float[Array, "n fields orders"]:
        """Return derivatives of the fields at points."""
        return jax.vmap(lambda x: jets(self._fields(point), x, orders))(points)

    def fields(self, point: PyTree, points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n fields"]:
        """Return the fields at points."""
        return np.asarray(_values(self, point, jnp.asarray(points)))

    def _fields(self, point: PyTree) -> Callable[[Array], Array]:
        network = eqx.combine(point[0], eqx.filter_eval_shape(self.shape, jax.random.key(0)))
        return lambda x: self.scales.fields * network(self.shape.inputs(x))

    def _where(self, i: int) -> tuple[Array, Array]:
        return self.batches[i].points, self.batches[i].normals

    def _at_a_place(self, i: int, unravel: Callable[[Array], PyTree]) -> Callable[[Array, Array, Array], Array]:
        block = self.blocks[i]

        def residual(flat: Array, x: Array, n: Array) -> Array:
            point = unravel(flat)
            table = jets(self._fields(point), x, block.orders)
            return block.at(lambda field: lambda order: table[field, block.orders.index(order)], x, n, point[1], self.parameters)

        return residual

    def _rows(self, i: int, values: Float[Array, "*p m n"], targets: bool = True) -> Float[Array, "*p rows"]:
        """Return the rows of one residual from what it is at the places: sums, less targets, with its weight."""
        batch = self.batches[i]
        sums = values if batch.sums is None else values @ batch.sums.T
        if targets and batch.targets is not None:
            sums = sums - batch.targets.reshape(sums.shape)
        weight = self.boundary_weight if i else self.physics_weight
        rows = weight * self.scales.rows[i][:, None] * sums / sums.shape[-1] ** 0.5
        return rows.reshape(*rows.shape[:-2], -1)


@eqx.filter_jit
def _values(network: Network, point: PyTree, points: Array) -> Array:
    return network.jets(point, points, ((0,) * points.shape[1],))[:, :, 0]


class FirstOrder(AbstractProblem):
    """The same problem with gradients only: a fifth of the work, for rules that do not use Gauss and Newton's model."""

    network: Network
    traceable: bool = eqx.field(default=True, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key: PRNGKeyArray | Array) -> PyTree:
        """Return the parameters of a fresh network."""
        return self.network.init(key)

    def evaluate(self, point: PyTree) -> Evaluation:
        """Compute the value and its gradient."""
        value, grad = jax.value_and_grad(self.network.loss)(point)
        return Evaluation(value, grad, Euclidean(grad))

    def retract(self, point: PyTree, step: PyTree) -> PyTree:
        """Return `point + step`."""
        return tree_add(point, step)


def jets(function: Callable[[Array], Array], x: Float[Array, " d"], orders: Sequence[Order]) -> Float[Array, "fields orders"]:
    """Return derivatives of a function of the coordinates, forward; those of one total order share their work.

    Nested forward mode took as long as `jax.experimental.jet` (0.8 to 1.2 times, orders 1 to 3, 2 to 10 coordinates), and it also has
    mixed derivatives.
    """
    columns: list[Array | None] = [None] * len(orders)
    for times in sorted({sum(order) for order in orders}):
        chosen = [k for k, order in enumerate(orders) if sum(order) == times]
        along = jnp.asarray([np.repeat(np.eye(len(x)), orders[k], axis=0) for k in chosen])
        each = jax.vmap(functools.partial(_derivative, function, x))(along) if times else function(x)[None]
        for k, column in zip(chosen, each, strict=True):
            columns[k] = column
    return jnp.stack(columns, axis=1)  # pyright: ignore[reportArgumentType]


def _derivative(function: Callable[[Array], Array], x: Float[Array, " d"], along: Float[Array, "times d"]) -> Float[Array, " fields"]:
    for direction in along:
        function = _forward(function, direction)
    return function(x)


def _forward(function: Callable[[Array], Array], direction: Array) -> Callable[[Array], Array]:
    return lambda x: jax.jvp(function, (x,), (direction,))[1]
