"""Count the exact Fock builds of any mean field."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

GRAD_TOL = 3.16e-5  # PySCF's norm, hartree
BUILDS = ("get_veff", "get_jk", "get_j", "get_k")


class Meter:
    """Counts exact builds and the seconds they take: every full `get_veff`, and every `get_jk` outside of one."""

    def __init__(self) -> None:
        self.builds = 0
        self.durations: list[float] = []
        self._depth = 0

    def watch(self, mf: Any) -> Any:
        """Count the builds of `mf` from now on; returns `mf`."""
        for name in BUILDS:
            setattr(mf, name, self._counted(getattr(mf, name)))
        return mf

    @contextlib.contextmanager
    def watching(self, mf: Any) -> Iterator[Any]:
        """Count the builds of `mf` inside a `with` block."""
        try:
            yield self.watch(mf)
        finally:
            for name in BUILDS:
                delattr(mf, name)

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            started = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.builds += 1
                    self.durations.append(time.perf_counter() - started)

        return counted

    def equivalents(self, wall: float) -> float | None:
        """Return exact builds plus all other work, in units of one full exact build of this run, its first; `None` without one.

        Later builds may be incremental, or find their integrals in memory: they count as builds, but do not define the unit.
        """
        if not self.durations:
            return None
        return self.builds + max(wall - sum(self.durations), 0.0) / self.durations[0]
