"""Exit codes, and the one line of an error.

0 done, 1 a defect of physopt, 2 bad input, 3 not converged, 4 files or the installation, 130 Ctrl-C, 141 reader gone, 143 SIGTERM.
`PHYSOPT_TRACEBACK=1` shows where an error came from.
"""

import math
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import cyclopts
import numpy as np

from physopt.core.extras import MissingExtraError
from physopt.core.trajectory import RecordingStoppedWarning

from .elsewhere import memory_limit


class NotConverged(Exception):
    """A command did all it was asked to do, but the calculation did not converge: exit code 3."""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived, as batch systems send it before the end. Raised so that open records are closed on the way out."""


def run(command: Callable[[], object]) -> int:
    """Call `command` and turn its result or error into an exit code, with at most one line on stderr.

    **Returns:** the integer that `command` returned, 0 if it returned anything else, or the code of its exception; 4 instead of 0 if
    the calculation went well but could not be recorded.
    """
    try:
        with _terminable(), _warnings_in_one_line() as shown:
            result = command()
            sys.stdout.flush()
        unrecorded = any(issubclass(kind, RecordingStoppedWarning) for kind in shown)
        return (result if isinstance(result, int) else 0) or 4 * unrecorded
    except SystemExit as request:
        if isinstance(request.code, str):
            return _say(request, 1)
        return request.code or 0
    except BrokenPipeError:
        return 141  # `physopt runs ls | head`: the reader has what it wanted
    except (Exception, KeyboardInterrupt, Terminated) as error:
        return _say(error, _code(error))
    finally:
        _let_go()


def _let_go() -> None:
    """Let what a full or closed stream did not take go nowhere: else Python tries again at its end, and exits with a code of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _code(error: BaseException) -> int:
    error = _signal(error)
    codes = {
        cyclopts.CycloptsError: 2,
        np.linalg.LinAlgError: 1,  # a ValueError, but not the user's
        ValueError: 2,
        NotConverged: 3,
        OSError: 4,
        ImportError: 1 if _missing(error) == "physopt" else 4,
        MemoryError: 4,
        Terminated: 143,
        KeyboardInterrupt: 130,
    }
    return next((code for kind, code in codes.items() if isinstance(error, kind)), 1)


def _say(error: BaseException, code: int) -> int:
    with suppress(OSError):  # where stderr is full, the exit code says what it can
        if os.environ.get("PHYSOPT_TRACEBACK") == "1":
            traceback.print_exception(error)
        print(f"physopt: {_one_line(_message(error, code))}", file=sys.stderr)
    return code


def _message(error: BaseException, code: int) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "terminated" if isinstance(_signal(error), Terminated) else "interrupted"
    if isinstance(error, cyclopts.UnknownCommandError):
        # Its own text would import every command to guess which one was meant.
        return f"unknown command {' '.join((error.unused_tokens or [])[:1])!r}. Try --help."
    if isinstance(error, cyclopts.CycloptsError):
        return f"{error} Try --help."
    if isinstance(error, MemoryError) or (isinstance(error, ImportError) and "failed to map segment" in str(error)):
        limit = memory_limit()
        bound = "" if limit == math.inf else f" within the limit of {limit:.0f} MB (ulimit -v)"
        return f"not enough memory{bound}{f': {error}' if str(error) else ''}"
    if isinstance(error, MissingExtraError):
        return str(error)
    if isinstance(error, ImportError) and code == 4:
        return f"{error}. Is {_missing(error) or 'a package'} installed? `physopt doctor` lists what is."
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    if code == 1:
        return f"{type(error).__name__}: {error} (a defect of physopt; PHYSOPT_TRACEBACK=1 shows where)"
    return str(error) or type(error).__name__


def _signal(error: BaseException) -> BaseException:
    """Return what arrived, where a run that was interrupted has said what it had found by then."""
    while isinstance(error, KeyboardInterrupt) and isinstance(error.__cause__, KeyboardInterrupt):
        error = error.__cause__
    return error


def _missing(error: BaseException) -> str:
    """Name the package that an import failed on; the command's own lazy import wraps the first error."""
    origin = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    return (getattr(origin, "name", None) or "").split(".")[0]


def _one_line(text: str, limit: int = 600) -> str:
    """Return `text` on one line without control characters: it may quote a hostile file or file name."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 3] + "..."


@contextmanager
def _warnings_in_one_line() -> Iterator[list[type[Warning]]]:
    """Print warnings without the source line they came from, and yield the kinds that were printed."""
    shown: list[type[Warning]] = []

    def show(message: Warning | str, category: type[Warning], *place: object) -> None:
        shown.append(category)
        print(f"physopt: warning: {_one_line(str(message))}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield shown


@contextmanager
def _terminable() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
