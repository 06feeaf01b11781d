"""A user's function as an oracle that keeps account."""

import abc
import collections
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .box import Box

Function = Callable[[Float[ndarray, " n"]], tuple[float, Float[ndarray, " n"]]]
Row = tuple[float | int, float, float]  # calls so far, value, norm of the gradient
Hessian = Callable[[Float[ndarray, " n"]], Float[ndarray, "n n"]]
Product = Callable[[Float[ndarray, " n"], Float[ndarray, " n"]], Float[ndarray, " n"]]


TRAIL, ROOM = 400, 2**30  # last points and gradients from which the modes of a large problem are taken, and their bytes at most


class Answer(NamedTuple):
    """A point, value and gradient there, and the norm of the gradient, projected on the bounds; of a fit also residuals and Jacobian."""

    point: Float[ndarray, " n"]
    value: float
    grad: Float[ndarray, " n"]
    norm: float
    residuals: Float[ndarray, " m"] | None = None
    jacobian: Float[ndarray, "m n"] | None = None

    @property
    def finite(self) -> bool:
        """Are value and gradient finite?"""
        return bool(np.isfinite(self.value) and np.isfinite(self.norm))


class OutOfCalls(Exception):
    """The budget of calls is used up."""


class AbstractOracle(abc.ABC):
    """What answers with value and gradient, and counts its calls.

    Asking again costs nothing at the point of the newest answer and of one that was kept by `keep`. `flattest` is the finite answer with
    the smallest gradient, `lowest` that with the lowest value; probes, for differences, do not compete. `values` calls were for values, and
    `curvatures` for Hessians, products with these, or Jacobians; `calls` is what they are worth together. `single`: has the function
    answered in single precision? `trail`: the last points and gradients, once `follow` was called.
    """

    def __init__(self, most: float | int, box: Box | None):
        self.most, self.values, self.curvatures, self.single = most, 0, 0, False
        self._priced: float | int = 0  # calls that those for curvature are worth
        self.rows: list[Row] = []  # one for each answer
        self.flattest: Answer | None = None
        self.lowest: Answer | None = None
        self._box = box
        self._newest: Answer | None = None
        self._kept: Answer | None = None
        self.trail: collections.deque[tuple[Float[ndarray, " n"], Float[ndarray, " n"]]] = collections.deque(maxlen=0)
        self._first: Float[ndarray, " n"] | None = None

    @property
    def calls(self) -> float | int:
        """What all calls are worth, in calls for values."""
        return self.values + self._priced

    @abc.abstractmethod
    def ask(self, point: Float[ndarray, " n"]) -> Answer:
        """Spend what it costs, and return the answer at a point."""

    def __call__(self, point: Float[ndarray, " n"]) -> Answer:
        """Return the answer at a point."""
        for known in (self._newest, self._kept):
            if known is not None and np.array_equal(known.point, point):
                return known
        self._newest = answer = self.ask(np.array(point, float))
        self._first = answer.point if self._first is None else self._first
        self.rows.append((self.calls, answer.value, answer.norm))
        if answer.finite:
            self.trail.append((answer.point, answer.grad))
            self.flattest = answer if self.flattest is None or answer.norm < self.flattest.norm else self.flattest
            self.lowest = answer if self.lowest is None or answer.value < self.lowest.value else self.lowest
        return answer

    def keep(self, answer: Answer) -> None:
        """Remember an answer, such as that at the cold start, from which another rule may begin again."""
        self._kept = answer

    def follow(self, unknowns: int) -> None:
        """Keep the last points and gradients from now on, as many as there is room for."""
        self.trail = collections.deque(maxlen=min(TRAIL, ROOM // (16 * unknowns)))

    def glance(self, point: Float[ndarray, " n"]) -> float:
        """Return the value at a point where that is cheaper than value and gradient; otherwise NaN."""
        return np.nan

    def probe(self, point: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Return the gradient at a point near the last one, for a difference."""
        return self.ask(np.array(point, float)).grad

    def spend(self) -> None:
        """Count a call for values."""
        if self.calls >= self.most:
            raise OutOfCalls
        self.values += 1

    def spend_on_curvature(self, price: float | int = 1) -> None:
        """Count a call for a Hessian, a product with it, or a Jacobian, which is worth so many."""
        if self.calls >= self.most:
            raise OutOfCalls
        self.curvatures += 1
        self._priced += price

    def take(self, other: "AbstractOracle") -> None:
        """Count the calls of another oracle as one's own."""
        self.values += other.values
        self.curvatures += other.curvatures
        self._priced += other.calls - other.values

    def reach(self, point: Float[ndarray, " n"]) -> float:
        """Return how large the unknowns are, as far as it has been seen: a scale for differences."""
        moved = 0.0 if self._first is None else float(np.linalg.norm(point - self._first))
        return max(float(np.linalg.norm(point)), moved) or 1.0

    def answer(self, point: Float[ndarray, " n"], value: float, grad: Float[ndarray, " n"], *parts: ndarray) -> Answer:
        """Return the answer with the norm of the gradient, projected on the bounds."""
        with np.errstate(over="ignore", invalid="ignore"):
            projected = grad if self._box is None else self._box.projected(point, grad)
            return Answer(point, value, grad, float(np.linalg.norm(projected)), *parts)


class Oracle(AbstractOracle):
    """A function that returns value and gradient.

    **Arguments:** `most`: calls. `box`: bounds of the unknowns. `product`: the Hessian at a point times a vector, at a call each; without
    it a product is a difference of two gradients.
    """

    def __init__(self, function: Function, most: float | int = np.inf, box: Box | None = None, product: Product | None = None):
        super().__init__(most, box)
        self._function, self._product = function, product

    def product(self, point: Float[ndarray, " n"], vector: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Return the Hessian at a point times a vector."""
        size = float(np.linalg.norm(vector))
        if size == 0.0:
            return np.zeros_like(vector)
        if self._product is not None:
            self.spend_on_curvature()
            return vector_of(self._product(point.copy(), vector.copy()), len(vector), "hessp")
        step, grad = 1e-6 * self.reach(point) / size, self(point).grad
        return (self.probe(point + step * vector) - grad) / step

    def ask(self, point: Float[ndarray, " n"]) -> Answer:
        """Call the function."""
        self.spend()
        answer = self._function(point.copy())
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise TypeError(f"fun returned a {type(answer).__name__}; return (value, gradient), as for SciPy's jac=True.")
        value, grad = _number(answer[0]), np.asarray(answer[1])
        self.single |= grad.dtype.kind == "f" and grad.dtype.itemsize < 8
        if grad.shape != point.shape:
            raise ValueError(f"fun returned a gradient of shape {grad.shape} at a point of shape {point.shape}; these must agree.")
        return self.answer(point, value, np.array(grad, float))


def vector_of(found: Any, size: int, name: str) -> Float[ndarray, " n"]:
    """Return what a user's function gave as a vector of real numbers.

    **Raises:** `TypeError` for anything else, and `ValueError` for another size.
    """
    array = np.asarray(found)
    if array.dtype.kind not in "iufb":
        raise TypeError(f"{name} returned {found!r}"[:120] + "; real numbers are wanted.")
    if array.shape != (size,):
        raise ValueError(f"{name} returned an array of shape {array.shape}; ({size},) is wanted.")
    return np.array(array, float)


def matrix_of(found: Any, rows: int, columns: int, name: str) -> Float[ndarray, "m n"]:
    """Return what a user's function gave as a dense matrix of real numbers; it may be one of SciPy's sparse ones.

    **Raises:** `TypeError` for anything else, and `ValueError` for another shape.
    """
    array = np.asarray(found.toarray() if hasattr(found, "toarray") else found)
    if array.dtype.kind not in "iufb":
        raise TypeError(f"{name} returned {found!r}"[:120] + "; a matrix of real numbers is wanted.")
    if array.shape != (rows, columns):
        raise ValueError(f"{name} returned a matrix of shape {array.shape}; ({rows}, {columns}) is wanted.")
    return np.array(array, float)


def _number(value: Any) -> float:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise TypeError(f"fun returned the value {value!r}"[:120] + "; one real number is wanted.")
    return float(array.reshape(()))
