"""What a run of topology optimization tells: every start, names as they are, all digits, and files that do not cost each other."""

import json

import numpy as np
import pytest
from instances import sampled
from matplotlib.figure import Figure
from PIL import Image

from physopt.cli import main
from physopt.plot import fields
from physopt.rules.mma import MMA
from physopt.topopt import SIMP, DensityFilter, Structure
from physopt.topopt.definition import Definition, Load, Support
from physopt.topopt.method.methods import solve
from physopt.topopt.method.stages import Stage, optimize

HISTORIES = {
    "falls": [3.0, 2.0, 1.5],
    "mechanism": [0.1, -0.4, -0.8, -0.9],
    "zero": [0.0, -1e-9],
    "between": [1.0, np.nan, 2.0, 1.5, np.inf, 1.2],
    "nothing": [np.nan],
}


@pytest.mark.parametrize("name", sampled(HISTORIES, ("mechanism", "between", "nothing")))
def test_every_finite_value_of_a_history_is_drawn(tmp_path, name):
    values = np.array(HISTORIES[name])
    figure = Figure()
    axis = figure.subplots()
    fields._draw_history(axis, values, "value", "solution")
    figure.savefig(tmp_path / "a.png")  # a warning would be an error
    (line,), (low, high) = axis.lines, axis.get_ylim()
    finite = values[np.isfinite(values)]
    assert ((finite >= low) & (finite <= high)).all() and (axis.get_yscale() == "linear" or finite.min() > 0.0)
    np.testing.assert_array_equal(line.get_ydata()[np.isfinite(values)], finite)
    trace = type("Trace", (), {"value": values})()
    fields.plot_design(tmp_path / "b.png", "a $x_$ [red]", np.eye(8), trace)
    with Image.open(tmp_path / "b.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert ((np.abs(pixels - [0x0B, 0x6E, 0x99]) < 20).all(axis=2).sum() > 30) == bool(len(finite) > 0)


BEAM = """
name = "beam"
shape = [12, 6]
volfrac = 0.4
[[support]]
region = [[0, 0], [0, 6]]
fix = "xy"
[[load]]
region = [[12, 3], [12, 3]]
force = [0.0, -1.0]
"""


NAMES = ["cost $x_$ {", "[red]beam[bold]", "梁 ßø", "100 % \U0001f389 :smile:", "a" * 200, "beam.v1.2"]


@pytest.mark.parametrize("name", sampled(NAMES, 6))
def test_names_are_shown_as_they_are(tmp_path, capsys, name):
    file = tmp_path / "p.toml"
    file.write_text(BEAM.replace('"beam"', f"'{name}'"))
    out = {kind: tmp_path / f"[red]out.{kind}" for kind in ("png", "gif", "stl")}
    files = ["--plot", str(out["png"]), "--gif", str(out["gif"]), "--stl", str(out["stl"]), "--vti", str(tmp_path / "vti")]
    assert main(["topopt", str(file), "--method", "mma", "--max-iterations", "3", *files]) == 3
    assert main(["topopt", "validate", str(file)]) == 0
    assert [p.name for p in (tmp_path / "vti").iterdir()] == [f"{name}.vti"]
    said = capsys.readouterr()
    assert all(path.stat().st_size > 100 and str(path) in said.out for path in out.values())
    assert name[:20] in said.out and name[:20] in said.err


@pytest.mark.parametrize("modulus", [1e-7, 1.0, 1e7, 1e11])
def test_numbers_keep_their_digits(tmp_path, capsys, modulus):
    file, report = tmp_path / "p.toml", tmp_path / "p.json"
    file.write_text(BEAM.replace("volfrac", f"E0 = {modulus}\nEmin = {1e-9 * modulus}\nvolfrac", 1))
    assert main(["topopt", str(file), "--method", "mma", "--max-iterations", "2", "--json", str(report)]) == 3
    value = json.loads(report.read_text())["records"][0]["compliance"]
    printed = capsys.readouterr().out.split()[1].rstrip(",")
    assert float(printed) == pytest.approx(value, rel=1e-5) and len(printed.split("e")[0].replace(".", "").strip("0")) >= 5


def test_what_cannot_be_written_costs_nothing_else(tmp_path, capsys):
    (tmp_path / "p.toml").write_text(BEAM)
    (tmp_path / "vti" / "beam.vti").mkdir(parents=True)
    out = {option: tmp_path / f"a.{kind}" for option, kind in (("--plot", "png"), ("--gif", "gif"), ("--stl", "stl"))}
    files = [text for option, file in out.items() for text in (option, str(file))]
    run = ["topopt", str(tmp_path / "p.toml"), "--method", "mma", "--max-iterations"]
    assert main([*run, "3", *files, "--vti", str(tmp_path / "vti")]) == 4
    assert all(file.stat().st_size > 100 for file in out.values())
    assert "beam.vti: Is a directory" in capsys.readouterr().err
    assert main([*run, "1", "--plot", str(tmp_path / "b.png"), "--stl", str(tmp_path / "b.stl")]) == 2
    assert "All densities are 0.4" in capsys.readouterr().err and (tmp_path / "b.png").exists()


@pytest.mark.parametrize("wrong", [{"gain": -1.0}, {"change": -0.1}, {"change": float("nan")}, {"solutions": 0}])
def test_wrong_numbers_are_refused_before_the_first_stage(wrong):
    definition = Definition(
        shape=[12, 6],
        volfrac=0.4,
        support=[Support(region=[[0, 0], [0, 6]], fix="xy")],
        load=[Load(region=[[12, 3], [12, 3]], force=[0.0, -1.0])],
    )
    seen = []
    with pytest.raises(ValueError, match=r"Stop\("):
        solve(definition, callback=seen.append, **wrong)
    assert not seen


def test_the_trace_holds_every_start():
    force, held = np.zeros((1, 3, 7, 4, 4)), np.zeros((3, 7, 4, 4), bool)
    force[0, 1, -1, 0, 0], held[:, 0] = -1.0, True
    problem = SIMP(Structure((6, 3, 3), force, held), 0.3, DensityFilter(1.0))
    design = optimize([Stage(problem, MMA(), 5), Stage(problem, MMA(), 9, fresh=True)], change=None)
    trace = design.trace()
    assert len(trace.value) == 10 and np.flatnonzero(np.isnan(trace.value)).tolist() == [5]
    assert [step.value for step in design.steps] == trace.value[np.isfinite(trace.value)].tolist()
    np.testing.assert_array_equal(trace.work, [1, 2, 3, 4, 5, 6, 6, 7, 8, 9])
