"""Small runs for tests of run folders: record them, and say whether a folder holds what was recorded."""

import numpy as np

from physopt.core.trajectory import Column, Recorder, load, load_checkpoint, verify

COLUMNS = {"value": Column("hartree"), "matrix": Column("bohr", shape=(2, 3))}


def open_recorder(folder, *, resume=False, columns=COLUMNS, checkpoint=None, durability="process", spec=None):
    leaves = leaves_of(0) if checkpoint is None else checkpoint
    return Recorder(folder, columns=columns, checkpoint=leaves, spec=spec or {}, resume=resume, durability=durability)


def leaves_of(index):
    return [np.full(4, float(index)), np.array(index)]


def append(recorder, count):
    for index in range(recorder.next_index, recorder.next_index + count):
        assert recorder.append({"value": index / 3, "matrix": np.full((2, 3), index)}, leaves_of(index)) == index


def written(folder, *counts):
    """Record a run in several attempts, each closed early."""
    for attempt, count in enumerate(counts):
        recorder = open_recorder(folder, resume=attempt > 0)
        append(recorder, count)
        recorder.close()
    return folder


def assert_holds(folder, count):
    run = load(folder)
    np.testing.assert_array_equal(run.columns["value"], np.arange(count) / 3)
    np.testing.assert_array_equal(run.columns["matrix"], np.broadcast_to(np.arange(count)[:, None, None], (count, 2, 3)))
    assert run.num_records == count
    report = verify(folder)
    assert report.ok, report.faults
    assert report.num_records == count
    found = load_checkpoint(folder)
    assert (-1 if found is None else found.index) == count - 1
    for leaf, expected in zip(found.leaves if found else [], leaves_of(count - 1), strict=bool(found)):
        np.testing.assert_array_equal(leaf, expected)
