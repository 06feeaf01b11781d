"""Processes as an executor of PEP 3148: one that dies is replaced, and only the task that it was at is lost."""

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import threadpoolctl

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Processes(Executor):
    """Run functions in processes that are started fresh, never forked: JAX and PySCF do not survive a fork.

    Each process computes one task at a time with one BLAS and OpenMP thread, so that numbers do not depend on how many there are. Where one
    dies, the future of its task has a `BrokenExecutor`, and the next task gets a new process. They end with this process, even if it is
    killed. A script that uses them begins its work below `if __name__ == "__main__":`, because each process imports it.

    **Arguments:**

    - `number`: of processes; by default one for each core that this process may use.

    **Raises:** `ValueError` for a number that is not positive; at `submit`, `TypeError` for what cannot be pickled.
    """

    def __init__(self, number: int | None = None):
        number = usable_cores() if number is None else number
        if number < 1:
            raise ValueError(f"There cannot be {number} processes; give a number of at least 1.")
        self._lanes = [_Lane() for _ in range(number)]
        self._free: queue.SimpleQueue[_Lane] = queue.SimpleQueue()
        for lane in self._lanes:
            self._free.put(lane)
        self._threads = ThreadPoolExecutor(number, thread_name_prefix="physopt-process")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return the future of `fn(*args, **kwargs)`, which is pickled now."""
        try:
            call = pickle.dumps((fn, args, kwargs))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(
                f"A process cannot be sent what it should do: {error}. Functions and classes have to be at the top of a module, no lambda "
                "and not inside a function; functools.partial gives them arguments."
            ) from error
        return self._threads.submit(self._in_lane, call)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when their tasks are done, without those that have not begun if `cancel_futures`."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for lane in self._lanes:
            lane.close(wait)

    def kill(self) -> None:
        """End the processes now, whatever they are at."""
        self._threads.shutdown(False, cancel_futures=True)
        for lane in self._lanes:
            lane.kill()
        self.shutdown()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> bool | None:
        if kind is None:
            self.shutdown()
        else:
            self.kill()
        return None

    def _in_lane(self, call: bytes) -> Any:
        lane = self._free.get()
        try:
            return lane.run(call)
        finally:
            self._free.put(lane)


class _Lane:
    """A pool of one process, so that its death concerns one task."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._process: int | None = None
        self._killed = False

    def run(self, call: bytes) -> Any:
        try:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_begin)
                self._process = self._started(self._pool)
            if self._killed:
                raise BrokenExecutor("The processes were ended.")
            return self._pool.submit(_call, call).result()
        except BrokenExecutor:
            self.close(True)
            raise

    def _started(self, pool: ProcessPoolExecutor) -> int:
        try:
            return pool.submit(os.getpid).result()
        except BrokenExecutor as error:
            self.close(True)
            raise RuntimeError(
                "A process ended while it was started, before any task: what it printed says why. "
                'Scripts have to begin their work below `if __name__ == "__main__":`, because each process imports them.'
            ) from error

    def close(self, wait: bool) -> None:
        pool, self._pool, self._process = self._pool, None, None
        if pool is not None:
            pool.shutdown(wait)

    def kill(self) -> None:
        self._killed = True
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process, signal.SIGKILL)


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin() -> None:
    """Prepare a process that was just started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits, which then ends this one
    for name in THREADS:
        os.environ[name] = "1"  # for libraries that are still to be loaded
    threadpoolctl.threadpool_limits(1)  # for those that the script has loaded already
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several processes share the memory of an accelerator
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(call: bytes) -> Any:
    try:
        fn, args, kwargs = pickle.loads(call)  # noqa: S301  of this process's parent
    except Exception as error:
        raise TypeError(
            f"A process cannot load what it was sent ({type(error).__name__}: {error}): it has to be in a module that a new process "
            "imports, not in an interactive session."
        ) from error
    return fn(*args, **kwargs)
