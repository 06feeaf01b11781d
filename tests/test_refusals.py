"""What is refused: before anything heavy is loaded, in words that say what is allowed, and with nothing written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from instances import sampled

from physopt.cli import main
from physopt.topopt.definition import Definition, changed, read_definition

ROOT = Path(__file__).parents[1]
HEAVY = {"jax", "equinox", "optax", "pyscf", "matplotlib", "skimage", "trimesh", "PIL"}
GOOD = """
name = "beam"
shape = [24, 12]
volfrac = 0.4
[[support]]
region = [[0, 0], [0, 12]]
fix = "xy"
[[load]]
region = [[24, 5], [24, 7]]
force = [0.0, -1.0]
"""
LOAD = "[[load]]\nregion = [[24, 5], [24, 7]]\nforce = [0.0, -1.0]\n"
SUPPORT = '[[support]]\nregion = [[0, 0], [0, 12]]\nfix = "xy"\n'


LIGHT = {
    "help": (0, ["--help"]),
    "runs": (0, ["runs", "ls"]),
    "gallery": (0, ["topopt", "gallery"]),
    "train": (0, ["train", "--help"]),
    "doctor": (0, ["doctor", "--help"]),
    "schema": (2, ["topopt", "bad.toml"]),
    "unsolvable": (2, ["topopt", "loose.toml"]),
    "validate": (2, ["topopt", "validate", "loose.toml"]),
    "bench": (2, ["bench", "topopt", "loose.toml"]),
    "picture": (2, ["topopt", "mbb", "--plot", "a.xyz"]),
    "gain": (2, ["topopt", "mbb", "--gain", "-1"]),
    "pinn": (2, ["pinn", "network", "--width", "0"]),
    "training": (2, ["train", "topopt", "--steps", "0"]),
    "family": (2, ["train", "scf"]),
}


def test_a_refusal_loads_nothing_heavy(tmp_path):
    (tmp_path / "bad.toml").write_text(GOOD + "colour = 1\n")
    (tmp_path / "loose.toml").write_text(GOOD.replace('"xy"', '"x"'))
    script = (
        f"import sys\nfrom physopt.cli import main\nfor name, (code, arguments) in {LIGHT}.items():\n"
        "    assert main(arguments) == code, name\n"
        f"    assert not (heavy := {HEAVY} & sys.modules.keys()), (name, heavy)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}  # a full stream shows late
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr


def test_a_star_brings_neither_packages_nor_pyscf():
    script = (
        "import sys\nscf = 'mine'\nfrom physopt import *\nassert scf == 'mine' and callable(minimize) and 'pyscf' not in sys.modules\n"
        "import physopt\nassert {'accelerate', 'minimize', 'topopt'} <= set(dir(physopt))\n"
        "assert physopt.topopt.SIMP.__name__ == 'SIMP'"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


# What is added to, or replaced in, a good file, and what the answer must say.
SAID = [
    ("", "colour = 1", ["colour", "allowed are region, force, case"]),
    ("volfrac = 0.4", "volfrc = 0.4", ["did you mean volfrac?", "allowed are name, source"]),
    ("", "volfrac = 0.3", ["write volfrac above the first line in brackets"]),
    ("", '[space]\nmsk = "a.png"', ["did you mean mask?", "allowed are mask, stl, solid"]),
    ("", '[[space]]\nmask = "a.png"', ["write [space]"]),
    ("[[load]]", "[load]", ["write [[load]] with two brackets"]),
    ("[[support]]", "[support]", ["write [[support]] with two brackets"]),
    (LOAD, '[spring]\nregion = [[0, 0], [0, 1]]\nstiffness = "soft"\n', ["write [[spring]] with two brackets"]),
    ("volfrac = 0.4", "volfrac = 0.4\nload = 3", ["is not TOML"]),
    (LOAD, "load = 3\n", ["unknown field `load`", "write [[load]] in a line of its own"]),
    (LOAD, "[[load]]\nforce = [0.0, -1.0]\n", ["missing required field `region`", "region = [[0, 0], [0, 20]]"]),
    ("[[24, 5], [24, 7]]", "[[24, 5]]", ["load[0].region", "it is [[24, 5]]", "region = [[0, 0], [0, 20]]"]),
    ("[[24, 5], [24, 7]]", "[[24], [24]]", ["load[0].region[0]", "it is [24]"]),
    ("[[24, 5], [24, 7]]", "[[24, 5, 0], [24, 7, 0]]", ["2 coordinates"]),
    ("[[24, 5], [24, 7]]", "[[24, 5], [25, 7]]", ["not in the box", "[24, 12]"]),
    ("[[24, 5], [24, 7]]", "[[24.5, 5], [24, 7]]", ["got `float`", "it is 24.5"]),
    ("volfrac = 0.4", "volfrac = 0", ["> 0.0", "it is 0", "volfrac = 0.4"]),
    ("volfrac = 0.4", "volfrac = true", ["got `bool`"]),
    ("volfrac = 0.4", "volfrac = 2026-01-01", ["got `date`"]),
    ("volfrac = 0.4", 'volfrac = 0.4\nfilter = "gauss"', ["'gauss'", "one of 'density', 'sensitivity'"]),
    ("volfrac = 0.4", 'volfrac = 0.4\nphysics = "magnetic"', ["one of 'elastic', 'heat'"]),
    ("volfrac = 0.4", "volfrac = 0.4\nrmin = inf", ["rmin is inf", "finite"]),
    ("[[load]]\n", "[[load]]\ncase = 1000000000\n", ["Load case 0 has no load"]),
    (LOAD, "", ["Nothing is loaded: write at least one [[load]]"]),
    (SUPPORT, "", ["Nothing is held: write at least one [[support]]"]),
    (GOOD, "# nothing yet\n", ["is empty", "[[support]]"]),
    (GOOD, "", ["is empty"]),
]


@pytest.mark.parametrize(("old", "new", "words"), SAID, ids=range(len(SAID)))
def test_the_answer_says_what_is_allowed(tmp_path, capsys, old, new, words):
    file = tmp_path / "p.toml"
    file.write_text(GOOD.replace(old, new) if old else GOOD + new)
    assert main(["topopt", str(file)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert all(word in said for word in [*words, "p.toml"]), said


@pytest.mark.parametrize(
    "name", ["../../escaped", "a/b", "a\\b", "cost $\\frac$", "[/red]x", "", " ", ".hidden", "..", "x" * 201, "é" * 101]
)
def test_names_that_could_be_paths_are_refused(tmp_path, capsys, name):
    file = tmp_path / "p.toml"
    file.write_text(GOOD.replace('"beam"', f"'{name}'"))
    assert main(["topopt", str(file), "--vti", str(tmp_path / "out")]) == 2
    assert "name" in capsys.readouterr().err and list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("code", ["001b", "0000", "000a", "007f", "202e", "200b", "2028", "0085"])
@pytest.mark.parametrize("entry", ["name", "source"])
def test_invisible_characters_are_refused(tmp_path, capsys, code, entry):
    file = tmp_path / "p.toml"
    file.write_text(GOOD.replace('name = "beam"', f'{entry} = "a\\u{code}[31mb"'))
    assert main(["topopt", "validate", str(file)]) == 2
    said = capsys.readouterr().err
    assert entry in said and chr(int(code, 16)) not in said.rstrip("\n")


def test_names_are_checked_in_python_too():
    with pytest.raises(ValueError, match="files are named after it"):
        changed(Definition(name="fine", shape=[4, 4], volfrac=0.5), {"name": "../up"})
    with pytest.raises(ValueError, match="files are named after it"):
        Definition(name="../up", shape=[4, 4], volfrac=0.5)


def test_files_from_editors_and_files_that_are_none(tmp_path, capsys):
    good, pipe, folder = tmp_path / "good.TOML", tmp_path / "pipe.toml", tmp_path / "folder.toml"
    good.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read_definition(good).name == "beam"
    os.mkfifo(pipe)
    folder.mkdir()
    for name, content in {"binary": bytes(range(256)), "utf16": GOOD.encode("utf-16"), "huge": b"#" * 2_000_000, "none": b""}.items():
        (tmp_path / f"{name}.toml").write_bytes(content)
    for name, words in {"pipe": "no regular file", "folder": "is a folder", "huge": "1 MB", "none": "empty"}.items():
        assert main(["topopt", str(tmp_path / f"{name}.toml")]) == 2
        assert words in capsys.readouterr().err
    for name in ("binary", "utf16"):
        assert main(["topopt", str(tmp_path / f"{name}.toml")]) == 2
        assert "is not TOML" in capsys.readouterr().err
    assert main(["topopt", str(tmp_path)]) == 2
    assert "is no problem" in capsys.readouterr().err


NUMBERS = [
    ["topopt", "mbb", "--gain", "-1"],
    ["topopt", "mbb", "--gain", "nan"],
    ["topopt", "mbb", "--gain", "1"],
    ["topopt", "mbb", "--max-iterations", "0"],
    ["topopt", "mbb", "--max-iterations", "-5"],
    ["topopt", "mbb", "--rmin", "nan"],
    ["topopt", "mbb", "--volfrac", "0"],
    ["topopt", "mbb", "--resume"],
    ["bench", "topopt", "mbb", "--solutions", "0"],
    ["pinn", "network", "--points", "0"],
    ["pinn", "network", "--frequency", "0"],
    ["pinn", "network", "--seed", "-1"],
    ["pinn", "network", "--target", "inf"],
    ["train", "quadratics", "--seeds", "0"],
    ["train", "topopt", "--tasks", "0"],
    ["train", "scf", "data/training", "--evaluations", "0"],
]


@pytest.mark.parametrize("arguments", NUMBERS, ids=" ".join)
def test_numbers_are_refused_before_the_work(capsys, arguments):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and not captured.out  # no line of progress came before


@pytest.mark.parametrize(
    "command",
    [["topopt", "mbb"], ["pinn", "network"], ["scf", "in.xyz"], ["bench", "topopt", "mbb"], ["train", "topopt"], ["train", "quadratics"]],
    ids=" ".join,
)
def test_places_are_refused_before_the_work(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    Path("in.xyz").write_text("1\n\nHe 0 0 0\n")
    Path("taken").mkdir()
    assert main([*command, "--json", "no/a.json"]) == 4
    assert main([*command, "--json", "taken"]) == 4
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 2 and not captured.out
    assert {p.name for p in tmp_path.iterdir()} == {"in.xyz", "taken"}


def test_nothing_overwrites_what_it_reads_or_wrote(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("p.toml").write_text(GOOD)
    Path("in.xyz").write_text("1\n\nHe 0 0 0\n")
    assert main(["topopt", "p.toml", "--json", "./p.toml"]) == 2
    assert main(["scf", "in.xyz", "--json", "in.xyz"]) == 2
    assert main(["topopt", "p.toml", "--json", "a.stl", "--stl", "a.stl"]) == 2
    assert main(["topopt", "p.toml", "--vti", "in.xyz"]) == 4
    assert main(["topopt", "p.toml", "--vti", "no/out"]) == 4
    assert Path("p.toml").read_text() == GOOD and "would overwrite" in capsys.readouterr().err


STREAMS = {
    "runs ls . >&-": 0,
    "--help >&-": 0,
    "runs ls . <&- >&- 2>&-": 0,
    "runs ls nowhere >&- 2>&-": 4,
    "runs ls . >/dev/full": 4,
    "runs ls nowhere 2>/dev/full": 4,
    "--bogus 2>/dev/full": 2,
}


def shell(command, folder):
    """Run a command line of physopt by the shell."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}  # buffered, a full stream shows late
    line = f"{sys.executable} -m physopt {command}"
    return subprocess.run(["sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("command", sampled(STREAMS, 3))
def test_streams_that_are_closed_or_full_keep_the_exit_code(tmp_path, command):
    done = shell(command, tmp_path)
    assert done.returncode == STREAMS[command] and "defect" not in done.stderr


@pytest.mark.slow
def test_what_is_printed_to_a_closed_stream_goes_into_no_record(tmp_path):
    (tmp_path / "he.xyz").write_text("1\n\nHe 0 0 0\n")
    done = shell("scf he.xyz --basis sto-3g --json out.json --record rec >&- 2>/dev/full", tmp_path)
    assert done.returncode == 0 and (tmp_path / "out.json").stat().st_size
    assert main(["runs", "verify", str(tmp_path / "rec")]) == 0
