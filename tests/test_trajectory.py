"""What a run folder promises: what went in comes out, in order, with units; and it says no to what would spoil it."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden import make_run_1_0 as golden
from recorded_quadratic import record
from recorded_runs import append, assert_holds, open_recorder, written

from physopt.core import trajectory
from physopt.core.trajectory import Column, UnreadableRunError, load, load_checkpoint, pack, verify

GOLDEN = Path(__file__).parent / "golden"
ROWS = Path(__file__).parent / "recorded_rows.py"


@pytest.mark.parametrize("durability", [pytest.param("process", marks=pytest.mark.slow), "power"])
def test_records_come_back_live_interrupted_packed_and_finished(tmp_path, durability):
    folder = tmp_path / "deep" / "run"
    recorder = open_recorder(folder, durability=durability, spec={"molecule": "water", "charge": 0})
    append(recorder, 5)
    assert load(folder).status == "live"
    assert_holds(folder, 5)
    recorder.close()
    recorder.close()
    assert load(folder).status == "interrupted"
    assert load(folder).summary is None
    pack(folder)
    assert load(folder).status == "interrupted"
    assert_holds(folder, 5)
    recorder = open_recorder(folder, resume=True)
    append(recorder, 600)
    assert_holds(folder, 605)
    recorder.finish({"reason": "converged"})
    run = load(folder)
    assert (run.status, run.summary, run.spec) == ("finished", {"reason": "converged"}, {"molecule": "water", "charge": 0})
    assert run.units == {"value": "hartree", "matrix": "bohr"}
    assert run.versions["h5py"] == h5py.__version__
    assert_holds(folder, 605)
    assert sorted(path.name for path in folder.iterdir()) == ["run.h5", "run.json"]
    manifest = json.loads((folder / "run.json").read_text())
    assert (manifest["status"], manifest["records"]) == ("finished", 605)


@pytest.mark.parametrize(
    "leaf",
    [
        np.float64(1.5),
        np.array(True),
        np.array([1 + 2j, -1j]),
        np.zeros((3, 0)),
        np.arange(6, dtype="i2").reshape(2, 3).T,
        np.uint32(7),
        np.array([[1j]], "c8"),
        np.arange(3, dtype=">f8"),
        np.float16(0.5),
        jnp.arange(4.0),
        np.array([True, False]),
    ],
    ids=lambda leaf: f"{leaf.dtype}{leaf.shape}",
)
def test_every_kind_of_array_can_be_resumed_from(tmp_path, leaf):
    recorder = open_recorder(tmp_path / "run", checkpoint=[leaf])
    recorder.append({"value": 0.0, "matrix": np.zeros((2, 3))}, [leaf])
    for end in (lambda: None, recorder.close, lambda: pack(tmp_path / "run")):
        end()
        (found,) = load_checkpoint(tmp_path / "run").leaves
        np.testing.assert_array_equal(found, leaf)
        assert found.dtype == np.asarray(leaf).dtype.newbyteorder("<")
        assert found.shape == leaf.shape


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "i4", "u1", ">f8"])
def test_every_kind_of_column_comes_back(tmp_path, dtype):
    recorder = open_recorder(tmp_path / "run", columns={"a": Column("1", dtype), "b": Column("1", dtype, (3, 2))}, checkpoint=[])
    for k in range(3):
        recorder.append({"a": k, "b": np.full((3, 2), k)}, [])
    recorder.finish({})
    columns = load(tmp_path / "run").columns
    np.testing.assert_array_equal(columns["a"], np.arange(3, dtype=dtype))
    assert columns["b"].shape == (3, 3, 2)
    assert columns["b"].dtype == np.dtype(dtype).newbyteorder("<")
    assert load_checkpoint(tmp_path / "run").leaves == []


def test_a_run_may_end_without_a_record(tmp_path):
    recorder = open_recorder(tmp_path)
    assert load_checkpoint(tmp_path) is None
    assert load(tmp_path).num_records == 0
    recorder.finish({"reason": "nothing to do"})
    run = load(tmp_path)
    assert (run.status, run.num_records, run.columns["matrix"].shape) == ("finished", 0, (0, 2, 3))
    assert verify(tmp_path).ok


def test_resumed_attempts_join_without_seam(tmp_path):
    assert_holds(written(tmp_path, 3, 1, 0, 4), 8)
    assert load_checkpoint(tmp_path / "missing") is None


@pytest.mark.parametrize("make", [lambda f: written(f, 3), lambda f: (written(f, 3, 2), pack(f)), lambda f: open_recorder(f).finish({})])
def test_every_dataset_has_a_unit_a_fixed_type_and_a_harmless_filter(tmp_path, make):
    make(tmp_path)
    for path in tmp_path.glob("*.h5"):
        with h5py.File(path, "r", libver="latest", swmr=True) as file:
            assert bytes(file.attrs["encoding-type"]) == b"physopt-run"
            assert bytes(file.attrs["encoding-version"]) == b"1.1"
            file.visititems(_assert_plain)


def _assert_plain(name, item):
    for attribute in item.attrs:
        assert not h5py.h5a.open(item.id, attribute.encode()).get_type().is_variable_str()
    if isinstance(item, h5py.Dataset):
        assert item.attrs["units"], name
        assert item.dtype.kind in "iuf"
        assert item.compression in (None, "gzip")


def test_packing_makes_a_long_run_smaller_and_keeps_it_readable(tmp_path):
    columns = {"value": Column("1"), "design": Column("1", shape=(20_000,))}
    recorder = open_recorder(tmp_path, columns=columns, checkpoint=[np.zeros((300, 1000))])
    for _ in range(150):  # constant: the hardest to tell from a decompression bomb
        recorder.append({"value": 1.0, "design": np.ones(20_000)}, [np.zeros((300, 1000))])
    before = sum(path.stat().st_size for path in tmp_path.iterdir())
    recorder.finish({})
    assert (tmp_path / "run.h5").stat().st_size < before / 100
    assert load(tmp_path).columns["design"].sum() == 150 * 20_000
    assert load_checkpoint(tmp_path).index == 149


def test_a_checkpoint_torn_by_a_power_failure_costs_one_record(tmp_path):
    written(tmp_path, 6)
    _flip(tmp_path / "seg-0000.h5", "checkpoint/0000", 4 * 8)  # record 5 is in slot 1
    found = load_checkpoint(tmp_path)
    assert (found.index, found.leaves[0][0]) == (4, 4.0)
    assert "checkpoint of record 5 is damaged" in verify(tmp_path).faults[0]
    with pytest.raises(UnreadableRunError, match="checkpoint is damaged"):
        pack(tmp_path)
    recorder = open_recorder(tmp_path, resume=True)
    assert recorder.next_index == 5
    append(recorder, 3)
    recorder.close()
    pack(tmp_path)
    assert_holds(tmp_path, 8)


def _flip(path, name, offset):
    with h5py.File(path, "r", libver="latest", swmr=True) as file:
        dataset = file[name]
        start = dataset.id.get_offset() if dataset.chunks is None else dataset.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[start + offset] ^= 0x40
    path.write_bytes(content)


@pytest.mark.parametrize("index", range(4))
def test_verify_finds_any_changed_record(tmp_path, index):
    written(tmp_path, 4)
    _flip(tmp_path / "seg-0000.h5", "columns/value", 8 * index)
    (fault,) = verify(tmp_path).faults
    assert f"record {index} differs" in fault
    if index == 3:  # the newest row may be one caught half-written: readers leave it out
        assert load(tmp_path).num_records == 3


def test_a_lost_segment_is_noticed(tmp_path):
    written(tmp_path, 3, 3, 3)
    (tmp_path / "seg-0001.h5").unlink()
    with pytest.raises(UnreadableRunError, match="begins with record 6, not 3"):
        load(tmp_path)


@pytest.mark.parametrize("finished", [True, False])
def test_a_kill_while_segments_are_removed_loses_nothing(tmp_path, finished):
    written(tmp_path / "run", 3, 3)
    shutil.copytree(tmp_path / "run", tmp_path / "before")
    if finished:
        recorder = open_recorder(tmp_path / "run", resume=True)
        append(recorder, 1)
        recorder.finish({"reason": "converged"})
    else:
        pack(tmp_path / "run")
    for left in (["seg-0000.h5", "seg-0001.h5"], ["seg-0001.h5"]):
        for name in left:
            shutil.copy(tmp_path / "before" / name, tmp_path / "run")
        (tmp_path / "run" / ".run.h5.tmp").write_bytes(b"half")
        assert_holds(tmp_path / "run", 7 if finished else 6)
        assert load(tmp_path / "run").status == ("finished" if finished else "interrupted")
        pack(tmp_path / "run")
        assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["run.h5", "run.json"]
        assert_holds(tmp_path / "run", 7 if finished else 6)


@pytest.mark.parametrize("name", ["interrupted", "finished"])
def test_runs_of_schema_1_0_stay_readable(tmp_path, name):
    run = load(GOLDEN / f"run-1.0-{name}")
    assert run.status == name
    assert (run.spec, run.units) == ({"molecule": "water", "seed": 3}, {n: c.unit for n, c in golden.COLUMNS.items()})
    for column in golden.COLUMNS:
        np.testing.assert_array_equal(run.columns[column], np.stack([golden.record(i)[column] for i in range(golden.NUM_RECORDS)]))
    found = load_checkpoint(run.folder)
    assert found.index == golden.NUM_RECORDS - 1
    for leaf, expected in zip(found.leaves, golden.checkpoint(found.index), strict=True):
        np.testing.assert_array_equal(leaf, expected)
        assert leaf.dtype == expected.dtype
    assert verify(run.folder).ok
    if name == "interrupted":
        shutil.copytree(run.folder, tmp_path / "copy")
        golden.write(tmp_path / "copy", golden.NUM_RECORDS, golden.NUM_RECORDS + 2).finish({})
        assert load(tmp_path / "copy").num_records == golden.NUM_RECORDS + 2


def test_foreign_runs_are_read_without_physopt_and_jax():
    script = "import sys; sys.path.insert(0, sys.argv[1]); import trajectory.quarantine; assert not {'jax', 'physopt'} & sys.modules.keys()"
    core = Path(trajectory.__file__).parents[1]
    subprocess.run([sys.executable, "-c", script, str(core)], check=True, timeout=1200)


class _Stopped(Exception):
    pass


def test_a_resumed_run_equals_the_unbroken_one_bit_for_bit(tmp_path):
    unbroken = record(str(tmp_path / "unbroken"), 60)
    for last in (0, 17, 18):

        def stop(progress, last=last):
            if progress.index == last:
                raise _Stopped

        with pytest.raises(_Stopped):
            record(str(tmp_path / "broken"), 60, stop)
        assert load(tmp_path / "broken").num_records == last + 1
    resumed = record(str(tmp_path / "broken"), 60)
    for a, b in zip(*(jax.tree.leaves((s.point, s.state, s.evaluation)) for s in (unbroken, resumed)), strict=True):
        np.testing.assert_array_equal(a, b)
    first, second = load(tmp_path / "unbroken"), load(tmp_path / "broken")
    assert first.summary == second.summary
    for name in ("value", "grad_norm", "step_norm", "accept"):
        np.testing.assert_array_equal(first.columns[name], second.columns[name])
        np.testing.assert_array_equal(first.columns[name], getattr(resumed.history, name))


def test_a_damaged_file_left_by_a_kill_is_an_error_and_no_hang(tmp_path):
    with subprocess.Popen([sys.executable, ROWS, "write", tmp_path, "0"]) as writer:
        while not (tmp_path / "seg-0000.h5").exists() or not load(tmp_path).num_records:
            time.sleep(0.02)
        writer.kill()
    path = tmp_path / "seg-0000.h5"
    count, content = load(tmp_path).num_records, bytearray(path.read_bytes())
    assert content[11] != 0, "HDF5 marks a file that is being written"
    assert count > 0
    start = content.index(b"OHDR")
    content[start + 20] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UnreadableRunError, match="checksum"):
        load(tmp_path)
