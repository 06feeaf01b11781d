"""Oracles that answer badly: what may be wrong with an answer, and a problem that gives such answers."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physopt import AbstractProblem, Evaluation

Fault = Callable[[Evaluation], Any]


def _answer(value: Any, grad: Any, model: Any) -> Evaluation:
    """Return an evaluation of anything: in tests its constructor checks types, in the field it does not."""
    answer = object.__new__(Evaluation)
    for name, part in {"value": value, "grad": grad, "model": model}.items():
        object.__setattr__(answer, name, part)
    return answer


def _leaves(change: Callable[[Any], Any]) -> Fault:
    """Return the fault of a change to every leaf of the gradient."""
    return lambda e: _answer(e.value, jax.tree.map(change, e.grad), e.model)


def _value(change: Callable[[Any], Any]) -> Fault:
    return lambda e: _answer(change(e.value), e.grad, e.model)


def _gradient(change: Callable[[Any], Any]) -> Fault:
    return lambda e: _answer(e.value, change(e.grad), e.model)


def _all_nan(e: Evaluation) -> Evaluation:
    return jax.tree.map(lambda leaf: leaf * np.nan if isinstance(leaf, float | np.ndarray | jax.Array | np.floating) else leaf, e)


def _one_nan(leaf: Any) -> Any:
    result = np.array(leaf)
    result.flat[:1] = np.nan
    return result


def _lacking(grad: Any) -> Any:
    """Return the gradient without its last component: of the last leaf, all its last row."""
    leaves, structure = jax.tree.flatten(grad)
    return jax.tree.unflatten(structure, [*leaves[:-1], np.asarray(leaves[-1])[:-1]])


# Not finite: to be declined, and asked again.
NUMBERS: dict[str, Fault] = {
    "value nan": _value(lambda v: v * np.nan),
    "value inf": _value(lambda v: np.float64(np.inf)),
    "value -inf": _value(lambda v: np.float64(-np.inf)),
    "gradient nan": _leaves(lambda g: g * np.nan),
    "gradient nan in one place": _leaves(_one_nan),
    "gradient inf": _leaves(lambda g: g + np.inf),
    "gradient 1e300": _leaves(lambda g: 0.0 * g + 1e300),
    "all nan": _all_nan,
}
# Malformed: to be refused, whatever the rule.
KINDS: dict[str, Fault] = {
    "nothing": lambda e: None,
    "a pair": lambda e: (e.value, e.grad),
    "value None": _value(lambda v: None),
    "value text": _value(str),
    "value complex": _value(lambda v: np.complex128(v)),
    "value a complex JAX array": _value(lambda v: jnp.asarray(complex(v))),
    "value True": _value(lambda v: True),
    "value an array of one": _value(lambda v: np.array([float(v)])),
    "value a JAX array of two": _value(lambda v: jnp.full(2, float(v))),
    "gradient None": _gradient(lambda g: None),
    "gradient ()": _gradient(lambda g: ()),
    "gradient {}": _gradient(lambda g: {}),
    "gradient text": _gradient(lambda g: "g"),
    "gradient complex": _leaves(lambda g: np.asarray(g) + 0j),
    "gradient of objects": _leaves(lambda g: np.asarray(g).astype(object)),
    "gradient of truth values": _leaves(lambda g: np.asarray(g) > 0.0),
    "gradient without its last row": _gradient(_lacking),
    "gradient with a row too many": _leaves(lambda g: np.concatenate([g, g[:1]])),
    "gradient one number": _gradient(lambda g: np.float64(1.0)),
    "gradient in a dictionary": _gradient(lambda g: {"gradient": g}),
    "gradient and once more": _gradient(lambda g: (g, g)),
    "gradient as a list of floats": _gradient(lambda g: [float(x) for leaf in jax.tree.leaves(g) for x in np.ravel(leaf)]),
}
# Unusual, and nothing wrong with it.
HARMLESS: dict[str, Fault] = {
    "value float": _value(float),
    "value of no dimensions": _value(np.asarray),
    "arrays writable": lambda e: jax.tree.map(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, e),
}


class Faulty(AbstractProblem):
    """A problem whose answers number `first` to `last`, counted from 1, have a fault; it runs on the host."""

    inner: AbstractProblem
    fault: Fault = eqx.field(static=True)
    first: int = eqx.field(static=True)
    last: int = eqx.field(static=True)
    calls: list[None] = eqx.field(static=True)
    ask: Callable[[Any], Evaluation]
    traceable: bool = eqx.field(default=False, static=True)
    unit: str = eqx.field(default="1", static=True)

    def __init__(self, inner: AbstractProblem, fault: Fault, first: int, last: int | None = None, ask: Any = None):
        self.inner, self.fault, self.first, self.last = inner, fault, first, first if last is None else last
        self.calls, self.ask = [], inner.evaluate if ask is None else ask
        self.traceable, self.unit = False, inner.unit

    def init(self, key: Any) -> Any:
        return self.inner.init(key)

    def evaluate(self, point: Any) -> Any:
        self.calls.append(None)
        answer = self.ask(point)
        return self.fault(answer) if self.first <= len(self.calls) <= self.last else answer

    def retract(self, point: Any, step: Any) -> Any:
        return self.inner.retract(point, step)
