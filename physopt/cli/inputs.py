"""Tables and reports that a command reads: regular files of bounded size."""

import csv
import io
from pathlib import Path
from typing import Any

from physopt.core.regular import read_regular

LARGEST = 2**26  # bytes


def read_text(file: Path) -> str:
    """Return the text of a regular file of UTF-8, 64 MiB at most; `ValueError` for any other file, `OSError` if it cannot be opened."""
    return read_regular(file, LARGEST, "a table or a report").decode("utf-8-sig")


def read_rows(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a CSV file by the names in its first line; `ValueError` as for `read_text`, and for a file that is not a table."""
    try:
        return list(csv.DictReader(io.StringIO(read_text(file), newline="")))
    except csv.Error as error:
        raise ValueError(f"{file}: is not a table ({error}).") from None
