"""A user's function as an oracle that keeps account, and as a problem of the core."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Float, PRNGKeyArray
from numpy import ndarray

from physopt.core.problem import AbstractProblem, Euclidean, Evaluation
from physopt.meta.quadratics import Metric

Function = Callable[[Float[ndarray, " n"]], tuple[float, Float[ndarray, " n"]]]


class Answer(NamedTuple):
    """A point, the function's value and gradient there, and the gradient's norm."""

    point: Float[ndarray, " n"]
    value: float
    grad: Float[ndarray, " n"]
    norm: float

    @property
    def finite(self) -> bool:
        """Are value and gradient finite?"""
        return bool(np.isfinite(self.value) and np.isfinite(self.norm))


class OutOfCalls(Exception):
    """The budget of calls is used up."""


class Oracle:
    """A function that returns value and gradient, with the count of its calls.

    The newest answer is remembered, so that asking again at the same point costs nothing. `flattest` is the finite answer with the smallest
    gradient, `lowest` that with the lowest value; probes, for differences, do not compete.
    """

    def __init__(self, function: Function, most: float | int = np.inf):
        self._function, self.most, self.calls = function, most, 0
        self.rows: list[tuple[int, float, float]] = []  # calls so far, value, norm of the gradient: one for each answer
        self.flattest: Answer | None = None
        self.lowest: Answer | None = None
        self._newest: Answer | None = None
        self._first: Float[ndarray, " n"] | None = None

    def __call__(self, point: Float[ndarray, " n"]) -> Answer:
        """Return the answer at a point."""
        if self._newest is not None and np.array_equal(self._newest.point, point):
            return self._newest
        self._newest = answer = self._ask(point)
        self._first = answer.point if self._first is None else self._first
        self.rows.append((self.calls, answer.value, answer.norm))
        if answer.finite:
            self.flattest = answer if self.flattest is None or answer.norm < self.flattest.norm else self.flattest
            self.lowest = answer if self.lowest is None or answer.value < self.lowest.value else self.lowest
        return answer

    def probe(self, point: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Return the gradient at a point near the last one, for a difference."""
        return self._ask(point).grad

    def product(self, point: Float[ndarray, " n"], vector: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Return the Hessian at a point times a vector, by one difference of gradients."""
        size = float(np.linalg.norm(vector))
        if size == 0.0:
            return np.zeros_like(vector)
        answer = self(point)
        reach = max(float(np.linalg.norm(point)), float(np.linalg.norm(point - (point if self._first is None else self._first))))
        step, grad = 1e-6 * (reach or 1.0) / size, answer.grad
        return (self.probe(point + step * vector) - grad) / step

    def _ask(self, point: Float[ndarray, " n"]) -> Answer:
        if self.calls >= self.most:
            raise OutOfCalls
        self.calls += 1
        point = np.array(point, float)
        answer = self._function(point.copy())
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise TypeError(f"fun returned a {type(answer).__name__}; return (value, gradient), as for SciPy's jac=True.")
        value, grad = _number(answer[0]), np.asarray(answer[1], float)
        if grad.shape != point.shape:
            raise ValueError(f"fun returned a gradient of shape {grad.shape} at a point of shape {point.shape}; these must agree.")
        with np.errstate(over="ignore", invalid="ignore"):
            return Answer(point, value, grad.copy(), float(np.linalg.norm(grad)))


def _number(value: Any) -> float:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise TypeError(f"fun returned the value {value!r}"[:120] + "; one real number is wanted.")
    return float(array.reshape(())) if array.ndim == 0 else float(array.ravel()[0])


class Posed(AbstractProblem):
    """The problem of the core that an oracle poses.

    - `inverse`: the inverse Hessian of its model; `None` for a plain gradient.
    """

    oracle: Oracle
    inverse: Float[ndarray, "n n"] | None
    traceable: bool = eqx.field(default=False, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key: PRNGKeyArray) -> Any:
        """Refuse: the user brings the starting point."""
        raise TypeError("A function brings no starting point of its own; pass one to minimize.")

    def evaluate(self, point: Float[ndarray, " n"]) -> Evaluation:
        """Ask the oracle."""
        answer = self.oracle(point)
        model = Euclidean(answer.grad) if self.inverse is None else Metric(answer.grad, self.inverse)
        return Evaluation(np.float64(answer.value), answer.grad, model)

    def retract(self, point: Float[ndarray, " n"], step: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Return `point + step`."""
        return point + step
