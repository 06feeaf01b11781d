"""A run in several parts, such as stages: each is recorded in its own folder, below one that describes the whole run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .recording import Recording
from .trajectory import Whole


class Parts:
    """The recordings of the parts of a run, by number; for a run in one part this is the recording itself.

    **Arguments:**

    - `record`: of the whole; `None` records nothing. `names`: of the parts, which are the names of their folders.
    - `asked`: what the run is asked for, which must be the same when it is resumed.

    **Raises:** `FileExistsError` if the folder cannot take this run, `ValueError` if it holds one that was asked for something else.
    """

    def __init__(self, record: Recording | None, names: Sequence[str], **asked: Any):
        self._record, self._names = record, names
        self._whole: Whole | None = None
        if record is not None and len(names) > 1:
            whole = record.asking(**asked).prepared(parts=True)
            self._whole = None if whole is None else Whole(Path(whole.folder), whole.spec, whole.asked)
            self._record = whole

    def __enter__(self) -> "Parts":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._whole is not None:
            self._whole.close()

    def __getitem__(self, number: int) -> Recording | None:
        """Return the recording of one part."""
        return self._record if self._record is None or len(self._names) == 1 else self._record.in_part(self._names[number])

    def end(self, finished: bool, summary: Mapping[str, Any]) -> None:
        """Record how the whole run ended; an unfinished one may be resumed with a larger budget."""
        if self._whole is not None:
            self._whole.end(finished, summary)
