"""Several processes fill one study and are killed at random: no solve is lost, none is there twice, no half of a file is read."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from chains import UNKNOWNS, chain

from physopt import Study

TESTS = Path(__file__).parent
WORKERS = 4


def start(folder, worker, tasks):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS), *sys.path]), "JAX_ENABLE_X64": "1"}
    command = [sys.executable, str(TESTS / "recorded_study.py"), str(folder), str(worker), str(WORKERS), str(tasks)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_at_random(folder, tasks, random):
    """Start all workers, kill each at a random moment after its first solve, and return the tasks that they said to have solved."""
    processes, told = [start(folder, worker, tasks) for worker in range(WORKERS)], []
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        told.append(process.stdout.readline())
        time.sleep(random.uniform(0.0, 0.3))
        process.kill()
        told += process.stdout.read().split("\n")
        process.wait()
        process.stdout.close()
        process.stderr.close()
    return {int(line) for line in told if line.strip().isdigit()}


def recorded(folder):
    return [tuple(solve.task.vector) for solve in Study(folder).folder.solves()]


@pytest.mark.slow
def test_killed_processes_lose_nothing_and_solve_nothing_twice(tmp_path):
    folder, tasks, random = tmp_path / "study", 240, np.random.default_rng(0)
    solved: set[int] = set()
    for _ in range(13):  # 52 kills
        solved |= kill_at_random(folder, tasks, random)
        found = recorded(folder)
        assert len(found) == len(set(found)), "a task was solved twice"
        assert len(found) >= len(solved), "a solve was lost"
    for process in [start(folder, worker, tasks) for worker in range(WORKERS)]:
        out, err = process.communicate()
        assert process.returncode == 0, err
    found = recorded(folder)
    assert len(found) == len(set(found)) == tasks
    for solve in Study(folder).folder.solves()[::20]:
        task = {"load": solve.task.vector[0], "stiffening": solve.task.vector[1]}
        assert np.linalg.norm(chain(solve.point, task)[1]) <= 2e-6 * np.linalg.norm(chain(np.zeros(UNKNOWNS), task)[1])
