"""Solve many problems by the workers of an executor, with each result recorded once."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from physopt.core.recording import Recording
from physopt.core.tasks import Outcome, outcomes

from .problems import AbstractTask, tasks_of
from .results import Result, check_names, recorded

Callback = Callable[[Result], object]


def run(
    function: Callable[[Any], Mapping[str, Any]],
    tasks: Mapping[str, Any],
    *,
    executor: Executor | int | None = None,
    record: str | Path | Recording | None = None,
    callback: Callback | None = None,
) -> dict[str, Result]:
    """Return the result of a function for each of many tasks, in the order of the tasks.

    Each task is computed by itself, so the results do not depend on how many workers there are. A task whose worker dies is sent again, and
    left when it has ended three. What a task raises, or numbers that are not finite, is the `error` of its result; the others go on.

    **Arguments:**

    - `function`: takes a task and returns numbers, texts and arrays by name. `tasks`: by name.
    - `executor`: a number of processes, by default one for each core, or any executor of PEP 3148, such as Dask's
      `client.get_executor()` or `mpi4py.futures.MPIPoolExecutor()`.
    - `record`: a folder into which each result is written when its task ends. With `Recording(folder, resume=True)` those that are there
      are read, and not computed again; results with an error are not written.
    - `callback`: called with each `Result`, those that were read first.

    **Raises:** `TypeError` for what cannot be sent to a worker; `UnequalWorkersError` for workers with other versions; `ValueError` for
    names that cannot be those of files, and for a recorded result of another task; `OSError` where the folder cannot be written.
    """
    check_names(list(tasks))
    say = callback or (lambda result: None)
    with recorded(Recording.of(record)) as results:
        found = {} if results is None else {name: results.read(name, task) for name, task in tasks.items() if name in results}
        for result in found.values():
            say(result)
        missing = {name: task for name, task in tasks.items() if name not in found}
        # Closed at once where a callback or a full disk ends this, or the workers would go on.
        with contextlib.closing(outcomes(function, missing, executor)) as coming:
            for outcome in coming if missing else ():
                result = found[outcome.name] = _result(outcome)
                if results is not None and result.error is None:
                    results.write(result, tasks[outcome.name])
                say(result)
    return {name: found[name] for name in tasks}


def solve(
    problems: Sequence[str | Path | AbstractTask],
    *,
    executor: Executor | int | None = None,
    record: str | Path | Recording | None = None,
    callback: Callback | None = None,
    **settings: Any,
) -> dict[str, Result]:
    """Solve many problems of any domain; see `run`.

    **Arguments:**

    - `problems`: tasks, or texts and paths for `tasks_of`: XYZ files, folders of them, TOML files, names of structures and equations.
    - `settings`: of tasks that are given as text; see `tasks_of`.

    ```python
    results = physopt.farm.solve(["molecules", "mbb:volfrac=0.4", "burgers:nu=0.01"], executor=2, record="results")
    ```
    """
    problems = [problems] if isinstance(problems, str | Path) else problems
    tasks = [task for problem in problems for task in ([problem] if isinstance(problem, AbstractTask) else tasks_of(problem, **settings))]
    check_names([task.name for task in tasks])
    return run(solved, {task.name: task for task in tasks}, executor=executor, record=record, callback=callback)


def solved(task: AbstractTask) -> dict[str, Any]:
    """Return what a task finds."""
    return task.solve()


def _result(outcome: Outcome) -> Result:
    error = outcome.error
    if error is None:
        try:
            return Result.of(outcome.name, outcome.value)
        except (TypeError, ValueError) as wrong:
            error = wrong
    return Result(outcome.name, {}, {}, f"{type(error).__name__}: {error}")
