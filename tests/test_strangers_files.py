"""Files of strangers, of every nature and under every name, for every command that reads one: nothing lost, executed, hanging or silent."""

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import strangers

TESTS = Path(__file__).parent
# What reads a file or a folder; `{}` stands for it.
READERS = {
    "xyz": (["scf", "{}"], ["bench", "scf", "{}", "--methods", "physopt"], ["bench", "series", "{}", "--methods", "physopt"]),
    "toml": (["topopt", "validate", "{}"], ["topopt", "{}", "--max-iterations", "2"], ["bench", "topopt", "{}", "--solutions", "2"]),
    "csv": (["bench", "report", "{}"], ["bench", "topopt", "beam.toml", "--methods", "mma", "--solutions", "2", "--best", "{}"],
            ["bench", "scf", "h2.xyz", "--methods", "physopt", "--lowest", "{}"]),
    "json": (["bench", "report", "{}"],),
    "safetensors": (["bench", "scf", "h2.xyz", "--methods", "physopt", "--weights", "{}"],),
    "stl": (["topopt", "validate", "stl.toml"],),
    "npy": (["topopt", "validate", "npy.toml"],),
    "png": (["topopt", "validate", "png.toml"],),
    "npz": (["topopt", "beam.toml", "--max-iterations", "2", "--library", "library"],),
    "run": (["runs", "show", "{}"], ["runs", "verify", "{}"], ["runs", "plot", "{}"], ["runs", "pack", "{}"], ["runs", "ls"],
            ["scf", "h2.xyz", "--record", "{}", "--resume"]),
}  # fmt: skip


def _pickle(path):
    path.write_bytes(b"cos\nsystem\n(S'touch EXECUTED'\ntR.")


def _socket(path):
    os.chdir(path.parent)  # its address holds 108 bytes at most
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(path.name)


def _sparse(path):
    with path.open("wb") as file:
        file.truncate(2**40)


# The natures of what is where a file is expected.
NATURES = {
    "absent": lambda path: None,
    "empty": lambda path: path.touch(),
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a socket": _socket,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to a terminal": lambda path: path.symlink_to("/dev/tty"),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to a secret": lambda path: path.symlink_to(path.parent.parent / "secret.txt"),
    "a pickle": _pickle,
    "a terabyte of nothing": _sparse,
    "random bytes": lambda path: path.write_bytes(hashlib.shake_128(path.name.encode()).digest(3000)),
    "escape sequences": lambda path: path.write_bytes(b"\x1b[2J\x1b]0;owned\x07" * 9),
    "zeros": lambda path: path.write_bytes(bytes(4096)),
    "deep brackets": lambda path: path.write_text("[" * 200_000),
    "a long line": lambda path: path.write_text("9" * 300_000),
}
NAMES = {
    "a space": "a b",
    "an alphabet": "вода-水",
    "markup": "[red]x",
    "mathematics": "$\\frac$",
    "an option": "-x",
    "quotes": "'\"",
    "a newline": "a\nb",
    "an escape": "\x1b[2J",
    "dots": "..x..",
    "an accent": "é",
    "not UTF-8": os.fsdecode(b"\xff\xfe"),
    "percent": "%s{}%n",
    "long": "x" * 200,
    "right to left": "\u202etxt",
}


def _laid(folder: Path) -> None:
    folder.mkdir(parents=True)
    strangers.lay_inputs(folder)
    (folder / "library").mkdir()
    (folder.parent / "secret.txt").write_text("not for others\n" * 3)
    for kind in ("stl", "npy", "png"):
        space = f'[space]\n{"stl" if kind == "stl" else "mask"} = "file.{kind}"\n'
        problem = strangers.PROBLEM.replace("[16, 8]", "[8, 4, 4]") if kind == "stl" else strangers.PROBLEM
        (folder / f"{kind}.toml").write_text(problem + space)


