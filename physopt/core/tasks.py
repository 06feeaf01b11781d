"""Independent tasks on any executor of PEP 3148: each is done once, also where workers die."""

import contextlib
import functools
import os
import pickle
import platform
import socket
import sys
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from typing import Any, NamedTuple

from .processes import Processes

LIVES = 3  # workers that a task may cost


class LostTaskError(RuntimeError):
    """A task ended each worker that it was sent to."""


class UnequalWorkersError(RuntimeError):
    """A worker has other versions of packages on which numbers depend."""


class Outcome(NamedTuple):
    """What came of a task: what its function returned, or the error that it raised, or a `LostTaskError`."""

    name: str
    value: Any
    error: Exception | None


class Here(NamedTuple):
    """What a worker must have in common with the process that sends it tasks: versions of packages, and the precision of JAX."""

    versions: Mapping[str, str]
    double: bool

    @classmethod
    def now(cls) -> "Here":
        """Return those of this process."""
        jax = sys.modules.get("jax")
        told = os.environ.get("JAX_ENABLE_X64", "").lower() in ("1", "t", "true", "y", "yes", "on")
        return cls(_versions(), told if jax is None else bool(jax.config.jax_enable_x64))

    def check(self) -> None:
        """Raise `UnequalWorkersError` in a worker that is not like the process it works for."""
        own = _versions()
        other = [f"{name} {own.get(name)} instead of {version}" for name, version in self.versions.items() if own.get(name) != version]
        if other:
            raise UnequalWorkersError(
                f"The worker on {socket.gethostname()} has {', '.join(other)}: numbers would depend on which worker computes them. "
                "Install the same versions everywhere."
            )

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """Return a `with` block in which JAX has this precision, now or when it is loaded."""
        if "jax" in sys.modules:
            return sys.modules["jax"].enable_x64(self.double)
        os.environ["JAX_ENABLE_X64"] = "1" if self.double else "0"
        return contextlib.nullcontext()


@functools.cache
def _versions() -> dict[str, str]:
    from .trajectory import software_versions
    from .trajectory.asked import PACKAGES

    found = software_versions()
    return {"python": ".".join(platform.python_version_tuple()[:2]), **{name: found[name] for name in PACKAGES if name in found}}


def outcomes(function: Callable[[Any], Any], tasks: Mapping[str, Any], executor: Executor | int | None) -> Generator[Outcome, None, None]:
    """Yield the outcome of each task, in the order in which they end.

    A task whose worker died is sent again, and left with a `LostTaskError` when it has ended three. An error of the function is the
    outcome of its task; the others go on.

    **Arguments:**

    - `function`: of one task. `tasks`: by name. `executor`: see `opened`.

    **Raises:** `UnequalWorkersError`; `TypeError` where the executor cannot send a task; `RuntimeError` where it is broken itself.
    """
    here = Here.now()
    with opened(executor) as pool:
        waiting: dict[Future[Any], str] = {}
        lost: dict[str, int] = dict.fromkeys(tasks, 0)  # of each task that has not ended

        def send(name: str) -> None:
            waiting[_submitted(pool, function, tasks[name], here, len(lost))] = name

        try:
            for name in tasks:
                send(name)
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    name = waiting.pop(future)
                    failure = _failure(future, name, pool)
                    if failure is None:
                        yield Outcome(name, *future.result())
                    else:
                        died = _workers_lost(failure, pool)
                        lost[name] += max(died, 1)  # an engine may also lose a result, where its worker dies too late
                        if lost[name] < LIVES:
                            send(name)
                            continue
                        if not died:
                            raise _explained(failure, name, pool)
                        yield Outcome(name, None, LostTaskError(f"{name}: {lost[name]} workers ended while they were at it."))
                    del lost[name]
        finally:
            for future in waiting:
                future.cancel()


@contextlib.contextmanager
def opened(executor: Any) -> Iterator[Executor]:
    """Lend an executor: the one given, or `Processes` for a number of them, by default one for each core.

    **Raises:** `TypeError` for anything else, `ValueError` for a pool that forks.
    """
    if executor is None or (isinstance(executor, int) and not isinstance(executor, bool)):
        with Processes(executor) as own:
            yield own
        return
    if not isinstance(executor, Executor):
        raise TypeError(
            f"executor={executor!r:.60} is none: give a number of processes, or an executor such as client.get_executor() of Dask or "
            "mpi4py.futures.MPIPoolExecutor()."
        )
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise ValueError(
            "This pool forks, and JAX and PySCF hang in forked processes: give a number of processes, or "
            'ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")).'
        )
    yield executor


def _submitted(pool: Executor, function: Callable[[Any], Any], task: Any, here: Here, left: int) -> Future[Any]:
    try:
        return pool.submit(perform, function, task, here, uuid.uuid4().hex)
    except BrokenExecutor as error:
        raise RuntimeError(
            f"{type(pool).__name__} ended with one of its workers, and {left} tasks are unfinished: {error} "
            "Give a number of processes instead, executor=4, of which those that die are replaced."
        ) from error


def perform(function: Callable[[Any], Any], task: Any, here: Here, attempt: str) -> tuple[Any, Exception | None]:
    """Return in a worker what a function makes of a task, and the error that it raised.

    `attempt` is of this one only: Dask takes equal calls for the same one, and would not send a task again.
    """
    here.check()
    with here.precision():
        try:
            return function(task), None
        except Exception as error:
            return None, _sendable(error)


def _sendable(error: Exception) -> Exception:
    """Return an error that survives being sent: some cannot be made again from their arguments."""
    try:
        again = pickle.loads(pickle.dumps(error))  # noqa: S301  made a moment ago
        return error if type(again) is type(error) and str(again) == str(error) else RuntimeError(f"{type(error).__name__}: {error}")
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _failure(future: Future[Any], name: str, pool: Executor) -> BaseException | None:
    try:
        return future.exception()
    except CancelledError as error:
        raise RuntimeError(
            f"{type(pool).__name__} gave up the task {name!r}: it was shut down, or lost what distributes its tasks. "
            "Results that are recorded stay; start again with resume=True."
        ) from error


def _workers_lost(failure: BaseException, pool: Executor) -> int:
    """Return how many workers died, by what a future says, and raise what no second attempt mends.

    Dask has an error of its own, after as many as it allows itself.
    """
    if isinstance(failure, BrokenExecutor):
        return 1
    if isinstance(failure, UnequalWorkersError | KeyboardInterrupt) or isinstance(pool, Processes):
        raise failure
    return getattr(failure, "allowed_failures", 0) + 1 if type(failure).__name__ == "KilledWorker" else 0


def _explained(failure: BaseException, name: str, pool: Executor) -> Exception:
    """Return what to raise where a task could not be sent, loaded or begun."""
    error = TypeError(
        f"{type(pool).__name__} could not run the task {name!r} ({type(failure).__name__}: {failure}): workers need physopt, and functions "
        "and classes have to be at the top of a module that they can import."
    )
    error.__cause__ = failure
    return error
