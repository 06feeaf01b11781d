"""What a self-consistent field costs: its exact builds, and all other work in units of the first of them."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any


class Clock:
    """Counts the exact builds of one field, and measures the seconds of its other work, until it is asked what is due.

    The unit is the first build, which is a full one. Later ones may be incremental, or find their integrals in memory: each counts as one.
    """

    def __init__(self) -> None:
        self._unit: float | None = None
        self._builds, self._seconds = 0, 0.0
        self._since: float | None = None  # when the present stretch of other work began

    @contextlib.contextmanager
    def working(self, before: float = 0.0) -> Iterator[None]:
        """Measure what is done inside a `with` block, inside of another one too; `before` are seconds spent until now."""
        self._seconds += before
        if self._since is not None:
            yield
            return
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self._pause()

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """Count one exact build, whose seconds are no other work."""
        inside = self._since is not None
        self._pause()
        started = time.perf_counter()
        try:
            yield
        finally:
            ended = time.perf_counter()
            self._builds += 1
            self._unit = ended - started if self._unit is None else self._unit
            self._since = ended if inside else None

    def due(self) -> float:
        """Return what was spent since this was last asked, in full builds."""
        if self._since is not None:
            self._pause()
            self._since = time.perf_counter()
        spent = self._builds + (self._seconds / self._unit if self._unit else 0.0)
        self._builds, self._seconds = 0, 0.0
        return spent

    def _pause(self) -> None:
        if self._since is not None:
            self._seconds += time.perf_counter() - self._since
            self._since = None


def timed(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method whose work the clock of its object's `oracle` measures."""

    @functools.wraps(method)
    def measured(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.oracle.clock.working():
            return method(self, *args, **kwargs)

    return measured
