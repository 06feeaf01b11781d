"""The same on engines that exist: Dask's local cluster, whose workers are killed in mid-task, and MPI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
TESTS = Path(__file__).parent
TASKS = 200
DASK = """
import sys, warnings
from distributed import Client, LocalCluster
from farmed import fallible
from physopt import farm
if __name__ == "__main__":
    folder, work = sys.argv[1:]
    # A worker that dies counts against all tasks that it had been given, so each is given one at a time.
    import dask
    dask.config.set({"distributed.scheduler.worker-saturation": 1.0, "distributed.scheduler.allowed-failures": 0})
    dask.config.set({"distributed.comm.timeouts.tcp": "1800s"})  # of a busy machine
    words = [f"once{k}" if k % 50 == 20 else "killer" if k == 100 else f"t{k}" for k in range(200)]
    with LocalCluster(n_workers=5, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        found = farm.run(fallible, {word: (word, work) for word in words}, executor=client.get_executor(), record=folder)
    for word in words:
        print(word, found[word].numbers.get("value"), found[word].error)
"""
MPI = """
import sys
from mpi4py.futures import MPIPoolExecutor
from farmed import square
from physopt import farm
if __name__ == "__main__":
    with MPIPoolExecutor() as pool:
        found = farm.run(square, {f"n={k}": k for k in range(20)}, executor=pool, record=sys.argv[1])
        print(pool.num_workers, sum(one.numbers["value"] for one in found.values()), flush=True)
"""


def run(command, script, tmp_path, *more):
    (tmp_path / "script.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS), *sys.path])}
    return subprocess.run([*command, str(tmp_path / "script.py"), *map(str, more)], env=environment, capture_output=True, text=True)


def test_a_dask_cluster_whose_workers_are_killed_loses_nothing(tmp_path):
    pytest.importorskip("distributed")
    work = tmp_path / "work"
    work.mkdir()
    done = run([sys.executable], DASK, tmp_path, tmp_path / "results", work)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" ", 2) for line in done.stdout.splitlines()]
    assert len(rows) == TASKS
    for word, value, error in rows:
        expected = (
            ("None", "LostTaskError: killer: 3 workers ended while they were at it.") if word == "killer" else (str(len(word)), "None")
        )
        assert (value, error) == expected
    begun = [path.name.split("-")[0] for path in work.glob("*-*") for _ in path.read_text().splitlines()]
    assert begun.count("killer") == 3
    assert all(begun.count(word) >= 2 for word, _, _ in rows if word.startswith("once"))
    assert {word for word, _, _ in rows} == {*begun}  # a result that a dying worker still held is computed again, by Dask
    assert len(list((tmp_path / "results").glob("*.h5"))) == TASKS - 1


def test_mpi_workers_find_the_same(tmp_path):
    pytest.importorskip("mpi4py")
    launcher = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if launcher is None:
        pytest.skip("there is no mpiexec")
    done = run([launcher, "-n", "3", sys.executable, "-m", "mpi4py.futures"], MPI, tmp_path, tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", str(float(sum(k**2 for k in range(20))))]
    assert len(list((tmp_path / "results").iterdir())) == 20
