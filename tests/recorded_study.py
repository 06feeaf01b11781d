"""One of several processes that fill a study: `FOLDER WORKER WORKERS TASKS` prints `ready`, then the number of each task it has solved."""

import sys

import numpy as np
from chains import UNKNOWNS, chain

from physopt import Study

folder, worker, workers, tasks = sys.argv[1], *map(int, sys.argv[2:])
study = Study(folder)
print("ready", flush=True)
for k in range(worker, tasks, workers):
    task = {"stiffening": 0.1 + 0.9 * k / tasks, "load": 1.0 + (7 * k % tasks) / tasks}
    if study.solved(task, UNKNOWNS) is None:
        study.minimize(chain, np.zeros(UNKNOWNS), task, pass_task=True)
    print(k, flush=True)
