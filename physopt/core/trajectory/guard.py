"""Reading HDF5 files from unknown sources. Every read of the package goes through here.

A file can make HDF5 read other files (links, external storage, virtual datasets), to load plug-ins (filters), and to
allocate far more than was ever stored. All of that is refused before the data are read. This cannot stop faults in the
HDF5 library itself, which a damaged file can crash. Read files that you do not trust through `quarantine`.
"""

import contextlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .folder import require_regular
from .schema import ENCODING_TYPE, JSON_LIMIT, OBJECT_NAME, UnreadableRunError, check_encoding, from_json
from .snapshot import open_for_reading

FLOOR = 16 * 2**20  # declared sizes below this are never suspicious
RATIO = 1000  # gzip shrinks no real trajectory further than this
MAX_LINKS = 10_000
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
_LAYOUTS = {h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED, h5py.h5d.COMPACT}
_CLASSES = {h5py.h5t.INTEGER, h5py.h5t.FLOAT}


class GuardedFile:
    """A run file opened by `opened`: reads what the schema knows, by name, and checks each object."""

    def __init__(self, file: h5py.File, path: Path):
        self._file, self._path = file, path
        state = path.stat()
        # A sparse file is as long as it says, but holds no more than its blocks.
        self._size = min(state.st_size, 512 * getattr(state, "st_blocks", state.st_size))

    def names(self, group: str) -> list[str]:
        """Return the names in a group, after checking that nothing in it points elsewhere."""
        target = self._file if group == "/" else self._object(group, h5py.Group)
        if target.id.get_num_objs() > MAX_LINKS:
            raise self.refusal(group, f"has more than {MAX_LINKS} entries")
        names = list(target)
        for name in names:
            if target.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
                raise self.refusal(f"{group}/{name[:64]}", "is a soft or external link; a run holds its own data")
            if not OBJECT_NAME.fullmatch(name):
                raise self.refusal(group, f"has an entry with the strange name {name[:64]!r}")
        return names

    def rows(self, name: str, count: int | None = None) -> np.ndarray:
        """Return the first `count` rows of a dataset of numbers, or all."""
        dataset = self._object(name, h5py.Dataset)
        self._check_storage(dataset, name)
        length = dataset.shape[0] if dataset.shape else -1
        wanted = length if count is None else count
        if not 0 <= wanted <= length:
            raise self.refusal(name, f"has shape {dataset.shape} where {count} rows were committed")
        self._check_size(dataset, name, wanted)
        return dataset[:wanted]

    def row(self, name: str, index: int) -> np.ndarray:
        """Return one row of a dataset of numbers."""
        dataset = self._object(name, h5py.Dataset)
        self._check_storage(dataset, name)
        if not dataset.shape or not 0 <= index < dataset.shape[0]:
            raise self.refusal(name, f"has shape {dataset.shape}, without a row {index}")
        self._check_size(dataset, name, dataset.shape[0])
        return np.asarray(dataset[index])

    def json(self, name: str) -> dict[str, Any]:
        """Return a block of JSON."""
        dataset = self._object(name, h5py.Dataset)
        if dataset.ndim != 1 or dataset.dtype != np.uint8 or dataset.shape[0] > JSON_LIMIT:
            raise self.refusal(name, f"is no block of at most {JSON_LIMIT} bytes")
        encoded = self.rows(name).tobytes()
        if h5py.h5a.exists(dataset.id, b"crc32") and self.text(name, "crc32") != f"{zlib.crc32(encoded):08x}":
            raise self.refusal(name, "differs from what was written, by its checksum")
        return from_json(encoded, f"{self._path.name}:{name}")

    def length(self, name: str) -> int:
        """Return the number of rows that a dataset declares, without reading any."""
        dataset = self._object(name, h5py.Dataset)
        return dataset.shape[0] if dataset.shape else -1

    def text(self, owner: str, attribute: str) -> str:
        """Return an attribute, a string of fixed length."""
        target = self._file if owner == "/" else self._object(owner, h5py.Dataset)
        if not h5py.h5a.exists(target.id, attribute.encode()):
            raise self.refusal(owner, f"lacks the attribute {attribute!r}")
        stored = h5py.h5a.open(target.id, attribute.encode())
        kind = stored.get_type()
        if kind.get_class() != h5py.h5t.STRING or kind.is_variable_str() or kind.get_size() > 1024 or stored.shape != ():
            raise self.refusal(owner, f"has an attribute {attribute!r} that is no string of fixed length")
        return bytes(target.attrs[attribute]).decode()

    def refusal(self, name: str, why: str) -> UnreadableRunError:
        """Return the error to raise about one object."""
        return UnreadableRunError(f"{self._path}: {name!r} {why}. The file was damaged or not written by physopt.")

    def _object(self, name: str, kind: type) -> Any:
        group, _, leaf = name.rpartition("/")
        parent = self._object(group, h5py.Group) if group else self._file
        if leaf not in parent or parent.id.links.get_info(leaf.encode()).type != h5py.h5l.TYPE_HARD:
            raise self.refusal(name, "is missing or a link")
        found = parent[leaf]
        if not isinstance(found, kind):
            raise self.refusal(name, f"is no {kind.__name__.lower()}")
        return found

    def _check_storage(self, dataset: h5py.Dataset, name: str) -> None:
        plan, kind = dataset.id.get_create_plist(), dataset.id.get_type()
        if kind.get_class() not in _CLASSES or kind.get_size() > 8:
            raise self.refusal(name, "holds something other than numbers of a fixed type")
        if plan.get_layout() not in _LAYOUTS:
            raise self.refusal(name, "is a virtual dataset, which would read other files")
        if plan.get_external_count():
            raise self.refusal(name, "has external storage, which would read other files")
        if {plan.get_filter(i)[0] for i in range(plan.get_nfilters())} - _FILTERS:
            raise self.refusal(name, "uses a filter other than gzip, shuffle and Fletcher-32")

    def _check_size(self, dataset: h5py.Dataset, name: str, count: int) -> None:
        # Only gzip makes more of what is on disk.
        ratio = RATIO if dataset.id.get_create_plist().get_nfilters() else 1
        bound = max(FLOOR, ratio * min(dataset.id.get_storage_size(), self._size))
        cells = [count * _product(dataset.shape[1:])] + ([_product(dataset.chunks)] if dataset.chunks else [])
        if max(cells) * dataset.dtype.itemsize > bound:
            raise self.refusal(name, f"declares {max(cells)} numbers, far more than the file can hold")


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for length in shape:
        product *= length  # Python's integers cannot overflow, as a hostile shape would have NumPy's do
    return product


@contextlib.contextmanager
def opened(path: Path, kind: str = ENCODING_TYPE) -> Iterator[GuardedFile]:
    """Open a run file, or one of another `kind`, for reading: live, killed or packed.

    **Raises:** `UnreadableRunError` for anything that is not a valid run file, `OSError` if the system refuses it.
    """
    require_regular(path)
    try:
        with open_for_reading(path) as file:
            guarded = GuardedFile(file, path)
            check_encoding(guarded.text("/", "encoding-type"), guarded.text("/", "encoding-version"), str(path), kind)
            guarded.names("/")
            yield guarded
    except UnreadableRunError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        if not path.exists():
            raise FileNotFoundError(f"{path} was removed while it was opened.") from error
        raise _unreadable(path, kind, error) from error
    except (RuntimeError, KeyError, ValueError, TypeError, MemoryError, OverflowError, AttributeError, IndexError) as error:
        raise _unreadable(path, kind, error) from error


def _unreadable(path: Path, kind: str, error: Exception) -> UnreadableRunError:
    detail = " ".join(str(error).split())[:160]
    return UnreadableRunError(f"{path} is no readable {kind} file ({type(error).__name__}: {detail}).")
