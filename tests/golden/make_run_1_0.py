"""Recipe of the golden runs of schema 1.0: `python tests/golden/make_run_1_0.py`. Made once; never made again for this version.

`run-1.0-interrupted` was recorded by two process attempts, `run-1.0-finished` was packed. Both hold the same records.
"""

from pathlib import Path

import numpy as np

from physopt.core.trajectory import Column, Recorder

COLUMNS = {
    "value": Column("hartree"),
    "accept": Column("1", "u1"),
    "forces": Column("hartree / bohr", "f4", (2, 3)),
    "builds": Column("1", "i8"),
}
NUM_RECORDS = 7


def record(index: int) -> dict[str, np.ndarray]:
    """Return the values of one record."""
    return {
        "value": np.float64(-76.0 - index / 7),
        "accept": np.uint8(index % 2),
        "forces": np.arange(6, dtype="f4").reshape(2, 3) / (index + 1),
        "builds": np.int64(10**12 + index),
    }


def checkpoint(index: int) -> list[np.ndarray]:
    """Return the checkpoint of one record: one leaf of each kind of number."""
    return [np.full((2, 2), index / 3), np.array(index % 3 == 0), np.array([1j * index, 2.0]), np.arange(3, dtype="i4"), np.zeros((0, 4))]


def write(folder: Path, first: int, stop: int) -> Recorder:
    """Record the rows from `first` up to `stop` in one process attempt."""
    recorder = Recorder(
        folder, columns=COLUMNS, checkpoint=checkpoint(0), spec={"molecule": "water", "seed": 3}, resume=first > 0, durability="process"
    )
    for index in range(first, stop):
        recorder.append(record(index), checkpoint(index))
    return recorder


if __name__ == "__main__":
    here = Path(__file__).parent
    for name in ("interrupted", "finished"):
        folder = here / f"run-1.0-{name}"
        write(folder, 0, 4).close()
        last = write(folder, 4, NUM_RECORDS)
        last.finish({"reason": "converged", "value": -76.5}) if name == "finished" else last.close()
