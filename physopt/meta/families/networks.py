"""Small trainings: networks for regression, classes and residuals, and two that are no networks; what first-order rules are compared on."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from physopt.core.extras import installed

ROWS = 512  # of data in a task
Activation = Callable[[Array], Array]
Rows = tuple[Array, ...]


class Template(NamedTuple):
    """Tasks of one kind, one for each key.

    - `draw(key)`: the parameters to begin with, and the data, arrays with 512 rows each.
    - `loss(params, rows)`: the mean loss of some of the rows.
    """

    name: str
    draw: Callable[[Array], tuple[PyTree, Rows]]
    loss: Callable[[PyTree, Rows], Array]


def layers(key: Array, sizes: Sequence[int]) -> list[dict[str, Array]]:
    """Return weights, `(out, in)`, of variance one over the number of inputs, and zero biases."""
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {"weight": jax.random.normal(k, (m, n), jnp.float32) / n**0.5, "bias": jnp.zeros(m, jnp.float32)}
        for k, n, m in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def network(params: Sequence[dict[str, Array]], x: Float[Array, "... n"], activation: Activation) -> Float[Array, "... m"]:
    """Apply the layers, with the activation between."""
    for i, layer in enumerate(params):
        x = x @ layer["weight"].T + layer["bias"]
        x = activation(x) if i + 1 < len(params) else x
    return x


def _fitting(
    name: str, data: Callable[[Array], Rows], sizes: Sequence[int], activation: Activation, loss: Callable[..., Array]
) -> Template:
    def draw(key: Array) -> tuple[PyTree, Rows]:
        first, second = jax.random.split(key)
        return layers(first, sizes), jax.tree.map(lambda x: x.astype(jnp.float32) if x.dtype == jnp.float64 else x, data(second))

    return Template(name, draw, lambda params, rows: loss(network(params, rows[0], activation), rows[-1]))


def _squares(out: Array, target: Array) -> Array:
    return jnp.mean((out - target) ** 2)


def _classes(out: Array, labels: Array) -> Array:
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(out, labels))


def sines(name: str, sizes: Sequence[int], activation: Activation = jnp.tanh, waves: int = 3) -> Template:
    """Fit a sum of sines of one variable."""

    def data(key: Array) -> Rows:
        k = jax.random.split(key, 4)
        x = jax.random.uniform(k[0], (ROWS, 1), minval=-1.0, maxval=1.0)
        frequencies, phases, sizes = (jax.random.uniform(one, (waves,)) for one in k[1:])
        return x, jnp.sin((1.0 + 7.0 * frequencies) * x + 2.0 * np.pi * phases) @ (0.3 + sizes)[:, None]

    return _fitting(name, data, sizes, activation, _squares)


def teacher(name: str, sizes: Sequence[int], activation: Activation = jnp.tanh) -> Template:
    """Fit another network, with random weights, at random inputs."""

    def data(key: Array) -> Rows:
        first, second = jax.random.split(key)
        x = jax.random.normal(first, (ROWS, sizes[0]))
        hidden = layers(second, (sizes[0], 16, 16, sizes[-1]))
        return x, 3.0 * network([{**layer, "weight": 2.0 * layer["weight"]} for layer in hidden], x, jnp.tanh)

    return _fitting(name, data, sizes, activation, _squares)


def clusters(name: str, sizes: Sequence[int], activation: Activation = jax.nn.relu, apart: float = 1.5) -> Template:
    """Tell overlapping clouds apart, two of each class."""

    def data(key: Array) -> Rows:
        k = jax.random.split(key, 3)
        centres = apart * jax.random.normal(k[0], (2 * sizes[-1], sizes[0]))
        which = jax.random.randint(k[1], (ROWS,), 0, 2 * sizes[-1])
        return centres[which] + jax.random.normal(k[2], (ROWS, sizes[0])), which % sizes[-1]

    return _fitting(name, data, sizes, activation, _classes)


def spirals(name: str, sizes: Sequence[int], activation: Activation = jnp.tanh) -> Template:
    """Tell the arms of a spiral in the plane apart."""

    def data(key: Array) -> Rows:
        k = jax.random.split(key, 3)
        arm, r = jax.random.randint(k[0], (ROWS,), 0, sizes[-1]), jax.random.uniform(k[1], (ROWS,), minval=0.1)
        angle = 4.0 * r + 2.0 * np.pi * arm / sizes[-1]
        return 2.0 * r[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1) + 0.05 * jax.random.normal(k[2], (ROWS, 2)), arm

    return _fitting(name, data, sizes, activation, _classes)


def logistic(name: str, inputs: int, spread: float) -> Template:
    """Logistic regression on inputs whose sizes differ by powers of ten, up to `spread`."""

    def data(key: Array) -> Rows:
        k = jax.random.split(key, 3)
        scales = 10.0 ** jnp.linspace(-spread / 2.0, spread / 2.0, inputs)
        x, hidden = jax.random.normal(k[0], (ROWS, inputs)), jax.random.normal(k[1], (inputs,))
        return x * scales, (x @ hidden + 0.5 * jax.random.normal(k[2], (ROWS,)) > 0.0).astype(jnp.int32)

    return _fitting(name, data, (inputs, 2), jnp.tanh, _classes)


def digits(name: str, sizes: Sequence[int], activation: Activation = jax.nn.relu) -> Template:
    """Read the handwritten digits of scikit-learn, 8 by 8 pixels; with 64 outputs, encode and decode them."""
    from sklearn.datasets import load_digits  # pyright: ignore[reportMissingImports] - optional

    images, labels = load_digits(return_X_y=True)
    pixels, classes = jnp.asarray(images / 16.0, jnp.float32), jnp.asarray(labels, jnp.int32)

    def data(key: Array) -> Rows:
        which = jax.random.permutation(key, len(pixels))[:ROWS]
        return pixels[which], pixels[which] if sizes[-1] == 64 else classes[which]

    return _fitting(name, data, sizes, activation, _squares if sizes[-1] == 64 else _classes)


def autoencoder(name: str, sizes: Sequence[int], activation: Activation = jnp.tanh) -> Template:
    """Encode and decode points of a curved surface of few dimensions."""

    def data(key: Array) -> Rows:
        first, second = jax.random.split(key)
        x = network(layers(first, (min(sizes), 32, sizes[0])), 2.0 * jax.random.normal(second, (ROWS, min(sizes))), jnp.tanh)
        return x, x

    return _fitting(name, data, sizes, activation, _squares)


def poisson(name: str, sizes: Sequence[int], waves: float) -> Template:
    r"""Solve $u'' = -f$ on the unit interval, $u = x (1 - x) N(x)$, for a random sum of sines, in units of $f$."""

    def data(key: Array) -> Rows:
        first, second = jax.random.split(key)
        x = jax.random.uniform(first, (ROWS,))
        modes = np.pi * jnp.arange(1, int(waves) + 1)
        load = jnp.sin(x[:, None] * modes) @ jax.random.normal(second, (len(modes),))
        return x, load / jnp.sqrt(jnp.mean(load**2))

    def loss(params: PyTree, rows: Rows) -> Array:
        u = lambda x: x * (1.0 - x) * network(params, x[None], jnp.tanh)[0]  # noqa: E731
        return jnp.mean((jax.vmap(jax.grad(jax.grad(u)))(rows[0]) + rows[1]) ** 2)

    return _fitting(name, data, sizes, jnp.tanh, _squares)._replace(loss=loss)


def factors(name: str, size: int, rank: int) -> Template:
    """Complete a matrix of low rank from some of its entries."""

    def draw(key: Array) -> tuple[PyTree, Rows]:
        k = jax.random.split(key, 6)
        hidden = [jax.random.normal(one, (size, rank), jnp.float32) / rank**0.5 for one in k[:2]]
        begin = {name: 0.5 * jax.random.normal(one, (size, rank), jnp.float32) for name, one in zip("uv", k[2:4], strict=True)}
        i, j = (jax.random.randint(one, (ROWS,), 0, size) for one in k[4:])
        return begin, (i, j, jnp.sum(hidden[0][i] * hidden[1][j], axis=1))

    return Template(name, draw, lambda params, rows: _squares(jnp.sum(params["u"][rows[0]] * params["v"][rows[1]], axis=1), rows[2]))


def templates() -> dict[str, list[Template]]:
    """Return the templates that rules are tuned on, `"training"`, and those of the circles; those with digits need scikit-learn."""
    relu, tanh, gelu, silu = jax.nn.relu, jnp.tanh, jax.nn.gelu, jax.nn.silu
    found = {
        "training": [
            sines("sines-32", (1, 32, 1)),
            sines("sines-16-16", (1, 16, 16, 1), relu),
            teacher("teacher-32", (4, 32, 1)),
            teacher("teacher-16-16", (8, 16, 16, 2)),
            clusters("clusters-32", (8, 32, 4)),
            clusters("clusters-16-16", (3, 16, 16, 3), tanh),
            logistic("logistic-20", 20, 1.5),
        ],
        "similar": [
            sines("sines-24", (1, 24, 1)),
            sines("sines-20-20", (1, 20, 20, 1), relu),
            teacher("teacher-24", (4, 24, 1)),
            teacher("teacher-20-12", (8, 20, 12, 2)),
            clusters("clusters-24", (8, 24, 4)),
            clusters("clusters-20-12", (3, 20, 12, 3), tanh),
            logistic("logistic-14", 14, 1.5),
        ],
        "related": [
            sines("sines-wide", (1, 64, 1), gelu, waves=5),
            sines("sines-deep", (1, 24, 24, 24, 1), silu),
            teacher("teacher-wide", (6, 64, 64, 1), gelu),
            teacher("teacher-deep", (8, 24, 24, 24, 2), silu),
            clusters("clusters-wide", (16, 64, 8), gelu),
            spirals("spirals-32-32", (2, 32, 32, 3)),
            spirals("spirals-deep", (2, 24, 24, 24, 2), silu),
            logistic("logistic-40", 40, 2.5),
        ],
        "novel": [
            poisson("poisson-16-16", (1, 16, 16, 1), 3.0),
            poisson("poisson-32", (1, 32, 1), 2.0),
            poisson("poisson-24-24-24", (1, 24, 24, 24, 1), 5.0),
            autoencoder("autoencoder-3", (16, 24, 3, 24, 16)),
            autoencoder("autoencoder-5", (24, 5, 24)),
            factors("factors-24", 24, 3),
            factors("factors-40", 40, 4),
        ],
    }
    if installed("sklearn"):
        found["training"].append(digits("digits-32", (64, 32, 10)))
        found["similar"].append(digits("digits-24", (64, 24, 10)))
        found["related"].append(digits("digits-deep", (64, 32, 32, 10), silu))
        found["novel"].append(digits("digits-coded", (64, 32, 8, 32, 64)))
    return found
