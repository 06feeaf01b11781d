"""Opening run files so that damage is an error, not a hang.

A killed SWMR writer leaves its file marked as being written. HDF5 opens such a file in SWMR mode only. There it repeats the read of
damaged metadata with pauses that double a hundred times, which never ends. So SWMR is used only while a writer is alive. For a file that
nobody writes, the mark is cleared in a view of the file (the tool h5clear would do this to the file itself), and HDF5 reads the view.
"""

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from .folder import is_live

_SIGNATURE = b"\x89HDF\r\n\x1a\n\x03\x08\x08"  # superblock version 3 with 8-byte addresses, as we write it
_MARK, _END_OF_FILE, _CHECKSUM, _LENGTH = 11, 28, 44, 48


@contextlib.contextmanager
def open_for_reading(path: Path) -> Iterator[h5py.File]:
    """Open a run file, whether it is being written, was left by a kill, or was closed."""
    with path.open("rb") as file:
        head = file.read(_LENGTH)
    marked = head[: len(_SIGNATURE)] == _SIGNATURE and len(head) == _LENGTH and head[_MARK] != 0
    with contextlib.ExitStack() as resources:
        if not marked:
            file = h5py.File(path, "r", locking=False)
        # Asked after the mark was read: a writer that is gone now has left the file as it will stay.
        elif is_live(path):
            file = h5py.File(path, "r", libver="latest", swmr=True, locking=False)
        else:
            file = h5py.File(resources.enter_context(_Unmarked(path)), "r")
        yield resources.enter_context(file)


class _Unmarked(io.FileIO):
    """A file with the mark of its writer cleared in what is read from it."""

    def __init__(self, path: Path):
        super().__init__(path, "r")
        head = bytearray(super().read(_LENGTH))
        if lookup3(bytes(head[:_CHECKSUM])) == struct.unpack_from("<I", head, _CHECKSUM)[0]:  # else leave the damage to be seen
            head[_MARK] = 0
            struct.pack_into("<Q", head, _END_OF_FILE, self.seek(0, io.SEEK_END))
            struct.pack_into("<I", head, _CHECKSUM, lookup3(bytes(head[:_CHECKSUM])))
        self._head = bytes(head)
        self.seek(0)

    def readinto(self, buffer: Any) -> int:
        """Read at the present position."""
        start = self.tell()
        count = super().readinto(buffer) or 0
        if start < _LENGTH:
            part = self._head[start : start + count]
            memoryview(buffer).cast("B")[: len(part)] = part
        return count


def lookup3(data: bytes) -> int:
    r"""Return the checksum of HDF5's metadata, Bob Jenkins' `lookup3` hash.

    ??? cite "Reference"
        HDF5 File Format Specification 3.0, section II.A; Jenkins, "Hash functions for hash table lookup" (2006), public domain.
    """

    def rotated(x: int, k: int) -> int:
        return (x << k | x >> (32 - k)) & 0xFFFFFFFF

    a = b = c = (0xDEADBEEF + len(data)) & 0xFFFFFFFF
    words = struct.unpack(f"<{-(-len(data) // 12) * 3}I", data.ljust(-(-len(data) // 12) * 12, b"\0"))
    for i in range(0, len(words), 3):
        a, b, c = ((x + y) & 0xFFFFFFFF for x, y in zip((a, b, c), words[i : i + 3], strict=True))
        if i + 3 < len(words):
            for k in (4, 6, 8, 16, 19, 4):
                a = ((a - c) & 0xFFFFFFFF) ^ rotated(c, k)
                c = (c + b) & 0xFFFFFFFF
                a, b, c = b, c, a
    for k in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - rotated(b, k)) & 0xFFFFFFFF
        a, b, c = b, c, a
    # The roles turn with each round: the last word changed is now `b`.
    return b
