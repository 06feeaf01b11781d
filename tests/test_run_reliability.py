"""Runs on a bad day: folders that cannot be made or vanish, full disks, sparse files, unreadable neighbours, a busy machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import h5py
import numpy as np
import pytest
from recorded_runs import written

import physopt
import physopt.cli.runs  # now: another user may not be allowed to import it
from physopt import Recording, Stop, minimize
from physopt.cli import main
from physopt.core.trajectory import RecordingStoppedWarning, UnreadableRunError, load, quarantine, verify
from physopt.core.trajectory.quarantine import load_isolated
from physopt.rules.gradient import GradientDescent


class Counted(physopt.AbstractProblem):
    """A bowl that counts how often it is asked."""

    asked_for: list = eqx.field(static=True)
    size: int = eqx.field(default=3, static=True)
    traceable: bool = eqx.field(default=False, static=True)
    unit: str = eqx.field(default="1", static=True)

    def asked(self):
        return {"size": self.size}

    def init(self, key):
        return np.linspace(1.0, 2.0, self.size)

    def evaluate(self, point):
        self.asked_for.append(1)
        return physopt.Evaluation(np.float64(0.5 * point @ point), 1.0 * point, physopt.Euclidean(1.0 * point))

    def retract(self, point, step):
        return point + np.asarray(step)


def _run(folder, budget=6, callback=None, size=3, **how):
    problem = Counted([], size)
    record = Recording(folder, **how)
    solution = minimize(
        problem, GradientDescent(0.1), problem.init(None), stop=Stop(max_evaluations=budget), record=record, callback=callback
    )
    return problem, solution


# --- before the work is done


def test_a_folder_that_cannot_be_made_is_refused_before_the_oracle_is_asked(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "x")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "letter.txt").write_text("dear")
    problem = Counted([])
    for folder in (tmp_path / "file" / "run", tmp_path / "link" / "run", tmp_path / "file", tmp_path / "taken", Path("/proc/run")):
        with pytest.raises(OSError):
            minimize(problem, GradientDescent(0.1), problem.init(None), record=folder)
    assert not problem.asked_for


def _limited(code, *arguments):
    """Run a script where no file may grow beyond a limit: a full disk, as HDF5 sees it."""
    head = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    script = head + "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)\n" + code
    path = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parent)])
    # Python would cut off the bytecode that it stores, and stumble over it for ever after.
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=600
    )


FULL = """
from test_run_reliability import _run
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    problem, solution = _run(sys.argv[2], budget=40, size=3000)
print(len(problem.asked_for), solution.num_evaluations, [w.category.__name__ for w in caught])
"""


@pytest.mark.parametrize("limit", [1000, *(pytest.param(limit, marks=pytest.mark.slow) for limit in (100_000, 300_000)), 450_000])
def test_a_full_disk_warns_once_and_the_calculation_goes_on(tmp_path, limit):
    done = _limited(FULL, limit, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "40 40 ['RecordingStoppedWarning']"


@pytest.mark.slow
@pytest.mark.parametrize("limit", range(20_000, 620_000, 60_000))
def test_a_full_disk_does_not_keep_a_field_from_its_energy(tmp_path, limit):
    water = tmp_path / "water.xyz"
    water.write_text("3\n\nO 0 0 0.117\nH 0 0.757 -0.47\nH 0 -0.757 -0.47\n")
    run = "from physopt.cli import main; sys.exit(main(['scf', sys.argv[2], '--basis', 'sto-3g', '--record', sys.argv[3]]))"
    done = _limited(run, limit, water, tmp_path / "run")
    assert "-74.96" in done.stdout, done.stderr
    assert done.returncode == (4 if "warning" in done.stderr else 0)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="only root can mount a small disk")
def test_a_small_disk_that_fills_up_in_mid_run_warns_and_keeps_what_was_committed(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this machine does not let tests mount anything")
    try:
        with pytest.warns(RecordingStoppedWarning, match="No space"):
            problem, solution = _run(disk / "run", budget=40, callback=lambda p: _fill(disk) if p.index == 3 else None)
        assert solution.num_evaluations == 40
        run = load(disk / "run")
        assert 4 <= run.num_records <= 40  # some room was reserved
        assert verify(disk / "run").ok
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _fill(disk):
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            return


@pytest.mark.parametrize("gone", ["folder", "parent", "file", "renamed"])
def test_a_folder_that_vanishes_in_mid_run_warns_and_the_calculation_goes_on(tmp_path, gone):
    folder = tmp_path / "parent" / "run"

    def vanish(progress):
        if progress.index == 2:
            if gone == "file":
                (folder / "seg-0000.h5").unlink()
            elif gone == "renamed":
                folder.rename(tmp_path / "elsewhere")
            else:
                shutil.rmtree(folder if gone == "folder" else folder.parent)

    with pytest.warns(RecordingStoppedWarning):
        problem, solution = _run(folder, callback=vanish)
    assert solution.num_evaluations == 6
    if gone == "renamed":
        assert load(tmp_path / "elsewhere").num_records == 6


# --- strangers' sizes


def _pretending(run, rows=20_000_000):
    """Give the commits of a run a length that no disk holds, in a sparse file."""
    segment = run / "seg-0000.h5"
    with h5py.File(segment, "r") as old, h5py.File(run / "new", "w", libver=("v110", "v110")) as new:
        for name, value in old.attrs.items():
            new.attrs[name] = value
        for name in set(old) - {"commit"}:
            old.copy(name, new)
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        h5py.h5d.create(new.id, b"commit", h5py.h5t.STD_I64LE, h5py.h5s.create_simple((rows, 4)), plan)
    (run / "new").rename(segment)


def test_a_sparse_file_counts_for_what_is_on_disk(tmp_path):
    _pretending(written(tmp_path / "run", 3))
    with pytest.raises(UnreadableRunError, match="'commit' declares 80000000 numbers, far more than the file can hold"):
        load_isolated(tmp_path / "run")
    # In a process that has had no other child.
    script = (
        "import contextlib, resource, sys; from physopt.core.trajectory import quarantine\n"
        "with contextlib.suppress(quarantine.UnreadableRunError):\n    quarantine.load_isolated(sys.argv[1])\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "run")], capture_output=True, text=True, check=True)
    assert 10_000 < int(done.stdout) < 400_000  # kB


@pytest.mark.parametrize("size", [2**30, 2**42])
def test_a_sparse_neighbour_lifts_no_limit(tmp_path, monkeypatch, size):
    written(tmp_path / "run", 3)
    with (tmp_path / "run" / "sparse").open("wb") as file:
        file.truncate(size)
    told = []
    monkeypatch.setattr(quarantine, "_CHILD", "import sys; print('.' + ' '.join(sys.argv[-2:]), file=sys.stderr); sys.exit(2)")
    with pytest.raises(UnreadableRunError) as caught:
        load_isolated(tmp_path / "run")
    seconds, memory = (float(word.strip(".")) for word in str(caught.value).split())
    assert seconds < 9
    assert memory < 1.2 * 2**30
    assert not told


# --- neighbours and clocks


def test_one_unreadable_run_is_shown_among_the_others(tmp_path, capsys):
    for name in ("a", "b", "c"):
        written(tmp_path / name, 2)
    (tmp_path / "b").chmod(0)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "run.json").mkdir()
    (tmp_path / "e").symlink_to(tmp_path / "e")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "run.json").write_text("{")
    tmp_path.chmod(0o755)
    parents = [folder for folder in tmp_path.parents if folder.is_relative_to("/tmp")]
    before = {folder: folder.stat().st_mode for folder in parents if folder != Path("/tmp")}
    is_root = os.geteuid() == 0  # who may read everything
    try:
        if is_root:
            for folder in before:
                folder.chmod(0o755)
            os.seteuid(65534)
        assert main(["runs", "ls", str(tmp_path)]) == 0
    finally:
        if is_root:
            os.seteuid(0)
        for folder, mode in before.items():
            folder.chmod(mode)
        (tmp_path / "b").chmod(0o755)
    lines = capsys.readouterr().out.splitlines()
    for name, state in {"a": "interrupted", "b": "unreadable", "c": "interrupted", "d": "unreadable", "f": "unreadable"}.items():
        assert any(line.split()[:2] == [name, state] for line in lines), name


def test_a_reader_that_starts_slowly_is_waited_for(tmp_path, monkeypatch):
    written(tmp_path / "run", 3)
    slow = "import time; time.sleep(3); " + quarantine._CHILD
    monkeypatch.setattr(quarantine, "_CHILD", slow)
    monkeypatch.setattr(quarantine, "_SECONDS", 1.0)
    monkeypatch.setattr(quarantine, "_PATIENCE", 2)
    assert load_isolated(tmp_path / "run").num_records == 3
