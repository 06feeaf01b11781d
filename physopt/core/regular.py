"""Open files from unknown sources safely: regular files only, without waiting, and up to a size limit."""

import os
import stat
from typing import BinaryIO


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading; `ValueError` for a pipe, a device or a socket, which could block a reader forever."""
    # Non-blocking, so that opening a pipe returns; and one descriptor, so that what is checked is what is read.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(21, os.strerror(21), os.fspath(path))
        raise ValueError(f"{os.fspath(path)}: is not a regular file. Copy what it gives into one.")
    return os.fdopen(descriptor, "rb")


def read_regular(path: str | os.PathLike[str], most: int, what: str) -> bytes:
    """Return the bytes of a regular file; `ValueError` if it has more than `most`, the limit for `what`."""
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{os.fspath(path)}: is larger than {most // 2**20} MiB, too large for {what}.")
    return data
