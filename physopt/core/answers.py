"""What an oracle receives and what it answers: points are copied, answers are checked and protected from later writes."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .problem import AbstractProblem, Evaluation
from .tree import form, is_traced, namespace, tree_zeros


def lent(tree: PyTree) -> PyTree:
    """Return `tree` with copies of its host arrays, which an oracle may overwrite."""
    return jax.tree.map(lambda leaf: _copy(leaf) if isinstance(leaf, np.ndarray) else leaf, tree)


def kept(tree: PyTree) -> PyTree:
    """Return `tree` with read-only copies of the host arrays that are still writable; all others stay as they are."""
    copies: dict[int, np.ndarray] = {}

    def keep(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray) or _settled(leaf):
            return leaf
        if id(leaf) not in copies:
            copies[id(leaf)] = _copy(leaf)
            copies[id(leaf)].setflags(write=False)
        return copies[id(leaf)]

    return jax.tree.map(keep, tree)


def shown(tree: PyTree) -> PyTree:
    """Return `tree` with read-only views of its host arrays."""

    def show(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray) or not leaf.flags.writeable:
            return leaf
        view = leaf.view()
        view.setflags(write=False)
        return view

    return jax.tree.map(show, tree)


class Answers:
    """The oracle of one run: it receives copies of points, its answers are checked, and all answers have the form of the first.

    **Raises:** `TypeError` for an answer that is no `Evaluation` of real numbers, `ValueError` for one of another structure or shape than
    the first, or whose gradient is no tangent of the problem. Numbers that are not finite raise nothing here: rules reject them.
    """

    def __init__(self, problem: AbstractProblem, evaluate: Callable[[PyTree], Evaluation]):
        self._problem, self._evaluate = problem, evaluate
        self._kind: Any = None

    def __call__(self, point: PyTree) -> Evaluation:
        """Ask for the evaluation at `point`; its host arrays are read-only."""
        answer = kept(judged(self._problem, self._evaluate(lent(point))))
        kind = form(answer.grad)
        if self._kind is None:
            check_tangent(self._problem, point, answer)
            self._kind = kind
        elif kind != self._kind:
            raise ValueError(
                f"{_name(self._problem)} answered with the gradient {_described(kind)}, and its first one was {_described(self._kind)}: "
                "every gradient needs all components, in the same structure."
            )
        return answer


def judged(problem: AbstractProblem, answer: Any) -> Evaluation:
    """Return the answer with its value as a real scalar; see `Answers` for what is refused."""
    name = _name(problem)
    if not isinstance(answer, Evaluation):
        raise TypeError(f"{name} returned {_named(answer)}; return physopt.Evaluation(value, grad, model).")
    grad = jax.tree.map(lambda leaf: _real(leaf, f"{name} answered with a gradient that holds"), answer.grad)
    if not jax.tree.leaves(grad):
        raise TypeError(f"{name} answered without a gradient ({_named(answer.grad)}): nothing would tell when the run has converged.")
    value = answer.value if isinstance(answer.value, float | int) and not isinstance(answer.value, bool) else None
    value = _real(answer.value if value is None else np.float64(value), f"{name} answered with a value that is")
    if np.shape(value) != ():
        raise ValueError(f"{name} answered with a value of shape {np.shape(value)}; one number is wanted, such as value.sum().")
    value = value[()] if isinstance(value, np.ndarray) else value
    return Evaluation(value, grad, answer.model, _priced(answer.cost, value, name))


def check_tangent(problem: AbstractProblem, point: PyTree, answer: Evaluation) -> None:
    """Raise `ValueError` if the point cannot be moved along a gradient, or its model knows tangents of another shape."""
    step = tree_zeros(answer.grad)
    try:
        moved = eqx.filter_eval_shape(problem.retract, point, step) if problem.traceable else problem.retract(lent(point), step)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{_no_tangent(problem, answer)} The point cannot be moved along it: {error}") from error
    before, after = form(point), form(moved)
    if before[1] != after[1]:
        raise ValueError(f"{_no_tangent(problem, answer)} Moved along it, {_described(before)} becomes {_described(after)}.")
    kind = form(answer.grad)
    if kind[0] == before[0] and kind[1] != before[1]:
        # As by an angle, or by a vector that lacks components and is broadcast: the model tells.
        known = form(answer.model.minimize())
        if known[1] != kind[1]:
            raise ValueError(f"{_no_tangent(problem, answer)} The model's steps are {_described(known)}.")


def _real(leaf: Any, what: str) -> Any:
    """Return an array or a scalar of NumPy or JAX, integers as float64."""
    if not isinstance(leaf, np.ndarray | np.generic | jax.Array):
        raise TypeError(f"{what} {_named(leaf)}; real numbers of NumPy or JAX are wanted.")
    if jnp.issubdtype(leaf.dtype, np.floating):
        return leaf
    if not jnp.issubdtype(leaf.dtype, np.integer):
        raise TypeError(f"{what} {leaf.dtype} numbers; real ones are wanted.")
    return leaf.astype(float)


def _priced(cost: Any, value: Any, name: str) -> Any:
    """Return the cost of an answer as a scalar of the value's kind; that of a broken answer, if not finite, counts as a full call."""
    if not is_traced(cost):
        try:
            sound = not float(cost) < 0.0
        except (TypeError, ValueError):
            sound = False
        if not sound:
            raise ValueError(
                f"{name} answered with the cost {cost!r}; a number of at least 0 is wanted, 1 for one full call of the oracle."
            )
    xp = namespace(value)
    cost = xp.asarray(cost, value.dtype)
    return xp.where(xp.isfinite(cost), cost, xp.ones_like(cost))[()]


def _described(kind: tuple[Any, tuple[tuple[int, ...], ...]]) -> str:
    structure, shapes = kind
    return f"of shape {shapes[0]}" if structure == jax.tree.structure(0) else f"{structure} of shapes {', '.join(map(str, shapes))}"


def _no_tangent(problem: AbstractProblem, answer: Evaluation) -> str:
    return f"{_name(problem)} answered with a gradient {_described(form(answer.grad))}, which is no tangent of the problem."


def _name(problem: AbstractProblem) -> str:
    return f"{type(problem).__name__}.evaluate"


def _named(thing: Any) -> str:
    return "None" if thing is None else f"{thing!r}"[:40] if isinstance(thing, tuple | list | dict | str) else f"a {type(thing).__name__}"


def _settled(array: np.ndarray) -> bool:
    """Say whether an array can be written to neither directly nor through what it is a view of."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    return True


def _copy(array: np.ndarray) -> np.ndarray:
    copy = array.copy(order="K")
    if type(array) is not np.ndarray:
        vars(copy).update(vars(array))  # what a subclass carries, such as PySCF's tagged arrays
    return copy
