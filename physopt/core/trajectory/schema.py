"""The schema of a run, version 1.1: names, units, number types, checksums. Documented in `docs/` for other readers.

One HDF5 file (a segment, or the packed run) holds

    columns/<name>      (n, *shape)   one row per record, attribute `units`
    checkpoint/<0000>   (2, *shape)   two slots per leaf, record k overwrites slot k % 2; attribute `dtype`
    commit              (n, 4)        record index, CRC-32 of its columns, CRC-32 of its checkpoint, time in ns since 1970
    header, summary     (bytes,)      UTF-8 JSON, attribute `crc32`; a file has a `summary` if and only if the run is finished

A row exists once it is in `commit`. Strings are of fixed length, numbers little-endian; there are no links, no variable-length,
compound or reference types, and no filters but gzip, shuffle and Fletcher-32.
"""

import dataclasses
import importlib.metadata
import json
import math
import platform
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import h5py
import numpy as np

ENCODING_TYPE = "physopt-run"
ENCODING_VERSION = "1.1"  # 1.0 had no checksums of text, and did not say what was asked for
JSON_LIMIT = 16 * 2**20
OBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class UnreadableRunError(ValueError):
    """A run folder is damaged, hostile, of a newer schema, or no run folder at all."""


class RecordingStoppedWarning(UserWarning):
    """A write failed (disk full, quota, I/O error): the run goes on, but nothing more is recorded."""


@dataclasses.dataclass(frozen=True)
class Column:
    """One quantity that every record holds.

    - `unit`: "hartree", "s", "1" for a bare number.
    - `dtype`: a NumPy code of a boolean-free real number: "f8", "f4", "i8", "u1" ...
    - `shape`: the shape of one record's value; `()` for a scalar.
    """

    unit: str
    dtype: str = "f8"
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if np.dtype(self.dtype).kind not in "iuf" or not _has_fixed_type(np.dtype(self.dtype)):
            raise ValueError(f"Column(dtype={self.dtype!r}): HDF5 has no fixed type for it; write 'f8', 'i8' or 'u1' (0 or 1).")
        if not self.unit or len(self.unit.encode()) > 128:
            raise ValueError(f"Column(unit={self.unit!r}): name a unit in at most 128 bytes; write '1' for a bare number.")

        if not all(n >= 1 for n in self.shape):
            raise ValueError(f"Column(shape={self.shape}): a record of nothing; write lengths of 1 or more, or leave the column out.")

    @property
    def stored(self) -> np.dtype:
        """The type on disk: little-endian on every machine."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def as_json(self) -> dict[str, Any]:
        """The column as the manifest describes it."""
        return {"unit": self.unit, "dtype": self.stored.str, "shape": list(self.shape)}


def check_names(columns: Mapping[str, Column]) -> None:
    """Raise `ValueError` if there are no columns, or if one has a name that is unsafe in HDF5 or in a shell."""
    if not columns:
        raise ValueError("A run needs at least one column; record the value of the objective, say.")
    for name in columns:
        if not OBJECT_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a column: write a letter or digit, then at most 63 letters, digits, '_', '.' or '-'.")


def columns_from_json(entries: Mapping[str, Any], where: str) -> dict[str, Column]:
    """Read the columns that a manifest describes."""
    try:
        columns = {name: Column(str(e["unit"]), str(e["dtype"]), tuple(int(n) for n in e["shape"])) for name, e in entries.items()}
        check_names(columns)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise UnreadableRunError(f"{where} describes its columns wrongly ({error}); it was damaged or not written by physopt.") from error
    if any(math.prod(column.shape) > 2**40 for column in columns.values()):
        raise UnreadableRunError(f"{where} describes a column of impossible shape; it was damaged or not written by physopt.")
    return columns


def stored_leaf(leaf: Any) -> np.ndarray:
    """Return a checkpoint leaf in its type on disk: a boolean as bytes, a complex number as a trailing pair of reals."""
    array = np.ascontiguousarray(leaf).reshape(np.shape(leaf))
    if not _has_fixed_type(array.dtype):
        raise ValueError(f"A checkpoint holds an array of type {array.dtype}, which has no fixed type in HDF5; store numbers or booleans.")
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if array.dtype.kind == "c":
        real = np.dtype(f"<f{array.dtype.itemsize // 2}")
        return np.stack([array.real, array.imag], axis=-1).astype(real, copy=False)
    return array


def restored_leaf(stored: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Undo `stored_leaf`."""
    if dtype.kind == "b":
        return stored.astype(np.bool_)
    if dtype.kind == "c":
        return np.ascontiguousarray(stored).view(dtype)[..., 0]
    return stored


