"""Farmed processes are killed: each result is there once, none is lost, and the numbers are those of unbroken ones."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from farmed import fallible, slow, where

from physopt import Recording, farm
from physopt.farm.results import FORMAT

TESTS = Path(__file__).parent
in_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds its processes in /proc")
SCRIPT = """
import signal
import sys
from pathlib import Path
from farmed import fallible
from physopt import Recording, farm
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background ignores it
    folder, work, jobs = sys.argv[1:]
    tasks = {f"t{k}": (f"t{k}", work) for k in range(60)}
    farm.run(fallible, tasks, executor=int(jobs), record=Recording(folder, resume=True), callback=lambda one: print(one.name, flush=True))
"""


def test_a_worker_that_dies_is_replaced_and_its_task_sent_again(tmp_path):
    words = ("a", "once", "bb", "killer", "ccc")
    found = farm.run(fallible, {word: (word, tmp_path) for word in words}, executor=2, record=tmp_path / "results")
    assert found["killer"].error == "LostTaskError: killer: 3 workers ended while they were at it."
    assert [found[word].numbers for word in ("a", "once", "bb", "ccc")] == [{"value": len(word)} for word in ("a", "once", "bb", "ccc")]
    begun = [path.name.split("-")[0] for path in tmp_path.glob("*-*") for _ in path.read_text().splitlines()]
    assert {word: begun.count(word) for word in words} == {"a": 1, "once": 2, "bb": 1, "killer": 3, "ccc": 1}
    assert len(list((tmp_path / "results").iterdir())) == 4


@pytest.mark.slow
def test_workers_have_one_thread_and_the_precision_of_the_process_they_work_for():
    found = farm.run(where, {f"t{k}": k for k in range(6)}, executor=2)
    assert all(one.numbers["threads"] == 1 and one.numbers["double"] is True for one in found.values())
    assert os.getpid() not in {one.numbers["process"] for one in found.values()}


def start(folder, work, jobs):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS), *sys.path])}
    script = work / "script.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(script), str(folder), str(work), str(jobs)], env=environment, stdout=subprocess.PIPE, text=True
    )


def children(pid):
    """Return the processes that any thread of a process has started."""
    return [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@in_proc
def test_a_killed_farm_ends_its_workers_and_goes_on_where_it_was(tmp_path):
    folder, work, random, told = tmp_path / "results", tmp_path / "work", np.random.default_rng(0), []
    work.mkdir()
    for _ in range(3):
        with start(folder, work, 2) as process:
            told.append(process.stdout.readline().strip())
            workers = children(process.pid)
            time.sleep(random.uniform(0.0, 0.05))
            process.kill()
            told += process.stdout.read().split()
        while any(alive(pid) for pid in workers):
            time.sleep(0.1)  # they end by themselves
    with start(folder, work, 1) as process:
        last = process.stdout.read().split()
    assert process.returncode == 0 and sorted(last) == sorted(f"t{k}" for k in range(60))
    assert set(told) <= set(last)
    begun = [path.name.split("-")[0] for path in work.glob("t*-*") for _ in path.read_text().splitlines()]
    assert len(begun) <= 60 + 3 * 5  # what two workers had done, were doing and had been given when a kill came is done again, no more
    assert len(list(folder.glob(f"*{FORMAT}"))) == 60


@pytest.mark.slow
@in_proc
def test_a_farm_that_is_interrupted_ends_its_workers(tmp_path):
    process = start(tmp_path / "results", tmp_path, 2)
    process.stdout.readline()
    workers = children(process.pid)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode != 0
    for _ in range(600):  # Python's own tracker of resources ends a little after the process that it watches
        if not any(alive(pid) for pid in workers):
            break
        time.sleep(0.1)
    assert not any(alive(pid) for pid in workers)


@pytest.mark.slow
def test_an_error_of_the_callback_ends_the_workers(tmp_path):
    def refuse(result):
        raise InterruptedError(result.name)

    with pytest.raises(InterruptedError):
        farm.run(slow, {f"t{k}": tmp_path for k in range(200)}, executor=2, callback=refuse)
    assert len(list(tmp_path.iterdir())) < 200


@pytest.mark.slow
def test_two_processes_cannot_fill_one_folder(tmp_path):
    with farm.results.recorded(Recording(tmp_path / "results")), pytest.raises(BlockingIOError):
        farm.run(fallible, {"a": ("a", tmp_path)}, executor=1, record=Recording(tmp_path / "results", resume=True))
