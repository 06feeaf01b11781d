"""What a run folder says no to, and that it is sound after it said so."""

import numpy as np
import pytest
from recorded_runs import append, assert_holds, leaves_of, open_recorder, written

from physopt.core.trajectory import Column, RecordingStoppedWarning, load, pack


def test_folders_that_must_not_be_written_are_refused(tmp_path):
    written(tmp_path / "run", 2)
    with pytest.raises(FileExistsError, match=r"already holds a run.*resume=True"):
        open_recorder(tmp_path / "run")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    for resume in (True, False):
        with pytest.raises(FileExistsError, match="no run folder"):
            open_recorder(tmp_path / "letters", resume=resume)
    with pytest.raises(FileExistsError):
        open_recorder(tmp_path / "letters" / "a.txt")
    open_recorder(tmp_path / "run", resume=True).finish({})
    for resume in (True, False):
        with pytest.raises(FileExistsError):
            open_recorder(tmp_path / "run", resume=resume)
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["a.txt"]


def test_one_writer_at_a_time(tmp_path):
    recorder = open_recorder(tmp_path)
    append(recorder, 2)
    with pytest.raises(BlockingIOError, match="another process"):
        open_recorder(tmp_path, resume=True)
    with pytest.raises(BlockingIOError):
        pack(tmp_path)
    recorder.close()
    append(recorder := open_recorder(tmp_path, resume=True), 1)
    recorder.close()
    assert_holds(tmp_path, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"columns": {"value": Column("eV"), "matrix": Column("bohr", shape=(2, 3))}},
        {"columns": {"value": Column("hartree")}},
        {"checkpoint": [np.zeros(5), np.array(0)]},
        {"checkpoint": [np.zeros(4)]},
        {"checkpoint": [np.zeros(4, "f4"), np.array(0)]},
    ],
)
def test_another_problem_cannot_resume(tmp_path, change):
    written(tmp_path, 2)
    with pytest.raises(ValueError, match="another problem or rule"):
        open_recorder(tmp_path, resume=True, **change)
    assert_holds(tmp_path, 2)


def test_wrong_records_are_refused_and_leave_the_run_sound(tmp_path):
    recorder = open_recorder(tmp_path)
    append(recorder, 1)
    good = {"value": 1 / 3, "matrix": np.full((2, 3), 1.0)}
    for values, leaves in [
        ({"value": 1.0}, leaves_of(1)),
        ({**good, "extra": 1.0}, leaves_of(1)),
        ({**good, "matrix": np.zeros((3, 2))}, leaves_of(1)),
        (good, leaves_of(1)[:1]),
        (good, [np.zeros(3), np.array(1)]),
    ]:
        with pytest.raises(ValueError, match="announce"):
            recorder.append(values, leaves)
    append(recorder, 1)
    recorder.close()
    assert_holds(tmp_path, 2)
    with pytest.raises(ValueError, match="is closed"):
        recorder.append(good, leaves_of(1))


@pytest.mark.parametrize("bad", [{"../x": Column("1")}, {"": Column("1")}, {"a/b": Column("1")}, {}, {"a" * 65: Column("1")}])
def test_names_that_are_no_names_are_refused(tmp_path, bad):
    with pytest.raises(ValueError, match=r"cannot name a column|at least one column"):
        open_recorder(tmp_path / "run", columns=bad)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("arguments", [("",), ("1", "c16"), ("1", "O"), ("1", "S4"), ("1", "f16"), ("1", "?"), ("1", "f8", (0,))])
def test_columns_without_unit_or_fixed_type_are_refused(arguments):
    with pytest.raises(ValueError, match="write"):
        Column(*arguments)


@pytest.mark.parametrize("where", ["segment", "packing"])
def test_a_full_disk_warns_once_and_keeps_what_was_committed(tmp_path, monkeypatch, where):
    def full(*_):
        raise OSError(28, "No space left on device")

    recorder = open_recorder(tmp_path)
    append(recorder, 3)
    monkeypatch.setattr(f"physopt.core.trajectory.{where}.reserve", full)
    with pytest.warns(RecordingStoppedWarning, match="record 3: .*No space left") as caught:
        if where == "segment":
            append(recorder, 4)
        recorder.finish({})
    # Whatever else is collected meanwhile may warn, too.
    assert [warning.category for warning in caught].count(RecordingStoppedWarning) == 1
    assert recorder.failed
    assert recorder.next_index == (7 if where == "segment" else 3)
    assert load(tmp_path).status == "interrupted"
    assert_holds(tmp_path, 3)
    monkeypatch.undo()
    recorder = open_recorder(tmp_path, resume=True)
    append(recorder, 1)
    recorder.finish({})
    assert_holds(tmp_path, 4)


def test_a_run_that_never_began_is_not_in_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr("physopt.core.trajectory.segment.HEADROOM", 2**60)
    with pytest.raises(OSError, match=r"too large|No space|cannot be written"):
        open_recorder(tmp_path)
    monkeypatch.undo()
    open_recorder(tmp_path).close()
