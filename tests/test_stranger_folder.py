"""What lies in the working directory is not executed, imported or obeyed by any command, nor by its children."""

import os
import subprocess
import sys

import pytest
import strangers
from strangers import COMMANDS, SCRIPT

# What Python itself loads before any line of physopt runs, where the working directory is on its path.
EARLY = "import re, runpy, pkgutil, importlib.util, sys; print('sitecustomize', 'usercustomize', *sys.modules)"
UNAVOIDABLE = frozenset(subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, check=True).stdout.split())
# The script; the module, where `python -m` puts the working directory on the path; and an empty entry of PYTHONPATH, which means it, too.
STARTS = {
    "script": ([str(SCRIPT)], None, frozenset()),
    "module": ([sys.executable, "-m", "physopt"], None, UNAVOIDABLE),
    "path": ([str(SCRIPT)], os.pathsep, UNAVOIDABLE),
}
QUICK = {"script": [("scf",)], "module": [("runs", "show")], "path": [("runs", "show")]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for name, (_, _, left_out) in STARTS.items():
        root = tmp_path_factory.mktemp(name)
        made[name] = root / "folder", root / "markers"
        made[name][0].mkdir()
        strangers.lay_inputs(made[name][0])
        strangers.lay_traps(*made[name], left_out)
    return made


def test_the_table_has_every_command():
    assert set(strangers.commands()) == set(COMMANDS)


def test_the_traps_work(tmp_path):
    folder, markers = tmp_path / "folder", tmp_path / "markers"
    folder.mkdir()
    strangers.lay_traps(folder, markers)
    subprocess.run([sys.executable, "-c", "import json, numpy, evil"], cwd=folder, check=False, capture_output=True)
    assert {"json", "numpy", "evil"} <= {p.name for p in markers.iterdir()}


def cases():
    for start in STARTS:
        for command in COMMANDS:
            yield pytest.param(start, command, id=f"{start}-{'-'.join(command)}", marks=() if command in QUICK[start] else pytest.mark.slow)


@pytest.mark.parametrize(("start", "command"), list(cases()))
def test_nothing_in_the_working_directory_is_executed(folders, start, command):
    folder, markers = folders[start]
    call, places, _ = STARTS[start]
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"} | {"MPLBACKEND": "Agg"}
    done = strangers.run(command, folder, call, environment if places is None else {**environment, "PYTHONPATH": places})
    assert not list(markers.iterdir())
    assert done.returncode in (0, 3), done.stderr
    assert "matplotlibrc" not in done.stderr
