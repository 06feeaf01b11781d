"""Describe a problem, a rule or an optimizer in JSON, so that a record can be compared with what it is resumed for.

Small values are kept as they are, so that a difference can be named. Arrays and long lists are kept as a short hash of their bytes.
"""

import dataclasses
import functools
import hashlib
import json
import types
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from .trajectory.asked import ABOUT, UNKNOWN

SMALL = 12  # numbers of an array that is written out
LONG = 200  # entries of a list or characters of a text
DEEP = 24


def describe(value: Any) -> Any:
    """Describe `value`: modules by their fields, functions by their names and the values they close over, arrays by numbers or hash.

    An object with a method `asked()` describes itself. Write one for objects that hold foreign objects without readable fields.
    """
    return _describe(value, ())


def sketch(point: PyTree) -> dict[str, Any]:
    """Return two numbers of a point, to be compared to six digits: starting points may differ in their last bits only."""
    if hasattr(point, "asked"):
        return describe(point)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(point) if not _is_key(leaf)]
    flat = np.concatenate([np.zeros(0), *(np.abs(a).ravel() if a.dtype.kind == "c" else a.astype(float).ravel() for a in leaves)])
    norm = np.linalg.norm(flat)
    shifted = flat + norm / max(flat.size, 1) ** 0.5 * np.cos(np.arange(flat.size))  # tells points of one norm apart
    return {"size": flat.size, ABOUT: [_number(norm), _number(np.linalg.norm(shifted))]}


def hashed(data: bytes) -> str:
    """Return the first 12 digits of the SHA-256."""
    return "#" + hashlib.sha256(data).hexdigest()[:12]


def _describe(value: Any, above: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float | np.floating):
        return _number(value)
    if isinstance(value, str):
        return value if len(value) <= LONG else f"{value[:40]}... {hashed(value.encode())}"
    if isinstance(value, np.ndarray | jax.Array | np.generic):
        return _array(value)
    if isinstance(value, complex | slice | range | np.dtype | PurePath | bytes):
        return str(value)[:LONG]
    if isinstance(value, type):
        return value.__qualname__
    if id(value) in above or len(above) > DEEP:
        return "as above"
    return _compound(value, (*above, id(value)))


def _compound(value: Any, above: tuple[int, ...]) -> Any:
    if hasattr(value, "asked"):
        return {"class": _name(type(value)), **{name: _describe(each, above) for name, each in value.asked().items()}}
    if isinstance(value, Mapping):
        return _shortened({str(key): _describe(value[key], above) for key in sorted(value, key=str)})
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {"class": _name(type(value)), **{name: _describe(getattr(value, name), above) for name in value._fields}}
    if isinstance(value, tuple | list):
        return _shortened([_describe(each, above) for each in value])
    if isinstance(value, set | frozenset):
        return _shortened(sorted(str(_describe(each, above)) for each in value))
    if dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if hasattr(value, f.name)}
        return {"class": _name(type(value)), **{name: _describe(each, above) for name, each in fields.items()}}
    if callable(value):
        return _function(value, above)
    return {"class": _name(type(value)), UNKNOWN: True}


def _function(value: Any, above: tuple[int, ...]) -> Any:
    """Return a function's name, and the values it has closed over: a learning rate is nowhere else."""
    if isinstance(value, functools.partial):
        return {"partial": _describe(value.func, above), "args": _describe(value.args, above), **_describe(dict(value.keywords), above)}
    if isinstance(value, types.MethodType):
        return {"method": value.__name__, "of": _describe(value.__self__, above)}
    if hasattr(value, "__wrapped__"):
        return _describe(value.__wrapped__, above)
    if not isinstance(value, types.FunctionType):
        return getattr(value, "__qualname__", None) or {"class": _name(type(value)), UNKNOWN: True}
    code = value.__code__
    held = {}
    for name, cell in zip(code.co_freevars, value.__closure__ or (), strict=True):
        try:
            held[name] = _describe(cell.cell_contents, above)
        except ValueError:  # a name that its function has not given a value yet
            held[name] = "empty"
    if value.__defaults__ and _is_local(value):
        held["defaults"] = _describe(value.__defaults__, above)
    # The name of a lambda says nothing.
    own = {"code": hashed(code.co_code + repr(_constants(code)).encode())} if "<lambda>" in value.__qualname__ else {}
    return {"function": _name(value), **own, **held} if own or held else _name(value)


def _is_local(value: types.FunctionType) -> bool:
    return "<" in value.__qualname__


def _constants(code: types.CodeType) -> list[Any]:
    return [*code.co_names, *(each if not isinstance(each, types.CodeType) else each.co_code for each in code.co_consts)]


def _array(value: Any) -> Any:
    array = np.asarray(jax.random.key_data(value) if _is_key(value) else value)
    if array.dtype.kind not in "biufc":
        return {"class": f"array of {array.dtype}", UNKNOWN: True}
    if array.size <= SMALL and array.dtype.kind != "c":
        return _nested(array.tolist())
    sides = ", ".join(map(str, array.shape))
    return f"{array.dtype}[{sides}] {hashed(np.ascontiguousarray(array).tobytes())}"


def _nested(values: Any) -> Any:
    return [_nested(each) for each in values] if isinstance(values, list) else _number(values)


def _number(value: Any) -> Any:
    if isinstance(value, bool | int):
        return value
    value = float(value)
    return value if np.isfinite(value) else str(value)  # JSON has no infinity


def _is_key(value: Any) -> bool:
    return isinstance(value, jax.Array) and jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key)


def _shortened(content: Any) -> Any:
    """Return a long list or table of small things as its length and its hash."""
    if len(content) <= LONG:
        return content
    return f"{len(content)} entries {hashed(json.dumps(content, sort_keys=True).encode())}"


def _name(value: Any) -> str:
    return value.__qualname__.rpartition("<locals>.")[2]
