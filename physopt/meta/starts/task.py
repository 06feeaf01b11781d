"""Tasks by names: numbers and arrays become a vector, words and shapes the kind of the task."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

LONG = 8  # entries of one array from which its principal components take its place
COMPONENTS = 6


class Task(NamedTuple):
    """A task vector, the names and shapes of its parts, and the words that must agree for tasks to be compared at all."""

    vector: Float[ndarray, " d"]
    kind: str

    @property
    def parts(self) -> dict[str, int]:
        """The number of entries of each part, in order."""
        return {name: int(np.prod(shape, dtype=int)) for name, shape in json.loads(self.kind)["numbers"].items()}


def task_of(named: Mapping[str, Any] | float | Float[ndarray, " d"], unknowns: int = 0, marks: Mapping[str, Any] | None = None) -> Task:
    """Return the task of named numbers, arrays of numbers, and categories (words, `True`, `False`); order does not matter.

    **Arguments:** a bare number or vector is one part called "mu". `unknowns`: tasks of another number of unknowns do not compare, nor
    those with other `marks`: what else makes a problem of another kind.

    **Raises:** `TypeError` for a part that is none of these, `ValueError` for numbers that are not finite or a task without any number.
    """
    named = dict(named) if isinstance(named, Mapping) else {"mu": named}
    numbers: dict[str, ndarray] = {}
    words: dict[str, Any] = {}
    for name, part in sorted((str(name), part) for name, part in named.items()):
        if isinstance(part, str | bool | np.bool_):
            words[name] = part if isinstance(part, str) else bool(part)
            continue
        array = np.asarray(part)
        if array.dtype.kind not in "iuf":
            raise TypeError(f"task {name}={part!r}"[:120] + ": is no number, array of real numbers or word. Describe the task by these.")
        numbers[name] = array.astype(float)
    vector = np.concatenate([array.ravel() for array in numbers.values()]) if numbers else np.zeros(0)
    if vector.size == 0:
        raise ValueError(f"task {named!r}"[:120] + ": holds no number. Name what differs between the tasks, such as task={'load': 0.3}.")
    if not np.isfinite(vector).all():
        raise ValueError(f"task {named!r}"[:120] + ": holds numbers that are not finite. Give finite ones.")
    shapes = {name: list(array.shape) for name, array in numbers.items()}
    return Task(vector, json.dumps({**(marks or {}), "numbers": shapes, "words": words, "unknowns": unknowns}, sort_keys=True))


def named_like(named: Mapping[str, Any] | float | Float[ndarray, " d"], vector: Float[ndarray, " d"]) -> Any:
    """Return a task in the form of `named`, with the numbers of `vector` in their places."""
    if not isinstance(named, Mapping):
        return float(vector[0]) if np.ndim(named) == 0 else vector.reshape(np.shape(named))
    place, found = 0, {}
    for name in sorted(named, key=str):
        part = named[name]
        if not isinstance(part, str | bool | np.bool_):
            size = np.size(part)
            part = float(vector[place]) if np.ndim(part) == 0 else vector[place : place + size].reshape(np.shape(part))
            place += size
        found[name] = part
    return {name: found[name] for name in named}


class Scaling:
    """Task vectors as inputs of a map: every number by its spread, and a long array by its leading principal components.

    **Arguments:** `tasks`: the recorded ones, all of one kind, whose parts have `parts` entries.
    """

    def __init__(self, tasks: Float[ndarray, "n d"], parts: Mapping[str, int]):
        self._mean = tasks.mean(0)
        columns, place = [], 0
        self._fixed = (tasks == tasks[0]).all(0)
        for count in parts.values():
            part = tasks[:, place : place + count] - self._mean[place : place + count]
            for direction in _directions(part):
                column = np.zeros(tasks.shape[1])
                column[place : place + count] = direction
                columns.append(column)
            place += count
        self._matrix = np.stack(columns, 1) if columns else np.zeros((tasks.shape[1], 0))
        self.back: Float[ndarray, "inputs d"] = np.linalg.pinv(self._matrix)

    def __call__(self, tasks: Float[ndarray, "*n d"]) -> Float[ndarray, "*n inputs"]:
        """Return the inputs."""
        return (tasks - self._mean) @ self._matrix

    def is_strange(self, task: Float[ndarray, " d"]) -> bool:
        """Say whether a task differs in a number in which all recorded ones agree."""
        return bool((task != self._mean)[self._fixed].any())


def _directions(part: Float[ndarray, "n entries"]) -> list[Float[ndarray, " entries"]]:
    """Return the directions of one part along which the recorded tasks differ, each divided by the spread along it."""
    if part.shape[1] > LONG:
        _, sizes, axes = np.linalg.svd(part, full_matrices=False)
        spreads = sizes / len(part) ** 0.5
        return [axis / spread for axis, spread in list(zip(axes, spreads, strict=True))[:COMPONENTS] if spread > 1e-9 * spreads[0]]
    spreads = part.std(0)
    return [axis / spread for axis, spread in zip(np.eye(part.shape[1]), spreads, strict=True) if spread > 0.0]
