"""Writing one HDF5 file of a run: the live segment of a process, and the packed file at the end."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .folder import publish, temporary
from .schema import ENCODING_TYPE, ENCODING_VERSION, Column, checkpoint_crc, record_crc, stored_leaf, to_json

# Readable by HDF5 1.10 and later; "latest" would write files that HDF5 1.14 cannot open.
LIBVER = ("v110", "v110")
COMMIT_UNITS = "1, crc32, crc32, ns"
CHECKPOINT_UNITS = "opaque"


def write_attributes(target: h5py.HLObject, **attributes: str) -> None:
    """Write fixed-length string attributes; `_` stands for `-` in their names."""
    for name, text in attributes.items():
        target.attrs[name.replace("_", "-")] = np.bytes_(text.encode())


def write_header(file: h5py.File, header: Mapping[str, Any]) -> None:
    """Say what the file is, and keep the provenance inside it too, so that a file on its own still tells."""
    write_attributes(file, encoding_type=ENCODING_TYPE, encoding_version=ENCODING_VERSION, creator="physopt")
    write_json(file, "header", header)


def write_json(file: h5py.File, name: str, content: Mapping[str, Any]) -> None:
    """Store JSON as a block of bytes."""
    dataset = file.create_dataset(name, data=np.frombuffer(to_json(content), np.uint8))
    write_attributes(dataset, units="1")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[h5py.File]:
    """Write an HDF5 file under its temporary name and give it its own when it is complete and on disk."""
    file = h5py.File(temporary(path), "w", libver=LIBVER, locking=False)
    try:
        yield file
        file.close()
        with temporary(path).open("rb") as written:
            os.fsync(written.fileno())
        publish(path)
    except BaseException:
        abandon(file)
        temporary(path).unlink(missing_ok=True)
        raise


def abandon(file: h5py.File) -> None:
    """Close after a failed write, leaving on disk what a kill would have left.

    HDF5 would try to write its caches again, fail again, and crash the process at exit; so what it still wants to write
    goes to the null device.
    """
    if file:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, file.id.get_vfd_handle(), inheritable=False)
        os.close(null)
        file.close()


class Segment:
    """The file of one process attempt: appended to in SWMR mode, never reopened for writing.

    A record is there for good once `append` returns: first the payload is flushed, then the row of `commit` that vouches for it.
    Everything is created before SWMR starts, since HDF5 allows no new objects after.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], columns: Mapping[str, Column], checkpoint: Sequence[np.ndarray], power: bool):
        self._power = power
        self._rows = 0
        temporary(path).unlink(missing_ok=True)
        self._file = h5py.File(temporary(path), "w", libver=LIBVER, locking=False)
        try:
            write_header(self._file, header)
            group = self._file.create_group("columns", track_order=True)
            self._columns = {name: _growing(group, name, column.shape, column.stored, column.unit) for name, column in columns.items()}
            slots = self._file.create_group("checkpoint")
            self._slots = [_slots(slots, f"{i:04d}", leaf) for i, leaf in enumerate(checkpoint)]
            self._commit = _growing(self._file, "commit", (4,), np.dtype("<i8"), COMMIT_UNITS)
            self._file.swmr_mode = True
            self._file.flush()
            publish(path)
        except BaseException:
            self.abandon()
            raise

    def append(self, index: int, values: Mapping[str, np.ndarray], stored: Sequence[np.ndarray]) -> None:
        """Write one record and its checkpoint, both as stored on disk, and commit them."""
        row, now = self._rows, time.time_ns()
        for name, dataset in self._columns.items():
            dataset.resize(row + 1, 0)
            dataset[row] = values[name]
        for dataset, leaf in zip(self._slots, stored, strict=True):
            dataset[index % 2] = leaf
        self._file.flush()
        self._commit.resize(row + 1, 0)
        self._commit[row] = (index, record_crc(index, now, values), checkpoint_crc(index, stored), now)
        self._commit.flush()
        if self._power:
            os.fsync(self._file.id.get_vfd_handle())
        self._rows = row + 1

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()

    def abandon(self) -> None:
        """Close after a failed write."""
        abandon(self._file)


def _growing(parent: h5py.Group, name: str, shape: tuple[int, ...], dtype: np.dtype, units: str) -> h5py.Dataset:
    size = max(1, dtype.itemsize * int(np.prod(shape)))
    rows = max(1, min(256, 8192 // size))  # small chunks: each flush writes the newest one again
    dataset = parent.create_dataset(name, (0, *shape), maxshape=(None, *shape), chunks=(rows, *(max(1, n) for n in shape)), dtype=dtype)
    write_attributes(dataset, units=units)
    return dataset


def _slots(parent: h5py.Group, name: str, leaf: np.ndarray) -> h5py.Dataset:
    # Filled at once: space is allocated before SWMR, and a record then only overwrites bytes in place.
    stored = stored_leaf(leaf)
    dataset = parent.create_dataset(name, data=np.stack([stored, stored]))
    write_attributes(dataset, units=CHECKPOINT_UNITS, dtype=np.asarray(leaf).dtype.newbyteorder("<").str)
    return dataset
