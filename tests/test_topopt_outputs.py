"""What a run of `physopt topopt` leaves behind: pictures, animations, and files that other programs open."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from instances import sampled
from PIL import Image
from vtk_images import read_image

from physopt.cli import main
from physopt.topopt.export import write_stl, write_vti
from physopt.topopt.surface import surface_of


def ball(n=12):
    where = np.indices((n, n, n)) - (n - 1) / 2
    return np.clip(0.5 + 0.4 * n - np.sqrt((where**2).sum(axis=0)), 0.0, 1.0)


@pytest.mark.parametrize("density", [ball(), np.tril(np.ones((20, 10)))], ids=["space", "plane"])
def test_surfaces_are_watertight_and_point_outward(tmp_path, density):
    write_stl(tmp_path / "part.stl", density)
    mesh = trimesh.load(tmp_path / "part.stl")
    assert mesh.is_watertight and mesh.is_winding_consistent
    thickness = 1.0 if density.ndim == 3 else 2.0
    assert mesh.volume == pytest.approx(thickness * density.sum(), rel=0.1)
    assert (mesh.bounds[0] >= -0.5).all() and (mesh.bounds[1] <= np.array([*density.shape, 2][:3]) + 0.5).all()


def test_nothing_has_no_surface():
    with pytest.raises(ValueError, match="no surface"):
        surface_of(np.full((4, 4), 0.3))


@pytest.mark.parametrize("shape", [(5, 4, 3), (6, 4)], ids=["space", "plane"])
def test_images_hold_the_densities(tmp_path, shape):
    density = np.random.default_rng(0).uniform(size=shape)
    image = read_image(write_vti(tmp_path / "part.vti", density))
    np.testing.assert_array_equal(image.bounds, [[0, side] for side in (*shape, 1)[:3]])
    np.testing.assert_array_equal(image.cells["density"], density.reshape((*shape, 1)[:3]))


def test_the_reader_understands_what_vtk_writes():
    # Guards the guard: this file was written by VTK 9.7, cells counted from 0 in eighths, x first.
    image = read_image(Path(__file__).parent / "golden" / "by-vtk.vti")
    np.testing.assert_array_equal(image.bounds, [[1.0, 2.5], [2.0, 3.0], [3.0, 3.5]])
    np.testing.assert_array_equal(image.cells["density"][:, :, 0], [[0.0, 0.375], [0.125, 0.5], [0.25, 0.625]])


@pytest.mark.parametrize("problem", sampled([("mbb", "24x8"), ("cantilever-3d", "12x6x6")], 2), ids=["plane", "space"])
def test_one_command_writes_everything(tmp_path, problem):
    name, shape = problem
    files = {kind: tmp_path / f"design.{kind}" for kind in ("png", "gif", "stl", "json")}
    arguments = ["topopt", name, "--shape", shape, "--max-iterations", "12", "--rmin", "1.5", "--volfrac", "0.4", "--vti", str(tmp_path)]
    arguments += ["--plot", str(files["png"]), "--gif", str(files["gif"]), "--stl", str(files["stl"]), "--json", str(files["json"])]
    assert main(arguments) == 3  # twelve solutions are not enough, and that is said
    (record,) = json.loads(files["json"].read_text())["records"]
    assert record["evaluations"] >= 12 and not record["converged"]
    history = record["history"]  # of all starts
    own = [step for step in history if step["own"]]
    assert len(history) == record["evaluations"] and min(step["value"] for step in own) == record["compliance"]
    assert np.all(np.diff([step["equivalents"] for step in history]) > 0.0)
    with Image.open(files["gif"]) as movie:
        assert movie.n_frames >= 0.9 * min(len(history), 90)
    with Image.open(files["png"]) as picture:
        assert np.ptp(np.asarray(picture)) > 200
    assert trimesh.load(files["stl"]).is_watertight
    assert (tmp_path / f"{name}.vti").stat().st_size > 500


@pytest.mark.parametrize("option", ["--plot", "--gif", "--stl"])
def test_outputs_that_cannot_be_written_are_refused_before_the_work(tmp_path, option, capsys):
    assert main(["topopt", "mbb", option, str(tmp_path / "no" / "file.png")]) == 4
    assert main(["topopt", "mbb", option, str(tmp_path / "file.xyz")]) == 2
    assert "solutions" not in capsys.readouterr().out


def test_methods_are_compared(tmp_path, capsys):
    report = tmp_path / "report.json"
    arguments = ["bench", "topopt", "mbb", "--methods", "oc,mma", "--solutions", "8", "--json", str(report)]
    assert main(arguments) == 0
    records = json.loads(report.read_text())["records"]
    assert [r["method"] for r in records] == ["oc", "mma"] and "mma" in capsys.readouterr().out
    for record in records:
        assert record["solves"] == 8 and record["volume"] <= 0.5005
        assert set(record["solves_to"]) == {"5", "2", "1", "0.5", "0.1"}
    best = tmp_path / "best.csv"
    best.write_text("case,value\nmbb,100.0\n")
    assert main([*arguments, "--best", str(best)]) == 0
    assert all(r["solves_to"]["5"] is None for r in json.loads(report.read_text())["records"])
    best.write_text("case,compliance\nmbb,100.0\n")
    assert main([*arguments, "--best", str(best)]) == 2
    assert main(["bench", "topopt", str(tmp_path)]) == 2


def test_validation_and_the_gallery_say_what_matters(capsys):
    assert main(["topopt", "validate", "inverter"]) == 0
    assert main(["topopt", "gallery"]) == 0
    said = capsys.readouterr().out
    assert "central difference" in said and "l-bracket" in said


def test_a_method_that_refuses_is_a_failure_like_any_other(tmp_path):
    file, report = tmp_path / "two.toml", tmp_path / "report.json"
    file.write_text(
        'name = "two"\nshape = [8, 8]\nvolfrac = 0.4\nobjective = "worst"\n[[support]]\nregion = [[0, 0], [0, 8]]\nfix = "xy"\n'
        + "".join(f"[[load]]\ncase = {case}\nregion = [[8, {8 * case}], [8, {8 * case}]]\nforce = [0.0, -1.0]\n" for case in (0, 1))
    )
    assert main(["bench", "topopt", str(file), "--methods", "oc,mma", "--solutions", "5", "--json", str(report)]) == 0
    oc, mma = json.loads(report.read_text())["records"]
    assert not oc["converged"] and "use MMA" in oc["error"]
    assert mma["converged"]
