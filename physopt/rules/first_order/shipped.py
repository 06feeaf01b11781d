"""The learned rules of first order that physopt ships, by name, and each of them as what `physopt.meta.train` trains."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PRNGKeyArray, PyTree

from physopt.core.problem import Evaluation
from physopt.core.rule import AbstractRule, Move
from physopt.core.weights import load_weights, read_provenance

from ..moments import Eigenbasis
from .coordinatewise import coordinatewise
from .mixture import Mixture, mixture
from .per_coordinate import PerCoordinate
from .recurrent import Recurrent
from .schedule import Schedule, schedule

Build = Callable[[Any, int | None], optax.GradientTransformation]


class Learned(NamedTuple):
    """A learned rule: its weights before training, drawn with a key; its steps with a rate of 1, of weights and the horizon, if known."""

    untrained: Callable[[PRNGKeyArray], eqx.Module]
    build: Build


def _coordinatewise(basis: Eigenbasis | None) -> Build:
    return lambda weights, horizon: coordinatewise(1.0, weights, basis=basis)


LEARNED: Mapping[str, Learned] = {
    "soap-mixture": Learned(lambda key: Mixture(key=key), lambda weights, horizon: mixture(1.0, weights, horizon=horizon)),
    "soap-schedule": Learned(lambda key: Schedule(key=key), lambda weights, horizon: schedule(1.0, weights, horizon=horizon)),
    "per-coordinate": Learned(lambda key: PerCoordinate(key=key), _coordinatewise(None)),
    "recurrent": Learned(lambda key: Recurrent(key=key), _coordinatewise(None)),
    "per-coordinate-soap": Learned(lambda key: PerCoordinate(key=key), _coordinatewise(Eigenbasis())),
    "recurrent-soap": Learned(lambda key: Recurrent(key=key), _coordinatewise(Eigenbasis())),
}


def file_of(name: str) -> Path:
    """Return where the weights of a rule are shipped."""
    return Path(__file__).with_name(f"{name}.safetensors")


def untrained(name: str, seed: int = 0) -> eqx.Module:
    """Return the weights of a rule before any training, in single precision."""
    if name not in LEARNED:
        raise ValueError(f"{name[:40]!r} is no learned rule of first order. These are: {', '.join(LEARNED)}.")
    with jax.ensure_compile_time_eval():
        weights = LEARNED[name].untrained(jax.random.key(seed))
        return jax.tree.map(lambda leaf: leaf.astype(jnp.float32) if eqx.is_inexact_array(leaf) else leaf, weights)


def decayed(rate: Any, power: Any, steps: int | None) -> optax.Schedule:
    r"""Return the rate $\eta (1 - t / T)^p$ of step $t$ of $T$; without $T$, $\eta$."""
    return lambda count: rate * (1.0 if steps is None else jnp.maximum(1.0 - count / steps, 0.0) ** power)


def of_weights(name: str, weights: Any, rate: Any, power: Any, horizon: int | None) -> optax.GradientTransformationExtraArgs:
    """Return a learned rule with these weights, with a rate that falls to zero over the steps that it is told of."""
    built = LEARNED[name].build(weights, horizon)
    return optax.with_extra_args_support(optax.chain(built, optax.scale_by_schedule(decayed(rate, power, horizon))))


def learned(
    name: str, *, horizon: int | None = None, rate: float | None = None, file: str | Path | None = None
) -> optax.GradientTransformationExtraArgs:
    r"""Return a learned rule of first order with the weights that physopt ships, for research, or with those of a file.

    `per-coordinate-soap` needs 1.18 times fewer steps than SOAP with a tuned decay on tasks like those that settings are tuned on; none
    has been shown to need fewer on other kinds: see `docs/benchmarks.md`. All were trained for minutes, on small networks.

    **Arguments:**

    - `name`: one of `LEARNED`. `horizon`: steps of the training, if known; the rate then falls to zero. `rate`: of the first step; that
      of the training if left out. `file`: what `physopt train first-order NAME --out FILE` wrote; the shipped one if left out.

    `update(grads, state, params, value=loss)` needs the loss for `soap-mixture` and `soap-schedule`.

    **Raises:** `ValueError` for another name and a horizon below 1; `WeightsError` for a file that is damaged or of another rule.
    """
    like = untrained(name)
    if horizon is not None and horizon < 1:
        raise ValueError(f"The horizon is {horizon}; it is the number of steps of the training, such as 400, or None if it is not known.")
    path = file_of(name) if file is None else Path(file)
    with jax.ensure_compile_time_eval():  # also where it is asked for under a trace
        weights = load_weights(path, like)
    told = read_provenance(path)
    return of_weights(name, weights, told["rate"] if rate is None else rate, told["power"], horizon)


def provenance(name: str) -> dict[str, Any]:
    """Return how the weights that are shipped were trained."""
    return read_provenance(file_of(name))


class OpenLoop(AbstractRule):
    """A learned rule of first order that takes every trial, as a training does that does not look back; this is what is trained.

    **Arguments:**

    - `weights`: its arrays are trained. `name`: one of `LEARNED`. `rate`, `power`, `horizon`: of the decay.
    """

    weights: eqx.Module
    name: str = eqx.field(static=True)
    rate: float = eqx.field(static=True)
    power: float = eqx.field(static=True)
    horizon: int | None = eqx.field(static=True)

    def init(self, evaluation: Evaluation) -> PyTree:
        """Return the state of the transformation."""
        return self._transformation().init(evaluation.grad)

    def step(self, evaluation: Evaluation, state: PyTree) -> tuple[Move, PyTree]:
        """Return the update as a step."""
        step, state = self._transformation().update(evaluation.grad, state, value=evaluation.value)
        return Move(step, accept=True), state

    def _transformation(self) -> optax.GradientTransformationExtraArgs:
        return of_weights(self.name, self.weights, self.rate, self.power, self.horizon)
