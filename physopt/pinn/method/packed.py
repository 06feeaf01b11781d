"""What a solution or a training consists of, as words that JSON can hold and one vector of numbers, and back."""

from typing import Any

import numpy as np
from jaxtyping import Float

from physopt.pinn.answer import Piece
from physopt.pinn.bases import Chebyshev, Fourier, Ring, Spline
from physopt.pinn.corner_functions import CornerFunctions
from physopt.pinn.domain import Corner
from physopt.pinn.space import Products

from .levenberg import State
from .march import Course
from .progress import Progress
from .system import Guess, Weights
from .together import Search
from .window import Attempt

TUPLES: dict[str, Any] = {kind.__name__: kind for kind in (Piece, Course, Search, Attempt, Guess, Weights, Corner, Progress, State)}
MADE: dict[str, tuple[Any, tuple[str, ...]]] = {  # from these attributes
    "Products": (Products, ("bases", "corners")),
    "CornerFunctions": (CornerFunctions, ("corners", "reach")),
    "Fourier": (Fourier, ("low", "high", "harmonics")),
    "Chebyshev": (Chebyshev, ("low", "high", "size")),
    "Spline": (Spline, ("spans",)),
    "Ring": (Ring, ("spans",)),
}
DEEPEST = 12  # levels of values in values


def packed(value: Any) -> tuple[Any, Float[np.ndarray, " n"]]:
    """Return the structure of a value, and all its numbers that are no integers; see `unpacked`."""
    numbers: list[np.ndarray] = []
    described = _described(value, numbers)
    return described, np.concatenate([np.zeros(0), *numbers])


def unpacked(described: Any, numbers: Float[np.ndarray, " n"]) -> Any:
    """Return the value that was packed, bit for bit.

    **Raises:** `ValueError`, `TypeError` or `KeyError` for what `packed` did not write.
    """
    value, rest = _read(described, numbers, DEEPEST)
    if len(rest):
        raise ValueError(f"{len(rest)} numbers are left over")
    return value


def _described(value: Any, numbers: list[np.ndarray]) -> Any:
    name = type(value).__name__
    if isinstance(value, bool | np.bool_):
        return {"is": bool(value)}
    if value is None or isinstance(value, int | str):
        return {"is": value}
    if isinstance(value, float | np.ndarray):
        array = np.asarray(value, float)
        numbers.append(array.ravel())
        return {"shape": list(array.shape)} if isinstance(value, np.ndarray) else {"number": 1}
    if name in TUPLES:
        return {"a": name, "of": {field: _described(getattr(value, field), numbers) for field in value._fields}}
    if name in MADE:
        return {"a": name, "of": {field: _described(getattr(value, field), numbers) for field in MADE[name][1]}}
    if isinstance(value, dict):
        return {"dict": {key: _described(each, numbers) for key, each in value.items()}}
    if isinstance(value, tuple | list):
        return {"tuple" if isinstance(value, tuple) else "list": [_described(each, numbers) for each in value]}
    raise TypeError(f"a {name} cannot be recorded")


def _read(described: Any, numbers: np.ndarray, deep: int) -> tuple[Any, np.ndarray]:
    if not isinstance(described, dict) or deep < 0:
        raise ValueError("its structure is none of a solution")
    if "is" in described:
        return described["is"], numbers
    if "number" in described or "shape" in described:
        shape = [int(size) for size in described.get("shape", [])]
        size = int(np.prod(shape))
        if min(shape, default=0) < 0 or size > len(numbers):
            raise ValueError(f"{size} numbers are wanted, {len(numbers)} are left")
        array = numbers[:size].reshape(shape).copy()
        return float(array) if "number" in described else array, numbers[size:]
    if "tuple" in described or "list" in described:
        values = []
        for each in described["tuple" if "tuple" in described else "list"]:
            value, numbers = _read(each, numbers, deep - 1)
            values.append(value)
        return (tuple(values) if "tuple" in described else values), numbers
    name, fields = described.get("a", "dict"), {}
    for field, each in described["of" if "a" in described else "dict"].items():
        fields[str(field)], numbers = _read(each, numbers, deep - 1)
    if "a" not in described:
        return fields, numbers
    return (
        TUPLES[name](**fields) if name in TUPLES else MADE[name][0](*(fields[each] for each in MADE[name][1] if each in fields))
    ), numbers
