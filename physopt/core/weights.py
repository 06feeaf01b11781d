"""Weight files: safetensors with a digest, never pickle; a foreign file can be refused but cannot execute anything."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from .regular import read_regular

FORMAT = "physopt-rule/1"
MAX_BYTES = 64 * 2**20
MAX_HEADER_BYTES = 2**20
Kind = TypeVar("Kind", bound=eqx.Module)
KEYS = {"format", "class", "hyperparameters", "provenance", "version", "sha256"}


class WeightsError(ValueError):
    """A weight file that is damaged, foreign, or made for something else."""


def save_weights(path: str | Path, module: eqx.Module, provenance: Mapping[str, Any]) -> None:
    """Write the arrays of a module, such as a learned rule, to one file, replacing it atomically.

    The header says class, hyperparameters, physopt's version, `provenance`, and a SHA-256 of all that and the arrays.

    **Arguments:**

    - `provenance`: the training command, seed, scores; anything that JSON can hold.

    **Raises:** `WeightsError` for weights that are not finite; `OSError` if the file cannot be written.
    """
    save_arrays(path, _arrays(module), described_module(module), provenance)


def described_module(module: eqx.Module) -> dict[str, Any]:
    """Return what a weight file says about a module besides its arrays: class and hyperparameters."""
    return {"class": type(module).__name__, "hyperparameters": _hyperparameters(module)}


def save_arrays(path: str | Path, arrays: Mapping[str, np.ndarray], module: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
    """Do `save_weights` for arrays by name and a `described_module`, as a record holds them."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    _refuse_nonfinite(path, arrays)
    header = {
        "format": FORMAT,
        "class": str(module.get("class")),
        "hyperparameters": json.dumps(module.get("hyperparameters"), sort_keys=True),
        "provenance": json.dumps(dict(provenance), sort_keys=True),
        "version": _version(),
    }
    header["sha256"] = _digest(header, arrays)
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        partial.write_bytes(_ordered(safetensors.numpy.save(arrays, header)))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def load_weights(path: str | Path, like: Kind) -> Kind:
    """Read the arrays of a file into a module like `like`: the same class, hyperparameters, shapes and types.

    **Raises:** `WeightsError` for anything else: a wrong digest, another class, non-finite weights, files above 64 MiB.
    """
    header, arrays = _read(Path(path))
    expected = _arrays(like)
    if header["class"] != type(like).__name__:
        raise WeightsError(f"{path} holds weights of a {header['class']!r}, not of a {type(like).__name__}: pass like= one of that class.")
    if header["hyperparameters"] != json.dumps(_hyperparameters(like), sort_keys=True):
        raise WeightsError(f"{path} was trained with {header['hyperparameters']}: pass like= one made with the same arguments.")
    for name in sorted(expected.keys() | arrays.keys()):
        ours, theirs = _describe(expected.get(name)), _describe(arrays.get(name))
        if ours != theirs:
            raise WeightsError(
                f"{path} has {theirs} for {name!r} where it should have {ours}: pass like= one made with the same arguments."
            )
    _refuse_nonfinite(path, arrays)
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    filled = [_like(leaf, arrays[_name(where)]) if _is_array(leaf) else leaf for where, leaf in leaves]
    return jax.tree.unflatten(structure, filled)


def read_provenance(path: str | Path) -> dict[str, Any]:
    """Return the `provenance` that `save_weights` stored. Raises `WeightsError` like `load_weights`."""
    return json.loads(_read(Path(path))[0]["provenance"])


def _read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    try:
        data = read_regular(path, MAX_BYTES, "a weight file of physopt")
    except ValueError as error:
        raise WeightsError(str(error)) from None
    header = _header(path, data)
    try:
        arrays = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is no sound safetensors file: {error}.") from error
    if header["sha256"] != _digest({k: v for k, v in header.items() if k != "sha256"}, arrays):
        raise WeightsError(f"{path} does not match its SHA-256: it was damaged or edited. Fetch or train it again.")
    return header, arrays


def _header(path: Path, data: bytes) -> dict[str, str]:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(MAX_HEADER_BYTES, len(data) - 8):
        raise WeightsError(f"{path} is no safetensors file, or was cut off: its header claims {size} bytes of {len(data)}.")
    try:
        header = json.loads(data[8 : 8 + size])
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} has no readable header: {error}.") from error
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or metadata.keys() != KEYS or not all(isinstance(v, str) for v in metadata.values()):
        raise WeightsError(f"{path} was not written by physopt: its metadata are not exactly {', '.join(sorted(KEYS))}.")
    if metadata["format"] != FORMAT:
        raise WeightsError(f"{path} is in the format {metadata['format']!r}; this physopt reads {FORMAT!r}.")
    return metadata


def _ordered(data: bytes) -> bytes:
    # The library writes metadata in random order; equal rules are to give equal files.
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def _digest(header: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(dict(header), sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {_describe(arrays[name])}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _version() -> str:
    try:
        return version("physopt")
    except PackageNotFoundError:
        return "unknown"  # a checkout on PYTHONPATH has no metadata


def _arrays(module: eqx.Module) -> dict[str, np.ndarray]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(module)
    return {_name(where): np.ascontiguousarray(leaf) for where, leaf in leaves if _is_array(leaf)}


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


def _like(leaf: Any, array: np.ndarray) -> Any:
    return jnp.asarray(array) if isinstance(leaf, jax.Array) else array


def _name(where: Any) -> str:
    return jax.tree_util.keystr(where).lstrip(".")


def _describe(array: np.ndarray | None) -> str:
    return "nothing" if array is None else f"{array.dtype}{list(array.shape)}"


def _hyperparameters(module: Any) -> Any:
    """Describe everything about a Module but its arrays, as JSON."""
    if dataclasses.is_dataclass(module):
        fields = {f.name: getattr(module, f.name) for f in dataclasses.fields(module)}
        described = {name: _hyperparameters(value) for name, value in fields.items() if not _is_array(value)}
        return {"class": type(module).__name__, **described}
    if isinstance(module, tuple | list):
        return [_hyperparameters(value) for value in module]
    return (
        module if module is None or isinstance(module, bool | int | float | str) else getattr(module, "__qualname__", type(module).__name__)
    )


def _refuse_nonfinite(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if bad:
        raise WeightsError(f"{path}: the weights {', '.join(bad)} are not all finite, and nothing good comes of such. Train it again.")