def record_crc(index: int, nanoseconds: int, values: Mapping[str, np.ndarray]) -> int:
    """Return the CRC-32 of a record: its index, its time, then its columns in the order of their names."""
    return _crc([np.array([index, nanoseconds], "<i8"), *(values[name] for name in sorted(values))])


def checkpoint_crc(index: int, stored: Sequence[np.ndarray]) -> int:
    """Return the CRC-32 of a checkpoint: the index of its record, then its leaves as stored."""
    return _crc([np.array([index], "<i8"), *stored])


def _has_fixed_type(dtype: np.dtype) -> bool:
    return dtype.kind in "biufc" and dtype.itemsize <= (16 if dtype.kind == "c" else 8)


def _crc(arrays: Iterable[np.ndarray]) -> int:
    crc = 0
    for array in arrays:
        crc = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, crc)
    return crc


def to_json(content: Mapping[str, Any]) -> bytes:
    """Encode a header, a summary or a manifest."""
    encoded = json.dumps(dict(content), indent=1).encode()
    if len(encoded) > JSON_LIMIT:
        raise ValueError(f"A spec or summary of {len(encoded)} bytes is beyond {JSON_LIMIT}; record arrays as columns instead.")
    return encoded


def checksum(content: Mapping[str, Any]) -> int:
    """Return the CRC-32 of JSON content, independent of its layout; -1 for content that JSON cannot hold."""
    try:
        return zlib.crc32(json.dumps(content, sort_keys=True).encode())
    except RecursionError:
        return -1


def from_json(encoded: bytes, where: str) -> dict[str, Any]:
    """Decode `to_json`, refusing anything that is not one JSON object."""
    try:
        content = json.loads(encoded.decode())
    except (ValueError, RecursionError) as error:
        raise UnreadableRunError(f"{where} is no valid JSON ({type(error).__name__}); it was damaged or not written by physopt.") from error
    if not isinstance(content, dict):
        raise UnreadableRunError(f"{where} holds a JSON {type(content).__name__} where an object belongs; it was not written by physopt.")
    return content


def check_encoding(kind: Any, version: Any, where: str, wanted: str = ENCODING_TYPE) -> None:
    """Refuse what is not a run, and runs of a newer major version; newer minor versions only add fields."""
    if kind != wanted:
        raise UnreadableRunError(f"{where} says it is {str(kind)[:64]!r}, not {wanted!r}.")
    if not re.fullmatch(r"\d{1,4}\.\d{1,4}", str(version)) or str(version).split(".")[0] != ENCODING_VERSION.split(".")[0]:
        raise UnreadableRunError(f"{where} has schema {str(version)[:64]!r}, this physopt reads {ENCODING_VERSION!r}; upgrade physopt.")


def software_versions() -> dict[str, str]:
    """Return the versions of Python, HDF5 and the numerical packages, and the machine, on which the numbers depend."""
    versions = {"python": platform.python_version(), "hdf5": h5py.version.hdf5_version}
    versions["machine"] = f"{platform.system()} {platform.machine()}"
    for package in ("physopt", "jax", "jaxlib", "numpy", "scipy", "pyscf", "h5py"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # optional ones may be absent; a checkout on PYTHONPATH has no metadata
    return versions
