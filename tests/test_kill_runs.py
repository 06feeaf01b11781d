"""Runs that are killed, read while they are written, or run out of disk: no committed record is ever lost or torn."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from physopt.core.trajectory import load, load_checkpoint, pack, verify

TESTS = Path(__file__).parent
ROWS = TESTS / "recorded_rows.py"
# Each script records a run by `minimize`: `SCRIPT FOLDER BUDGET` prints `ready`, then the index of each record once it is committed.
SCRIPTS = [
    pytest.param(TESTS / "recorded_quadratic.py", id="jax"),
    pytest.param(TESTS / "recorded_scf.py", id="scf", marks=pytest.mark.slow),
]


def _start(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), *sys.path]), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _finished(process, timeout=1200):
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    return out.split()


def _kill_at_random(script, folder, random):
    """Start the script, kill it at a random moment, and return the index of the last record it acknowledged, or -1."""
    with _start(script, folder, 10**6) as process:
        assert process.stdout.readline() == "ready\n"
        head = process.stdout.readline() if random.random() < 0.8 else ""
        time.sleep(random.uniform(0, 0.25))
        process.kill()
        lines = (head + process.stdout.read()).split("\n")[:-1]
        assert process.wait() == -9, process.stderr.read()
    return int(lines[-1]) if lines else -1


def _kill_again_and_again(script, folder, kills):
    random, count = np.random.default_rng(kills), 0
    for _ in range(kills):
        acknowledged = max(count, _kill_at_random(script, folder, random) + 1)
        if not (folder / "run.json").exists():
            assert acknowledged == 0
            continue
        count = load(folder).num_records
        assert acknowledged <= count <= acknowledged + 1, "a record was lost, or one appeared from nowhere"
        found = load_checkpoint(folder)
        assert (-1 if found is None else found.index) == count - 1
    assert verify(folder).ok
    return count


def _assert_resumes_bit_for_bit(script, folder, count):
    """Let the killed run go on to its end, and compare it with one that was never killed."""
    for path in (folder, folder.with_name("unbroken")):
        _finished(_start(script, path, count + 10))
    killed, unbroken = load(folder), load(folder.with_name("unbroken"))
    assert killed.num_records == unbroken.num_records == count + 10
    assert killed.status == unbroken.status == "ended"  # out of budget: more would continue it
    for name in killed.columns.keys() - {"seconds", *(["cost"] if killed.units["value"] == "hartree" else [])}:  # both are measured
        np.testing.assert_array_equal(killed.columns[name], unbroken.columns[name], err_msg=name)


@pytest.mark.parametrize("script", SCRIPTS)
def test_kills_lose_nothing_and_change_nothing(tmp_path, script):
    count = _kill_again_and_again(script, tmp_path / "run", 2)
    _assert_resumes_bit_for_bit(script, tmp_path / "run", count)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_fifty_kills_lose_nothing_and_change_nothing(tmp_path, script):
    count = _kill_again_and_again(script, tmp_path / "run", 50)
    _assert_resumes_bit_for_bit(script, tmp_path / "run", count)


def _kill_in_quick_succession(folder, kills):
    random, run = np.random.default_rng(0), None
    for _ in range(kills):
        with _start(ROWS, "write", folder, 0) as process:
            time.sleep(random.uniform(0.2, 0.6))
            process.kill()
        if (folder / "run.json").exists():
            run = load(folder)
            np.testing.assert_array_equal(run.columns["value"], np.arange(run.num_records))
            found = load_checkpoint(folder)
            assert (-1 if found is None else found.index) == run.num_records - 1
            if random.random() < 0.2:
                pack(folder)
    folder.with_suffix(".stop").touch()
    more = (0 if run is None else run.num_records) + 1
    _finished(_start(ROWS, "write", folder, more))
    assert load(folder).num_records == more
    assert verify(folder).ok


def test_five_kills_in_quick_succession_lose_nothing(tmp_path):
    _kill_in_quick_succession(tmp_path / "run", 5)


@pytest.mark.slow
def test_a_hundred_kills_in_quick_succession_lose_nothing(tmp_path):
    _kill_in_quick_succession(tmp_path / "run", 100)


def _read_while_written(folder, reads):
    writer = _start(ROWS, "write", folder, 1)
    while not (folder / "run.json").exists() and writer.poll() is None:
        time.sleep(0.01)
    readers = [_start(ROWS, "read", folder, reads) for _ in range(4)]
    assert [reader.stdout.readline() for reader in readers] == 4 * ["ready\n"]
    folder.with_suffix(".stop").touch()
    (written,) = _finished(writer)
    counts = [tuple(map(int, _finished(reader))) for reader in readers]
    assert all(count > reads for count, _ in counts)
    assert all(seen == int(written) for _, seen in counts)


def test_four_readers_see_no_torn_record(tmp_path):
    _read_while_written(tmp_path / "run", 5)


@pytest.mark.slow
def test_four_readers_see_no_torn_record_in_many_reads(tmp_path):
    _read_while_written(tmp_path / "run", 100)


def _assert_survives_a_full_disk(folder, limit):
    process = _start(ROWS, "full", folder, limit)
    out, err = process.communicate(timeout=1200)
    assert process.returncode >= 0, f"died by signal {-process.returncode} at a limit of {limit} bytes"
    if process.returncode:  # not even the empty run fits: refused at the start
        assert "OSError" in err.splitlines()[-1], err
        return False
    kept, failed = map(int, out.split())
    run, report = load(folder), verify(folder)
    assert report.ok, report.faults
    assert run.num_records == kept
    assert run.status == ("interrupted" if failed else "finished")
    return bool(failed)


def test_a_full_disk_stops_the_recording_and_nothing_else(tmp_path):
    outcomes = {_assert_survives_a_full_disk(tmp_path / str(limit), limit) for limit in (300, 300_000, 345_000, 355_000, 10**7)}
    assert outcomes == {True, False}


@pytest.mark.slow
def test_a_full_disk_at_any_byte_stops_the_recording_and_nothing_else(tmp_path):
    for limit in range(1000, 400_000, 5000):
        _assert_survives_a_full_disk(tmp_path / str(limit), limit)
