"""Writing one HDF5 file of a run: the live segment of a process, and the packed file at the end."""

import contextlib
import errno
import math
import os
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .folder import HEADROOM, hold, publish, temporary
from .schema import ENCODING_TYPE, ENCODING_VERSION, Column, checkpoint_crc, record_crc, stored_leaf, to_json

# Readable by HDF5 1.10 and later; "latest" would write files that HDF5 1.14 cannot open.
LIBVER = ("v110", "v110")
COMMIT_UNITS = "1, crc32, crc32, ns"
CHECKPOINT_UNITS = "opaque"


def write_attributes(target: h5py.HLObject, **attributes: str) -> None:
    """Write fixed-length string attributes; `_` stands for `-` in their names."""
    for name, text in attributes.items():
        target.attrs[name.replace("_", "-")] = np.bytes_(text.encode())


def write_header(file: h5py.File, header: Mapping[str, Any], kind: str = ENCODING_TYPE) -> None:
    """Write the kind of the file and the provenance into it, so that a single file is self-describing."""
    write_attributes(file, encoding_type=kind, encoding_version=ENCODING_VERSION, creator="physopt")
    write_json(file, "header", header)


def write_json(file: h5py.File, name: str, content: Mapping[str, Any]) -> None:
    """Store JSON as a block of bytes."""
    encoded = to_json(content)
    dataset = file.create_dataset(name, data=np.frombuffer(encoded, np.uint8))
    write_attributes(dataset, units="1", crc32=f"{zlib.crc32(encoded):08x}")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[h5py.File]:
    """Write an HDF5 file under a temporary name, and rename it when it is complete and on disk."""
    with _abandoned_on_failure(h5py.File(temporary(path), "w", libver=LIBVER, locking=False), path) as file:
        yield file
        close(file)
        with temporary(path).open("rb") as written:
            os.fsync(written.fileno())
        publish(path)


@contextlib.contextmanager
def _abandoned_on_failure(file: h5py.File, path: Path) -> Iterator[h5py.File]:
    """Close `file` if anything fails, leaving on disk what a kill would have left; HDF5's own errors become `OSError`."""
    try:
        yield file
    except BaseException as error:
        if file:
            # HDF5 would try to write its caches again, and fail again: let the null device have them.
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, file.id.get_vfd_handle(), inheritable=False)
            os.close(null)
            with contextlib.suppress(RuntimeError):  # a flush that failed half-way cannot be repeated even so
                file.close()
        temporary(path).unlink(missing_ok=True)
        if isinstance(error, RuntimeError):
            raise OSError(f"{path} cannot be written: {' '.join(str(error).split())[:160]}") from error
        raise


def reserve(file: h5py.File, size: int) -> None:
    """Reserve disk space for `size` more bytes and the bookkeeping of HDF5, which does not survive a write that fails.

    **Raises:** `OSError`, before anything is damaged, if the disk is full or a quota or limit is reached.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.id.get_vfd_handle(), file.id.get_filesize(), size + HEADROOM)


def close(file: h5py.File) -> None:
    """Close the file and release the reserved space. Idempotent."""
    if file:
        os.ftruncate(file.id.get_vfd_handle(), file.id.get_filesize())
        file.close()


class Segment:
    """The file of one process attempt: appended to in SWMR mode, never reopened for writing.

    A record is safe once `append` returns: first the data are flushed, then the row of `commit` that makes them valid.
    Everything is created before SWMR starts, since HDF5 allows no new objects after.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], columns: Mapping[str, Column], checkpoint: Sequence[np.ndarray], power: bool):
        self._power = power
        self._rows = 0
        temporary(path).unlink(missing_ok=True)
        self._path, self._file = path, h5py.File(temporary(path), "w", libver=LIBVER, locking=False)
        with _abandoned_on_failure(self._file, path):
            reserve(self._file, len(to_json(header)) + sum(2 * leaf.nbytes for leaf in checkpoint))
            write_header(self._file, header)
            group = self._file.create_group("columns", track_order=True)
            self._columns = {name: _growing(group, name, column.shape, column.stored, column.unit) for name, column in columns.items()}
            slots = self._file.create_group("checkpoint")
            self._slots = [_slots(slots, f"{i:04d}", leaf) for i, leaf in enumerate(checkpoint)]
            self._commit = _growing(self._file, "commit", (4,), np.dtype("<i8"), COMMIT_UNITS)
            self._growth = sum(math.prod(d.chunks) * d.dtype.itemsize for d in (*self._columns.values(), self._commit))
            hold(self._file.id.get_vfd_handle())
            self._file.swmr_mode = True
            self._file.flush()
            publish(path)

    def append(self, index: int, values: Mapping[str, np.ndarray], stored: Sequence[np.ndarray]) -> None:
        """Write one record and its checkpoint, both as stored on disk, and commit them."""
        if not os.fstat(self._file.id.get_vfd_handle()).st_nlink:
            raise OSError(errno.ENOENT, "the file was removed while it was being written")
        reserve(self._file, self._growth)
        row, now = self._rows, time.time_ns()
        with _abandoned_on_failure(self._file, self._path):
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
        with _abandoned_on_failure(self._file, self._path):
            close(self._file)


def _growing(parent: h5py.Group, name: str, shape: tuple[int, ...], dtype: np.dtype, units: str) -> h5py.Dataset:
    size = max(1, dtype.itemsize * int(np.prod(shape)))
    rows = max(1, min(256, 8192 // size))  # small chunks: each flush writes the newest one again
    dataset = parent.create_dataset(name, (0, *shape), maxshape=(None, *shape), chunks=(rows, *shape), dtype=dtype)
    write_attributes(dataset, units=units)
    return dataset


def _slots(parent: h5py.Group, name: str, leaf: np.ndarray) -> h5py.Dataset:
    # Filled at once: space is allocated before SWMR, and a record then only overwrites bytes in place.
    stored = stored_leaf(leaf)
    dataset = parent.create_dataset(name, data=np.stack([stored, stored]))
    write_attributes(dataset, units=CHECKPOINT_UNITS, dtype=np.asarray(leaf).dtype.newbyteorder("<").str)
    return dataset
