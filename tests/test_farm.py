"""Many tasks on any executor: each result once, whatever the workers; what cannot work is said."""

import os
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from farmed import fallible, square, stubborn

from physopt import Recording, farm
from physopt.core import tasks
from physopt.farm.results import FORMAT, check_names

NUMBERS = {f"n={x}": x for x in range(6)}


def test_results_are_those_of_the_function_and_in_order_for_any_number_of_workers():
    for workers in (1, 3):
        with ThreadPoolExecutor(workers) as pool:
            found = farm.run(square, NUMBERS, executor=pool)
        assert list(found) == list(NUMBERS)
        assert [one.numbers["value"] for one in found.values()] == [x**2 for x in NUMBERS.values()]
        np.testing.assert_array_equal(found["n=5"].arrays["vector"], [1.0, 5.0])


def test_errors_and_numbers_that_are_not_finite_are_said_and_the_others_go_on(tmp_path):
    words = ("error", "nan", "none", "fine")
    with ThreadPoolExecutor(2) as pool:
        found = farm.run(fallible, {word: (word, tmp_path) for word in words}, executor=pool)
        odd = farm.run(stubborn, {"a": 1}, executor=pool)["a"]
    assert found["error"].error == "KeyError: 'no such thing'"
    assert found["nan"].error == "ValueError: It returned numbers that are not finite: value, vector."
    assert "It returned None; a task returns numbers" in found["none"].error
    assert found["fine"].error is None and found["fine"].numbers == {"value": 4}
    assert odd.error == "RuntimeError: Stubborn: 1 and 2"


def test_a_second_call_reads_what_is_recorded(tmp_path):
    folder, work = tmp_path / "results", tmp_path / "work"
    work.mkdir()
    words = {word: (word, work) for word in ("a", "bb", "error", "ccc")}
    with ThreadPoolExecutor(1) as pool:
        first = farm.run(fallible, words, executor=pool, record=folder)
        assert sorted(path.name for path in folder.iterdir()) == [f"{word}{FORMAT}" for word in ("a", "bb", "ccc")]
        (folder / f"bb{FORMAT}").unlink()
        (folder / ".ccc.result.tmp").write_bytes(b"half of a file")  # what a kill may leave
        told = []
        again = farm.run(fallible, words, executor=pool, record=Recording(folder, resume=True), callback=told.append)
    assert {name: len((work / path).read_text().splitlines()) for path in os.listdir(work) for name in [path.split("-")[0]]} == {
        "a": 1,
        "bb": 2,
        "error": 2,
        "ccc": 1,
    }
    assert [one.name for one in told[:2]] == ["a", "ccc"] and len(told) == 4
    assert {name: one.numbers for name, one in again.items()} == {name: one.numbers for name, one in first.items()}


def test_results_belong_to_their_task(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        farm.run(square, {"a": 1}, executor=pool, record=tmp_path / "one")
        with pytest.raises(ValueError, match=r"a.result.h5 holds the result of another task: task was 1, is 2"):
            farm.run(square, {"a": 2}, executor=pool, record=Recording(tmp_path / "one", resume=True))
        with pytest.raises(FileExistsError, match="already holds results; go on with resume=True"):
            farm.run(square, {"a": 1}, executor=pool, record=tmp_path / "one")
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "notes.txt").write_text("mine")
        with pytest.raises(FileExistsError, match=r"holds something else \(notes.txt\)"):
            farm.run(square, {"a": 1}, executor=pool, record=Recording(tmp_path / "other", resume=True))
        with pytest.raises(NotADirectoryError, match="is a file"):
            farm.run(square, {"a": 1}, executor=pool, record=tmp_path / "other" / "notes.txt")
        damaged = tmp_path / "one" / f"a{FORMAT}"
        damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
        with pytest.raises((ValueError, OSError), match=r"a\.result\.h5"):
            farm.run(square, {"a": 1}, executor=pool, record=Recording(tmp_path / "one", resume=True))


@pytest.mark.parametrize("names", [["a/b"], [""], ["../up"], ["a", "A"], ["x" * 151], ["a\n"], [".hidden"]])
def test_names_are_those_of_files(names):
    with pytest.raises(ValueError, match=r"cannot be named|Several tasks are named"):
        check_names(names)


def test_what_is_no_executor_or_forks_is_refused():
    for wrong in ("two", True, object()):
        with pytest.raises(TypeError, match="is none: give a number of processes"), tasks.opened(wrong):
            pass
    with pytest.raises(ValueError, match="cannot be 0 processes"):
        farm.run(square, {"a": 1}, executor=0)
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool, pytest.raises(ValueError, match="JAX and PySCF hang in forked"):
        farm.run(square, {"a": 1}, executor=pool)


def test_what_cannot_be_pickled_is_named():
    with pytest.raises(TypeError, match=r"cannot be sent what it should do: .*no lambda"):
        farm.run(lambda x: {"value": x}, {"a": 1}, executor=1)
    with farm.Processes(1) as pool, pytest.raises(TypeError, match="cannot be sent what it should do"):
        pool.submit(square, lambda: 0)


class Faulty(ThreadPoolExecutor):
    """Fails as executors do: its futures have an error that does not come from the task."""

    def __init__(self, failure):
        super().__init__(1)
        self.failure, self.sent = failure, 0

    def submit(self, fn, /, *args, **kwargs):
        self.sent += 1
        future: Future = Future()
        future.set_exception(self.failure)
        return future


def test_a_task_that_ends_three_workers_is_left():
    pool = Faulty(BrokenExecutor("gone"))
    found = farm.run(square, {"a": 1}, executor=pool)
    assert pool.sent == 3
    assert found["a"].error == "LostTaskError: a: 3 workers ended while they were at it."


def test_dask_counts_its_dead_workers_itself():
    pool = Faulty(type("KilledWorker", (Exception,), {"allowed_failures": 3})())
    assert "4 workers ended" in farm.run(square, {"a": 1}, executor=pool)["a"].error and pool.sent == 1


def test_what_an_executor_cannot_run_is_said():
    with pytest.raises(TypeError, match=r"Faulty could not run the task 'a' \(ModuleNotFoundError: no physopt\): workers need physopt"):
        farm.run(square, {"a": 1}, executor=Faulty(ModuleNotFoundError("no physopt")))
    pool = Faulty(None)
    pool.submit = lambda *_: gone
    gone = Future()
    gone.cancel()
    gone.set_running_or_notify_cancel()
    with pytest.raises(RuntimeError, match=r"Faulty gave up the task 'a': it was shut down"):
        farm.run(square, {"a": 1}, executor=pool)
    pool.submit = lambda *_: (_ for _ in ()).throw(BrokenExecutor("A process died."))
    with pytest.raises(RuntimeError, match=r"1 tasks are unfinished: A process died. Give a number of processes instead"):
        farm.run(square, {"a": 1}, executor=pool)


def test_workers_with_other_versions_are_refused(monkeypatch):
    here = tasks.Here({**tasks.Here.now().versions, "jax": "0.1.2"}, True)
    monkeypatch.setattr(tasks.Here, "now", classmethod(lambda cls: here))
    with ThreadPoolExecutor(1) as pool, pytest.raises(farm.UnequalWorkersError, match=r"has jax .* instead of 0.1.2"):
        farm.run(square, {"a": 1}, executor=pool)
