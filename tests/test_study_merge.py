"""Studies merge without loss and without repetition, and are pruned of what teaches nothing."""

import json
import os

import numpy as np
from test_starts import solve_of

from physopt.cli import main
from physopt.meta.starts import Folder, Solve, task_of
from physopt.study.prune import superfluous


def test_merging_copies_each_solve_once_and_keeps_its_time(tmp_path):
    one, other = Folder(tmp_path / "one"), Folder(tmp_path / "other")
    for k in range(3):
        one.add(solve_of(k))
    for k in range(2, 6):
        path = other.add(solve_of(k, tangents=np.ones((3, 1))))
        os.utime(path, (1e9 - k, 1e9 - k))  # before those of the first one, latest first
    (tmp_path / "other" / "notes.txt").write_text("mine")
    report = tmp_path / "merged.json"
    assert main(["study", "merge", str(tmp_path / "one"), str(tmp_path / "other"), "--json", str(report)]) == 0
    assert [s.value for s in Folder(tmp_path / "one").solves()] == [5.0, 4.0, 3.0, 0.0, 1.0, 2.0]
    assert json.loads(report.read_text())["records"][0]["copied"] == 3
    assert one.take(other) == 0 and len(other.solves()) == 4
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == sorted(p.name for p in (tmp_path / "one").glob("*.solve.h5"))
    assert all(s.versions["numpy"] == np.__version__ for s in Folder(tmp_path / "one").solves())


def solved(a, value, **about):
    return Solve(task_of({"a": float(a), "b": 0.0}, 1), np.array([value]), value, hessian=None if a % 2 else np.eye(1), about=about)


def test_pruning_drops_what_teaches_nothing():
    solves = [solved(0, 1.0), solved(0, 0.5), solved(1, 3.0, higher=2.0), solved(1, 1.0), solved(2, 4.0), solved(8, 1.0), solved(13, 1.0)]
    assert superfluous(solves, None) == [0, 2]
    # Those with a Hessian come first (tasks 0, 2, 8), and of the others the one that is farthest from these.
    assert superfluous(solves, 4) == [0, 2, 3] and superfluous(solves, 2) == [0, 1, 2, 3, 6]
    assert superfluous([], 4) == [] and superfluous(solves[:1], 4) == []


def test_the_command_prunes_or_only_says_so(tmp_path, capsys):
    folder = Folder(tmp_path / "study")
    for k in range(12):
        folder.add(solved(k, float(k)))
    assert main(["study", "prune", str(folder.path), "--keep", "5", "--dry-run"]) == 0
    assert "7 of 12 solves would be deleted" in " ".join(capsys.readouterr().out.split()) and len(folder.solves()) == 12
    assert main(["study", "prune", str(folder.path), "--keep", "5"]) == 0
    assert len(Folder(folder.path).solves()) == 5
    for wrong in (["prune", str(tmp_path / "none")], ["prune", str(folder.path), "--keep", "3"], ["merge", str(folder.path)]):
        assert main(["study", *wrong]) == 2
