"""Run folders made to do harm, and damaged ones: a typed error in one line, quickly, with nothing followed, loaded or executed."""

import contextlib
import json
import random
import resource
import shutil

import h5py
import numpy as np
import pytest
from hostile_runs import HOSTILE, SECRET, with_attribute, with_manifest
from instances import sampled
from recorded_runs import append, open_recorder

from physopt.cli import main
from physopt.core.trajectory import UnreadableRunError, load, load_checkpoint, quarantine
from physopt.core.trajectory.quarantine import load_isolated, verify_isolated


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A finished run of six records, beside files that a hostile one might want to read."""
    home = tmp_path_factory.mktemp("home")
    recorder = open_recorder(home / "run")
    append(recorder, 6)
    recorder.finish({"reason": "converged"})
    (home / "secret.txt").write_text(SECRET)
    with h5py.File(home / "other.h5", "w") as other:
        other["x"] = np.frombuffer(SECRET.encode()[:6], "u1").astype("f8")
    return home


def _copy(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "home")
    return tmp_path / "home" / "run"


def _spent():
    """Return the processor time of the reading children so far, in seconds: that of the wall depends on who else is at work."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", sampled(HOSTILE, 3))
def test_hostile_runs_are_refused(sound, tmp_path, name):
    folder = _copy(sound, tmp_path)
    HOSTILE[name](folder)
    read = load_checkpoint if "checkpoint" in name else load
    with pytest.raises(UnreadableRunError) as caught:
        read(folder)
    assert SECRET not in str(caught.value)


COMMANDED = [name for name in HOSTILE if "checkpoint" not in name]


@pytest.mark.parametrize("name", sampled(COMMANDED, 6))
def test_the_command_says_so_in_one_line(sound, tmp_path, name, capsys):
    folder = _copy(sound, tmp_path)
    HOSTILE[name](folder)
    begun = _spent()
    code = main(["runs", "show", str(folder)])
    assert _spent() - begun < 8  # measured: below 1 s
    out, err = capsys.readouterr()
    assert code == 2
    assert err.startswith("physopt: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert SECRET not in out + err
    assert "\x1b" not in out + err


@pytest.mark.parametrize("name", sampled([name for name in HOSTILE if "manifest" in name], 3))
def test_the_list_of_runs_survives_hostile_manifests(sound, tmp_path, name, capsys):
    folder = _copy(sound, tmp_path)
    HOSTILE[name](folder)
    assert main(["runs", "ls", str(folder.parent)]) == 0
    assert SECRET not in capsys.readouterr().out


def test_commands_tell_of_sound_runs(sound, tmp_path, capsys, monkeypatch):
    folder = _copy(sound, tmp_path)
    monkeypatch.chdir(tmp_path)
    said = {}
    for command in ("ls", "show", "plot", "verify", "pack"):
        assert main(["runs", command, str(folder.parent if command == "ls" else folder)]) == 0
        said[command] = capsys.readouterr().out
    assert "finished" in said["ls"]
    assert "converged" in said["show"]
    assert "hartree" in said["show"]
    assert "6 records" in said["verify"]
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    assert main(["runs", "show", str(folder), "--rows", "-1"]) == 2
    assert main(["runs", "plot", str(folder), "--out", str(tmp_path / "picture.nope")]) == 2
    assert main(["runs", "show", str(tmp_path / "missing")]) == 4


def test_names_and_units_of_strangers_do_not_reach_the_terminal(sound, tmp_path, capsys):
    folder = _copy(sound, tmp_path)
    with_attribute("columns/value", "units", np.bytes_(b"$\\frac$ [red]\x1b[2J"))(folder)
    manifest = json.loads((folder / "run.json").read_text())
    manifest["columns"]["value"]["unit"] = "$\\frac$ [red]\x1b[2J"
    with_manifest(columns=manifest["columns"], spec={"\x1b[2J": "[bold]"}, created="\x1b[2J")(folder)
    for command in (["show"], ["plot", "--out", str(tmp_path / "a.png")]):
        assert main(["runs", command[0], str(folder), *command[1:]]) == 0
    assert main(["runs", "ls", str(folder.parent)]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "[red]" in out


def test_a_file_that_crashes_or_stalls_the_library_costs_only_the_child(sound, monkeypatch):
    faults = [
        ("os.kill(os.getpid(), 11)", UnreadableRunError, "SIGSEGV"),
        ("next(x for x in iter(int, 1) if x)", UnreadableRunError, "1 s of the processor"),
        ("time.sleep(60)", TimeoutError, "busy"),
        ("bytearray(10**11)", UnreadableRunError, "memory"),
    ]
    for fault, kind, told in faults:
        script = (
            f"import os, sys, time; sys.path.insert(0, sys.argv[1]); from trajectory import quarantine as q; q.load = lambda _: {fault}; "
        )
        monkeypatch.setattr(quarantine, "_CHILD", script + "q.child(*sys.argv[2:])")
        monkeypatch.setattr(quarantine, "_SECONDS", 1.0)
        monkeypatch.setattr(quarantine, "_PATIENCE", 1 if kind is TimeoutError else 100)
        with pytest.raises(kind, match=told):
            load_isolated(sound / "run")


def _fuzz(sound, tmp_path, count, seed):
    """Flip bytes in the files of a run and read it; the outcome is a run or a typed error, within seconds."""
    source, dice = _copy(sound, tmp_path), random.Random(seed)
    for path in source.glob("*"):
        content = path.read_bytes()
        for _ in range(count if path.suffix == ".h5" else count // 4):
            flipped = bytearray(content)
            for _ in range(dice.choice([1, 1, 2, 8])):
                flipped[dice.randrange(len(content))] = dice.randrange(256)
            path.write_bytes(flipped)
            begun = _spent()
            for read in (load_isolated, verify_isolated):
                with contextlib.suppress(UnreadableRunError):
                    read(source)
            assert _spent() - begun < 40
        path.write_bytes(content)
    assert load_isolated(source).num_records == 6


def test_flipped_bytes_give_a_run_or_a_typed_error(sound, tmp_path):
    _fuzz(sound, tmp_path, 4, 0)


@pytest.mark.slow
def test_many_flipped_bytes_give_a_run_or_a_typed_error(sound, tmp_path):
    _fuzz(sound, tmp_path, 300, 1)
