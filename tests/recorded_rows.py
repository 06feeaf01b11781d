"""Processes for tests of run folders, which load the recorder alone, without JAX: `recorded_rows.py ROLE FOLDER NUMBER`.

`write` makes NUMBER records, goes on until there is a file FOLDER.stop, and finishes; `read` reads until then, and says so when it has read
NUMBER times; `full` records under a limit of NUMBER bytes per file.
"""

import contextlib
import signal
import sys
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "physopt" / "core"))

from trajectory import Column, Recorder, RecordingStoppedWarning, UnreadableRunError, load, load_checkpoint

COLUMNS = {"value": Column("1"), "row": Column("1", shape=(16,))}


def record(index):
    """Return a record whose numbers all tell its index."""
    return {"value": index, "row": np.full(16, index)}


def leaves(index):
    """Return a checkpoint whose numbers all tell its index."""
    return [np.full((64, 64), float(index)), np.full(3, index)]


def open_recorder(folder):
    """Start or resume the run."""
    return Recorder(folder, columns=COLUMNS, checkpoint=leaves(0), spec={}, resume=True, durability="process")


def write(folder, number):
    """Record as fast as possible, then pack."""
    recorder, stop = open_recorder(folder), Path(f"{folder}.stop")
    while recorder.next_index < number or not stop.exists():
        recorder.append(record(recorder.next_index), leaves(recorder.next_index))
    recorder.finish({})
    print(recorder.next_index)


def read(folder, number):
    """Read again and again; a torn, lost or stale record ends the process with an error."""
    reads, seen, status = 0, 0, ""
    while status != "finished":
        with contextlib.suppress(UnreadableRunError if not (Path(folder) / "run.json").exists() else ()):
            run = load(folder)
            count = run.num_records
            assert count >= seen, f"{seen} records became {count}"
            np.testing.assert_array_equal(run.columns["value"], np.arange(count))
            np.testing.assert_array_equal(run.columns["row"], np.broadcast_to(np.arange(count)[:, None], (count, 16)))
            found = load_checkpoint(folder)
            assert count == 0 or (found is not None and found.index >= count - 1)
            assert found is None or all((leaf == found.index).all() for leaf in found.leaves)
            reads, seen, status = reads + 1, count, run.status
            if reads == number:
                print("ready", flush=True)
    print(reads, seen)


def full(folder, limit):
    """Record two attempts of 60 incompressible records each; files can grow to `limit` bytes."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    random, kept = np.random.default_rng(0), 0
    for attempt in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            recorder = open_recorder(folder)
            for _ in range(60):
                recorder.append({"value": recorder.next_index, "row": random.normal(size=16)}, [random.normal(size=(64, 64)), leaves(0)[1]])
                kept += not recorder.failed
            recorder.finish({}) if attempt else recorder.close()
        stopped = [w for w in caught if w.category is RecordingStoppedWarning]
        assert len(stopped) == len(caught) == recorder.failed, caught
        if recorder.failed:
            break
    print(kept, int(recorder.failed))


if __name__ == "__main__":
    {"write": write, "read": read, "full": full}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
