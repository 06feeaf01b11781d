"""The output of a command: results on stdout, and the progress of a loop as a live line on a terminal or plain lines in a log."""

import math
import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress as RichProgress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text


class Screen(Console):
    """A console that never reads text as markup or as terminal commands: names may come from a foreign file."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text as it is, without control characters."""
        return super().render_str("".join(c if c.isprintable() or c == "\n" else "?" for c in text), **options)


def screen(width: int | None = None) -> Screen:
    """Return the console for results; in a log it has this many columns."""
    console = Screen(markup=False, highlight=False, emoji=False)
    return console if width is None or console.is_terminal else Screen(markup=False, highlight=False, emoji=False, width=width)


def significant(value: float) -> str:
    """Return a number with six significant digits, also if it is small."""
    return f"{value:.6g}" if value == 0.0 or 1e-3 <= abs(value) < 1e6 else f"{value:.5e}"


class Progress:
    """Show the progress of a loop on stderr, so that stdout holds results only.

    ```python
    with Progress("water, RHF/def2-SVP", total=50) as progress:
        progress.update(3, energy=-75.96, gradient=1.2e-3)
    ```

    **Arguments:**

    - `title`: what is being computed.
    - `total`: the number of steps, if known.
    - `interval`: least number of seconds between two plain lines in a log; the last step is always written.
    - `console`: where to; the process's stderr by default.
    """

    def __init__(self, title: str, *, total: int | None = None, interval: float = 1.0, console: Console | None = None):
        self._title, self._total, self._interval = title, total, interval
        self._console = Screen(file=sys.stderr, markup=False, highlight=False, emoji=False) if console is None else console
        self._live: RichProgress | None = None
        self._printed = -float("inf")
        self._pending: str | None = None

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            columns = [
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                MofNCompleteColumn(),
                TextColumn("{task.fields[detail]}", markup=False),
            ]
            if self._total is not None:
                columns.insert(2, BarColumn(bar_width=24))
            self._live = RichProgress(*columns, TimeElapsedColumn(), console=self._console)
            self._live.start()
            self._task = self._live.add_task(self._title, total=self._total, detail="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._pending is not None:
            self._print(self._pending)

    def update(self, done: int, **fields: float | int | str) -> None:
        """Report that `done` steps are done, with a few named values of the last one."""
        detail = "  ".join(f"{name} {_format(value)}" for name, value in fields.items())
        if self._live is not None:
            self._live.update(self._task, completed=done, detail=detail)
            return
        line = f"{self._title}: {done}{'' if self._total is None else f'/{self._total}'}  {detail}".rstrip()
        if time.monotonic() - self._printed >= self._interval:
            self._print(line)
        else:
            self._pending = line

    def _print(self, line: str) -> None:
        try:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        except BrokenPipeError:
            raise  # nobody reads on: the command ends, as others do
        except OSError:
            self._interval = math.inf  # a log on a full disk is lost, which is no reason to lose the calculation
        self._printed, self._pending = time.monotonic(), None


def _format(value: float | int | str) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3e}" if value != 0 and not 1e-2 <= abs(value) < 1e6 else f"{value:.8f}"
