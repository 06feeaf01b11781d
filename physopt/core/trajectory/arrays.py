"""One HDF5 file of named arrays with a header: complete with all its checksums, or not there."""

import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .guard import opened
from .schema import UnreadableRunError
from .segment import reserve, write_attributes, write_header, writing

LARGEST = 2**31  # bytes of one array


def write_arrays(path: Path, kind: str, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a file of real numbers at once, so that no reader ever sees half of it; its folder exists.

    **Arguments:** `kind`: what the file is, such as "physopt-solve". `arrays`: float64, of at least one dimension and one number each.

    **Raises:** `OSError` if it cannot be written; then nothing is left behind. `ValueError` for a header beyond the limit of JSON.
    """
    stored = {name: np.ascontiguousarray(array, "<f8") for name, array in arrays.items()}
    if any(array.ndim == 0 or array.size == 0 or array.nbytes > LARGEST for array in stored.values()):
        raise ValueError(f"arrays of {[each.shape for each in stored.values()]}: each needs a number, and at most {LARGEST} bytes.")
    with writing(path) as file:
        reserve(file, sum(array.nbytes for array in stored.values()))
        write_header(file, header, kind)
        group = file.create_group("arrays")
        for name, array in stored.items():
            dataset = group.create_dataset(name, data=array)
            write_attributes(dataset, units="1", crc32=f"{zlib.crc32(array.reshape(-1).view(np.uint8).data):08x}")


def read_arrays(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the header and the arrays of a file of `write_arrays`, checked against its checksums; they may hold any numbers.

    **Raises:** `UnreadableRunError` for anything else, `OSError` if the system refuses it.
    """
    with opened(path, kind) as file:
        header = file.json("header")
        found = {name: file.rows(f"arrays/{name}") for name in file.names("arrays")}
        for name, array in found.items():
            if array.dtype != np.dtype("<f8") or math.prod(array.shape) == 0:
                raise file.refusal(f"arrays/{name}", f"has type {array.dtype} and shape {array.shape}")
            if file.text(f"arrays/{name}", "crc32") != f"{zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data):08x}":
                raise UnreadableRunError(f"{path}: {name!r} differs from what was written, by its checksum.")
    return header, found
