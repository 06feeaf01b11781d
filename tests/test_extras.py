"""A plain installation: what is missing is named in one sentence before any work, and all else does without it."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import strangers
import trimesh
from instances import sampled
from PIL import Image

from physopt.core.extras import OPTIONAL, MissingExtraError, installed, need
from physopt.core.iterate import History
from physopt.core.trajectory import load
from physopt.plot import animate, plot_design, plot_profiles, plot_run, plot_solution, plot_traces
from physopt.scf.xyz import read_xyz
from physopt.topopt.export import write_stl, write_vti
from physopt.topopt.outcome import concerns
from physopt.topopt.space import read_mask, read_solid
from physopt.topopt.surface import surface_of

ROOT = Path(__file__).parents[1]
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What comes with the extras, or else a plain installation would have it, too.
BROUGHT = {
    *OPTIONAL,
    "charset_normalizer",
    "contourpy",
    "fontTools",
    "imageio",
    "kiwisolver",
    "mpl_toolkits",
    "networkx",
    "pylab",
    "tifffile",
}
# Which package a command is refused without.
REFUSED = {
    "matplotlib": [
        ["demo"],
        ["scf", "h2.xyz", "--plot", "a.svg"],
        ["pinn", "network", "--plot", "a.png"],
        ["topopt", "beam.toml", "--plot", "a.png"],
        ["topopt", "mbb", "--gif", "a.gif"],
        ["bench", "topopt", "beam.toml", "--plot", "a.pdf"],
        ["bench", "report", "report.json", "--plot", "a.png"],
        ["runs", "plot", "run"],
        ["runs", "export", "run", "a.png"],
    ],
    "PIL": [["topopt", "masked.toml"], ["topopt", "validate", "masked.toml"], ["bench", "topopt", "masked.toml"]],
    "skimage": [
        ["topopt", "beam.toml", "--stl", "a.stl"],
        ["topopt", "cantilever-3d", "--plot", "a.png"],
        ["runs", "export", "run", "a.stl"],
    ],
    "trimesh": [
        ["topopt", "beam.toml", "--stl", "a.stl"],
        ["topopt", "part.toml"],
        ["topopt", "validate", "part.toml"],
        ["bench", "topopt", "part.toml"],
        ["runs", "export", "run", "a.stl"],
    ],
    "pyevtk": [["topopt", "beam.toml", "--vti", "out"], ["runs", "export", "run", "a.vti"]],
    "openorbitaloptimizer": [["bench", "scf", "h2.xyz", "--methods", "ooo"]],
    "optimistix": [["bench", "pinn", "poisson", "--methods", "optimistix-lm"]],
    "optuna": [["bench", "l2o", "--only", "logistic-20,logistic-14", "--methods", "sgd", "--steps", "16"]],
}
COMPARED = ("openorbitaloptimizer", "optimistix", "optuna")  # which methods there are, only they know that compare them

NEEDS_AN_EXTRA = {("demo",), ("runs", "plot"), ("bench", "l2o")}
SLOW = {("train", "quadratics"), ("train", "scf"), ("train", "topopt"), ("pinn", "network"), ("bench", "pinn"), ("bench", "learn")}
SLOW |= {("bench", one) for one in ("fe", "topopt", "series", "scf", "report")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("plain")
    strangers.lay_inputs(place)
    Image.new("L", (16, 8)).save(place / "mask.png")
    (place / "masked.toml").write_text(strangers.PROBLEM.replace("[[support]]", '[space]\nmask = "mask.png"\n[[support]]'))
    trimesh.creation.box((16.0, 8.0, 4.0)).export(place / "part.stl")
    solid = re.sub(r"\[(\d+), (\d+)\]", r"[\1, \2, 2]", strangers.PROBLEM).replace("[16, 8, 2]", "[16, 8, 4]")
    solid = solid.replace('"xy"', '"xyz"').replace("[0.0, -1.0]", "[0.0, -1.0, 0.0]")
    (place / "part.toml").write_text(solid.replace("[[support]]", '[space]\nstl = "part.stl"\n[[support]]'))
    return place


def run(folder, hidden, script, *arguments):
    """Run a script in a process in which some packages cannot be imported, and return what it printed."""
    before = f"import sys\nsys.modules.update(dict.fromkeys({sorted(hidden)}))\nfrom physopt.cli import main\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-c", before + script, *arguments]
    return subprocess.run(call, cwd=folder, capture_output=True, text=True, env=environment, timeout=1200, check=False)


@pytest.mark.parametrize("package", sampled(REFUSED, ("matplotlib", "trimesh")))
def test_commands_are_refused_before_the_work_in_one_sentence(folder, package):
    script = f"for arguments in {REFUSED[package]}:\n    assert main(arguments) == 4, arguments\n"
    light = "    assert not {'jax', 'pyscf'} & sys.modules.keys(), arguments\n" if package not in COMPARED else ""
    done = run(folder, {package}, script + light)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [f"physopt: {OPTIONAL[package].sentence}"] * len(REFUSED[package])
    assert not list(folder.glob("a.*"))


def plain(command):
    """Return the arguments of a command of the table that a plain installation needs no extra for."""
    arguments = " ".join(strangers.COMMANDS[command]).format(*["plain-" + "-".join(command)] * 9)
    return [*command, *re.sub(r"--(plot|gif|stl) \S+ ?", "", arguments).split()]


@pytest.mark.parametrize("quick", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["quick", "slow"])
def test_everything_else_does_without(folder, quick):
    every = [command for command in strangers.COMMANDS if command not in NEEDS_AN_EXTRA and (command in SLOW) != quick]
    done = run(folder, BROUGHT, f"for arguments in {[plain(c) for c in every]}:\n    assert main(arguments) in (0, 3), arguments\n")
    assert done.returncode == 0, done.stderr
    if quick:
        assert "pieces are not counted" in done.stdout and "physopt[plot]" in done.stdout  # topopt, doctor


FLAT, BOX = np.tril(np.ones((8, 4))), np.pad(np.ones((2, 2, 2)), 1)
HISTORY = History(*(np.ones(2),) * 3, np.ones(2, bool), np.ones(2), np.ones(2))
CALLS = {
    "matplotlib": {
        "run": lambda f: plot_run(load(f / "run"), f / "a.png"),
        "design": lambda f: plot_design(f / "a.png", "a", FLAT, HISTORY),
        "solution": lambda f: plot_solution(f / "a.png", "a", np.eye(4), np.eye(4), HISTORY),
        "animation": lambda f: animate(f / "a.gif", "a", [FLAT]),
        "profiles": lambda f: plot_profiles(f / "a.png", "a", {"a": {"oc": [1.0]}}),
        "traces": lambda f: plot_traces(f / "a.png", "a", read_xyz(f / "h2.xyz"), {"a": []}),
    },
    "PIL": {"mask": lambda f: read_mask(f / "mask.png", (16, 8))},
    "skimage": {"surface": lambda f: surface_of(BOX), "stl": lambda f: write_stl(f / "a.stl", BOX)},
    "trimesh": {"written": lambda f: write_stl(f / "a.stl", BOX), "read": lambda f: read_solid(f / "part.stl", (16, 8, 4))},
    "pyevtk": {"vti": lambda f: write_vti(f / "a.vti", BOX)},
}


@pytest.mark.parametrize(("package", "call"), [(package, call) for package, calls in CALLS.items() for call in calls])
def test_calls_raise_the_sentence(folder, monkeypatch, package, call):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError) as caught:
        CALLS[package][call](folder)
    assert str(caught.value) == OPTIONAL[package].sentence and isinstance(caught.value, ImportError)
    assert not list(folder.glob("a.*"))


def test_an_outcome_without_surfaces_warns_of_what_it_knows():
    found = {"verified": 1.0, "volume": 0.3, "greyness": 0.5} | dict.fromkeys(
        ("level", "surface_volume", "pieces", "carrying", "uncarried", "dropped")
    )
    (said,) = concerns(found)
    assert said.startswith("the greyness is 0.50")


def test_the_sentence_names_an_extra_that_brings_the_package():
    for name, package in OPTIONAL.items():
        wanted = [re.split(r"[^\w-]", entry)[0] for entry in DECLARED["optional-dependencies"][package.extra]]
        assert package.distribution in wanted, name
        assert not any(entry.startswith(package.distribution) for entry in DECLARED["dependencies"]), name
        assert re.fullmatch(r"[A-Za-z -]+ needs? \S+: pip install 'physopt\[[a-z]+\]'", package.sentence)
    need(*(name for name in OPTIONAL if installed(name)))


def test_nothing_optional_is_imported_with_a_module():
    for path in (ROOT / "physopt").rglob("*.py"):
        for node in [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            assert not {name.split(".")[0] for name in names} & OPTIONAL.keys(), path
