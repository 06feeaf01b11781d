"""A stranger's folder: modules named like all that one may import, settings that libraries obey, and the inputs of every command."""

import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from physopt.core.trajectory import Column, Recorder
from physopt.meta.starts import Folder, Solve, task_of

SCRIPT = Path(sys.executable).with_name("physopt")
ODD = ("sitecustomize", "usercustomize", "conftest", "setup", "fitz", "xcfun", "evil")
BASIS_SETS = ("ano", "minao", "weigend", "def2-universal-jkfit", "def2-universal-jfit", "sto-6g")
PROBLEM = """
name = "beam"
shape = [16, 8]
volfrac = 0.4
[[support]]
region = [[0, 0], [0, 8]]
fix = "xy"
[[load]]
region = [[16, 4], [16, 4]]
force = [0.0, -1.0]
"""
HYDROGEN = "2\nspin=0 basis=sto-3g\nH 0 0 0\nH 0 0 {:.2f}\n"
# Every command of the command line, each with the cheapest arguments that take it through its work; `{}` is a fresh name.
COMMANDS: dict[tuple[str, ...], list[str]] = {
    ("demo",): ["--folder", "{}"],
    ("scf",): ["h2.xyz", "--record", "{}", "--plot", "{}.png", "--json", "{}.json"],
    ("pinn",): ["heat", "--tol", "1e-3", "--json", "{}.json", "--plot", "{}.png"],
    ("pinn", "network"): ["--steps", "2", "--points", "40", "--width", "4", "--target", "10", "--plot", "{}.png"],
    ("topopt",): ["beam.toml", "--max-iterations", "3", "--record", "{}", "--plot", "{}.png", "--gif", "{}.gif", "--stl", "{}.stl"],
    ("topopt", "validate"): ["beam.toml"],
    ("topopt", "gallery"): [],
    ("farm",): ["h2.xyz", "beam.toml", "--max-iterations", "2", "--jobs", "1", "--record", "{}", "--json", "{}.json"],
    ("study",): ["study", "--suggest", "2", "--plot", "{}.png", "--json", "{}.json"],
    ("study", "merge"): ["{}", "study", "--json", "{}.json"],
    ("study", "prune"): ["study", "--keep", "4", "--dry-run", "--json", "{}.json"],
    ("train", "quadratics"): ["--steps", "1", "--tasks", "2", "--seeds", "1", "--record", "{}"],
    ("train", "first-order"): "recurrent --only logistic-20 --steps 1 --tasks 1 --horizon 16 --json {}.json".split(),
    ("train", "scf"): ["--family", "molecules", "--out", "{}.safetensors"],
    ("train", "topopt"): ["--steps", "1", "--tasks", "1", "--size", "16", "--record", "{}"],
    ("bench", "pinn"): ["poisson", "--set", "dim=1", "--methods", "physopt", "--limit", "1", "--json", "{}.json"],
    ("bench", "fe"): ["--shape", "16x8", "--iterates", "1"],
    ("bench", "learn"): ["cluster", "--recorded", "4", "--seeds", "1", "--tasks", "1", "--methods", "physopt", "--json", "{}.json"],
    ("bench", "l2o"): ["--only", "logistic-20,logistic-14", "--methods", "sgd", "--steps", "16", "--settings", "1", "--json", "{}.json"],
    ("bench", "topopt"): ["beam.toml", "--methods", "mma", "--solutions", "3", "--plot", "{}.png"],
    ("bench", "scf"): ["h2.xyz", "--methods", "pyscf,physopt", "--json", "report.json"],
    ("bench", "report"): ["report.json", "--csv", "{}.csv"],  # of the line above
    ("bench", "series"): ["series.xyz", "--methods", "pyscf,physopt"],
    ("runs", "ls"): [],
    ("runs", "show"): ["run"],
    ("runs", "plot"): ["run", "--out", "{}.png"],
    ("runs", "verify"): ["run"],
    ("runs", "export"): ["run", "{}.npz"],
    ("runs", "pack"): ["run"],
    ("doctor",): [],
}


def commands() -> Iterator[tuple[str, ...]]:
    """Yield the commands, as the command line has them."""
    from physopt.cli import app

    def walk(node: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        names = [name for name in node if not name.startswith("-")]
        if path and (not names or node.default_command is not None):
            yield path
        for name in names:
            yield from walk(node[name], (*path, name))

    return walk(app, ())


def module_names() -> set[str]:
    """Return the names of the standard library, of all that is installed, and some that interpreters look for."""
    installed = {name for name in importlib.metadata.packages_distributions() if name.isidentifier()}
    return {*sys.stdlib_module_names, *installed, *ODD} - {"physopt"}


def lay_inputs(folder: Path) -> None:
    """Put into a folder what the commands read."""
    (folder / "beam.toml").write_text(PROBLEM)
    (folder / "h2.xyz").write_text(HYDROGEN.format(0.74))
    (folder / "series.xyz").write_text("".join(HYDROGEN.format(0.74 + 0.01 * k) for k in range(3)))
    (folder / "molecules").mkdir()
    for k in range(3):
        (folder / "molecules" / f"h2-{k}.xyz").write_text(HYDROGEN.format(0.74 + 0.1 * k))
    for k in range(5):
        about = {"calls": 9 - k, "recording": 3, "start": "cold", "cold_norm": 1.0, "cold_value": 1.0}
        Folder(folder / "study").add(Solve(task_of({"a": k, "b": k * k}, 2), np.array([k, 0.5 * k]), 0.1 * k, about=about))
    point, told = [np.zeros(3), np.zeros(())], {"spec": {}, "asked": {}, "leaves": ["best", "best_value"]}
    recorder = Recorder(folder / "run", columns={"value": Column("1")}, checkpoint=point, resume=False, durability="process", **told)
    recorder.append({"value": 1.0}, point)
    recorder.close()


def lay_traps(folder: Path, markers: Path, but: frozenset[str] = frozenset()) -> None:
    """Put modules, settings and basis sets into a folder that leave a marker if they are executed."""
    markers.mkdir()
    for name in module_names() - but:
        (folder / f"{name}.py").write_text(f"open({str(markers / name)!r}, 'w').close()\n")
    (folder / ".pyscf_conf.py").write_text(f"open({str(markers / 'pyscf_conf')!r}, 'w').close()\n")
    for name in BASIS_SETS:
        (folder / name).write_text(f"BASIS\nH  S\n  open({str(markers / name)!r},'w').close()  1.0\nEND\n")
    (folder / "matplotlibrc").write_text("an_unknown_key : 1\n")


def run(command: tuple[str, ...], folder: Path, start: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command of the table in a folder."""
    arguments = [part.format("out-" + "-".join(command)) for part in COMMANDS[command]]
    return subprocess.run(
        [*start, *command, *arguments], cwd=folder, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, timeout=1200
    )