def _state(folder: Path) -> dict[str, str]:
    """Return what is in a folder: of small regular files the digest, of others the kind."""
    found = {}
    for path in sorted(folder.rglob("*")):
        regular = path.is_file() and not path.is_symlink() and path.stat().st_size < 10**7
        found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest() if regular else str(path.lstat().st_mode)
    return found


def _ask(jobs: list[dict[str, object]]) -> list[dict[str, object]]:
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(TESTS.parent), "PYTHONWARNINGS": "ignore"}
    script = [sys.executable, "-P", str(TESTS / "stranger_commands.py")]
    done = subprocess.run(script, input=json.dumps(jobs), capture_output=True, text=True, env=environment, timeout=3600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def _check(outcome: dict[str, object], sound: bool = False) -> None:
    what = f"{outcome['argv']} in {outcome['cwd']}: {outcome['code']}\n{outcome['err']}"
    assert outcome["code"] in ((0,) if sound else (0, 2, 3, 4)), what
    assert outcome["code"] == 0 or outcome["err"].startswith("physopt: ") or "physopt: " in outcome["err"], what
    assert "Traceback" not in outcome["err"] and "defect" not in outcome["err"], what
    assert "\x1b" not in outcome["out"] + outcome["err"], what


def _natures(tmp_path: Path, kinds: dict[str, tuple[list[str], ...]], natures: dict[str, object]) -> int:
    jobs, before, here = [], {}, Path.cwd()
    for kind, readers in kinds.items():
        for number, make in enumerate(natures.values()):
            folder = tmp_path / f"{kind}-{number}" / "folder"
            _laid(folder)
            target = folder / "library" / "a.npz" if kind == "npz" else folder / "file" if kind == "run" else folder / f"file.{kind}"
            make(target)
            os.chdir(here)
            before[folder] = _state(folder.parent)
            jobs += [{"cwd": str(folder), "argv": [part.format(target.name) for part in argv]} for argv in readers]
    for outcome in _ask(jobs):
        _check(outcome)
    for folder, state in before.items():
        after = _state(folder.parent)
        assert {name: after.get(name) for name in state} == state
        assert not any("EXECUTED" in name or "owned" in name for name in after)
    return len(before)


def test_a_few_natures(tmp_path):
    few = ("a pipe", "a link to a device", "a pickle", "escape sequences")
    kinds = {kind: READERS[kind][:1] for kind in ("toml", "json", "stl", "npz")}
    assert _natures(tmp_path, kinds, {name: NATURES[name] for name in few}) == 16


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
def test_every_nature_of_every_file(tmp_path, kind):
    assert _natures(tmp_path, {kind: READERS[kind]}, NATURES) == len(NATURES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_every_name(tmp_path, name):
    folder = tmp_path / name
    _laid(folder)
    for old, suffix in (("h2", ".xyz"), ("beam", ".toml")):
        (folder / f"{old}{suffix}").rename(folder / f"{name}{suffix}")
    (folder / "run").rename(folder / name)
    before, target = _state(folder), f"./{name}"
    jobs = [
        ["scf", f"{target}.xyz", "--record", f"{target}-rec", "--plot", f"{target}.png", "--json", f"{target}.json"],
        ["bench", "scf", f"{target}.xyz", "--methods", "physopt"],
        ["topopt", "validate", f"{target}.toml"],
        ["topopt", f"{target}.toml", "--max-iterations", "2", "--plot", f"{target}-t.png", "--vti", f"{target}-vti"],
        ["bench", "topopt", f"{target}.toml", "--methods", "mma", "--solutions", "2", "--plot", f"{target}-b.png"],
        *([["runs", word, target] for word in ("show", "verify", "plot")]),
        ["runs", "ls"],
    ]
    with contextlib.chdir(folder.parent):
        outcomes = _ask([{"cwd": str(folder), "argv": argv} for argv in jobs])
    for outcome in outcomes:
        _check(outcome)
    after = _state(folder)
    assert {n: after.get(n) for n in before} == before
    assert {p.name for p in tmp_path.iterdir()} == {name, "secret.txt"}
