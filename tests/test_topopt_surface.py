"""What comes out of topology optimization, judged by trimesh, a reader of VTK files, Matplotlib and Pillow: volume, bodies, place, hand."""

import json

import numpy as np
import pytest
import scipy.ndimage
import trimesh
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import proj3d
from vtk_images import read_image

from physopt.cli import main
from physopt.plot import fields
from physopt.plot.scf import flattest
from physopt.topopt import SIMP, DensityFilter, Structure
from physopt.topopt.export import write_stl, write_vti
from physopt.topopt.outcome import concerns, outcome_of
from physopt.topopt.surface import Surface, surface_of, thickness
from physopt.topopt.voxels import Placement


def blurred(seed, *shape):
    field = scipy.ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 1.4)
    return (field - field.min()) / np.ptp(field)


def boxes(shape, *corners, value=1.0):
    density = np.zeros(shape)
    for low, high in corners:
        density[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = value
    return density


HOLLOW = boxes((12, 12, 12), ((1, 1, 1), (11, 11, 11))) - boxes((12, 12, 12), ((4, 4, 4), (8, 8, 8)))
# The density, and how many bodies it has; `None` where only trimesh knows.
DESIGNS = {
    **{f"blurred {seed}": (blurred(seed, 14, 12, 10), None) for seed in range(4)},
    **{f"plane {seed}": (blurred(seed, 40, 24), None) for seed in range(4)},
    "gray": (blurred(9, 12, 8, 8) * 0.4, None),
    "box": (boxes((6, 5, 4), ((0, 0, 0), (5, 5, 4))), 1),
    "apart": (boxes((9, 4, 4), ((0, 0, 0), (4, 4, 4)), ((5, 0, 0), (9, 4, 4))), 2),
    "at a corner": (boxes((8, 8, 8), ((0, 0, 0), (4, 4, 4)), ((4, 4, 4), (8, 8, 8))), 2),
    "at an edge of a plane": (boxes((20, 20), ((0, 0), (10, 10)), ((10, 10), (20, 20))), 1),
    "hollow": (HOLLOW, 1),
    "nested": (HOLLOW + boxes((12, 12, 12), ((5, 5, 5), (7, 7, 7))), 2),
}


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("place", [Placement(), Placement((120.5, -33.0, 1000.0), 0.37)], ids=["elements", "millimetres"])
def test_surfaces_have_the_volume_and_the_bodies_that_are_said(tmp_path, name, place):
    density, bodies = DESIGNS[name]
    found = surface_of(density)
    write_stl(tmp_path / "part.stl", density, place=place)
    mesh = trimesh.load(tmp_path / "part.stl")
    assert mesh.is_watertight and mesh.is_winding_consistent
    outer = [part for part in mesh.split(only_watertight=False) if part.volume > 0.0]  # others are cavities
    assert found.pieces == len(outer) and bodies in (None, len(outer))
    thick = thickness(density.shape) if density.ndim == 2 else 1
    assert mesh.volume == pytest.approx(density.sum() * thick * place.size**3, rel=5e-3)
    assert found.volume == pytest.approx(mesh.volume / place.size**3, rel=1e-4)
    size = np.array([*density.shape, thick][:3])
    low, high = (mesh.bounds - np.array(place.origin)) / place.size
    assert (low > -1e-3).all() and (high < size + 1e-3).all()  # nothing stands out of the box


def test_bodies_can_be_left_out(tmp_path):
    density, _ = DESIGNS["nested"]
    found = surface_of(density)
    outer = found.within[2, 2, 2]
    kept = found.only({int(outer)})
    write_stl(tmp_path / "part.stl", kept)
    write_stl(tmp_path / "whole.stl", found)
    mesh, whole = (trimesh.load(tmp_path / f"{name}.stl") for name in ("part", "whole"))
    assert mesh.is_watertight and kept.pieces == 1 and not kept.within[6, 6, 6]
    assert len(mesh.split(only_watertight=False)) == 2  # with its cavity
    assert found.volume - kept.volume == pytest.approx(min(abs(part.volume) for part in whole.split()), rel=1e-3)


def test_what_has_no_surface_is_refused(tmp_path):
    with pytest.raises(ValueError, match="All densities are"):
        surface_of(np.full((4, 4, 4), 0.3))
    with pytest.raises(ValueError, match="single precision"):
        write_stl(tmp_path / "far.stl", HOLLOW, place=Placement((1e6, 0.0, 0.0), 0.01))
    assert not list(tmp_path.iterdir())


def bar(shape=(12, 6, 6)):
    """Return a problem whose load and support are far apart, at the lower corners of both ends."""
    force, held = np.zeros((1, 3, *(n + 1 for n in shape))), np.zeros((3, *(n + 1 for n in shape)), bool)
    force[0, 1, -1, 0, 0], held[:, 0, :3, :3] = -1.0, True
    return SIMP(Structure(shape, force, held), 0.3, DensityFilter(1.0))


LOOSE = {
    "joined": ([((0, 0, 0), (12, 2, 2))], 1, 1, []),
    "with a crumb": ([((0, 0, 0), (12, 2, 2)), ((5, 4, 4), (7, 6, 6))], 2, 1, ["1 of which carry no load", "--drop-loose"]),
    "with two crumbs": ([((0, 0, 0), (12, 2, 2)), ((0, 4, 4), (2, 6, 6)), ((8, 4, 4), (9, 6, 6))], 3, 1, ["2 of which carry no load"]),
    "broken": ([((0, 0, 0), (6, 2, 2)), ((7, 0, 0), (12, 2, 2))], 2, 0, ["no piece of the surface reaches from a load"]),
    "touching at a corner": ([((0, 0, 0), (6, 2, 2)), ((6, 2, 2), (12, 4, 4))], 2, 0, ["no piece of the surface"]),
}


@pytest.mark.parametrize("name", LOOSE)
def test_pieces_that_carry_no_load_are_named(name):
    corners, pieces, carrying, words = LOOSE[name]
    problem = bar()
    found = outcome_of(problem, np.maximum(boxes((12, 6, 6), *corners), 1e-6))
    assert (found["pieces"], found["carrying"]) == (pieces, carrying)
    said = " ".join(concerns(found))
    assert all(word in said for word in words) and (bool(said) == bool(words))
    rest = outcome_of(problem, np.maximum(boxes((12, 6, 6), *corners), 1e-6), drop_loose=True)
    dropped = pieces - carrying if carrying else 0  # if nothing carries a load, all stays
    assert (rest["pieces"], rest["carrying"], rest["dropped"]) == (pieces - dropped, carrying, dropped)
    assert (f"{dropped} pieces that carry no load are left out" in " ".join(concerns(rest))) == (dropped > 0)


@pytest.mark.parametrize("reached", [0, 1, 2])
def test_loads_that_nothing_carries_are_named(reached):
    single = bar().equilibrium.structure
    force = np.repeat(single.force, 2, axis=0)
    force[1] = 0.0
    force[1, 1, -1, -1, -1] = -1.0  # the second case acts at the opposite corner
    problem = SIMP(Structure(single.shape, force, single.held), 0.3, DensityFilter(1.0))
    bars = [((0, 0, 0), (12, 2, 2)), ((10, 0, 0), (12, 6, 6))][:reached]
    found = outcome_of(problem, np.maximum(boxes((12, 6, 6), *bars, ((5, 4, 4), (7, 6, 6))), 1e-6))
    assert found["uncarried"] == 2 - reached and ("act on no piece" in " ".join(concerns(found))) == (reached == 1)


def test_greyness_and_a_volume_that_cannot_be_kept_are_said():
    gray = outcome_of(bar(), np.full((12, 6, 6), 0.3))
    assert gray["pieces"] == 0 and "no contrast" in concerns(gray)[0]
    stepped = np.full((12, 6, 6), 0.3)
    stepped[0, 0, 0] = 0.4
    said = " ".join(concerns(outcome_of(bar(), stepped)))
    assert "greyness is 0.84" in said and "encloses" in said


COLUMN = """
name = "column"
shape = [8, 8, 24]
volfrac = 0.2
[[support]]
region = [[0, 0, 0], [8, 8, 0]]
fix = "xyz"
[[load]]
region = [[4, 4, 24], [4, 4, 24]]
force = [1.0, 0.0, 0.0]
[[load]]
case = 1
region = [[4, 4, 24], [4, 4, 24]]
force = [0.0, 1.0, 0.0]
"""


COLUMN_RUNS = [
    pytest.param(["--method", "mma", "--max-iterations", "25"], None, id="unfinished"),
    pytest.param(["--drop-loose"], 1, id="finished", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("arguments", "pieces"), COLUMN_RUNS)
def test_a_column_is_printed_as_it_is_reported(tmp_path, capsys, arguments, pieces):
    (tmp_path / "column.toml").write_text(COLUMN)
    files = ["--stl", str(tmp_path / "a.stl"), "--json", str(tmp_path / "a.json")]
    assert main(["topopt", str(tmp_path / "column.toml"), *arguments, *files]) in (0, 3)
    (record,) = json.loads((tmp_path / "a.json").read_text())["records"]
    mesh = trimesh.load(tmp_path / "a.stl")
    assert len(mesh.split(only_watertight=False)) == record["pieces"]
    assert pieces in (None, record["pieces"])
    assert mesh.volume / (8 * 8 * 24) == pytest.approx(record["surface_volume"], rel=1e-3)
    assert record["surface_volume"] == pytest.approx(record["volume"], rel=5e-3 if record["dropped"] == 0 else 0.1)
    captured = capsys.readouterr()
    assert f"in {record['pieces']} piece" in captured.out and "warning: the greyness is" in captured.err
    assert ("warning: no piece of the surface" in captured.err) == (record["carrying"] == 0)
    assert ("are left out of the surface" in captured.err) == (record["dropped"] > 0)
    assert "--drop-loose leaves" not in captured.err or "--drop-loose" not in arguments


@pytest.mark.parametrize("scale", [1.0, 25.4, 0.01])
def test_what_comes_out_lies_where_the_space_was(tmp_path, scale):
    origin = np.array([100.0, -40.0, 7.0]) * scale
    part = trimesh.creation.box((40.0 * scale, 20.0 * scale, 10.0 * scale))
    part.apply_translation(origin - part.bounds[0])
    part.export(tmp_path / "part.stl")
    text = COLUMN.replace("shape = [8, 8, 24]", "shape = [16, 8, 4]").replace("volfrac = 0.2", "volfrac = 0.4")
    text = text.replace("[4, 4, 24], [4, 4, 24]", "[16, 4, 2], [16, 4, 2]").replace("[8, 8, 0]", "[0, 8, 4]")
    (tmp_path / "part.toml").write_text(text.replace("[[support]]", '[space]\nstl = "part.stl"\n[[support]]', 1))
    out = ["--stl", str(tmp_path / "out.stl"), "--vti", str(tmp_path / "out")]
    assert main(["topopt", str(tmp_path / "part.toml"), "--method", "mma", "--max-iterations", "8", *out]) == 3
    mesh = trimesh.load(tmp_path / "out.stl")
    assert (mesh.bounds[0] > part.bounds[0] - 1e-3 * scale).all() and (mesh.bounds[1] < part.bounds[1] + 1e-3 * scale).all()
    assert mesh.extents[0] == pytest.approx(40.0 * scale, rel=2e-3)  # from the support to the load
    assert mesh.volume == pytest.approx(0.4 * part.volume, rel=0.01)
    np.testing.assert_allclose(read_image(tmp_path / "out" / "column.vti").bounds, part.bounds.T, rtol=1e-6)


def test_images_have_a_place(tmp_path):
    image = read_image(write_vti(tmp_path / "p.vti", blurred(0, 5, 4, 3), Placement((1.0, 2.0, 3.0), 0.5)))
    np.testing.assert_array_equal(image.bounds, [[1.0, 3.5], [2.0, 4.0], [3.0, 4.5]])
    np.testing.assert_array_equal(image.cells["density"], blurred(0, 5, 4, 3))


@pytest.mark.parametrize("seed", range(4))
def test_pictures_in_space_are_not_mirrored(monkeypatch, seed):
    corners = np.array([[0, 0, 0], [5, 0, 0], [0, 5, 0], [0, 0, 5]], float) + np.random.default_rng(seed).uniform(0, 9, 3)
    axis = Figure().add_subplot(projection="3d")
    seen, draw = [], axis.plot_trisurf
    monkeypatch.setattr(axis, "plot_trisurf", lambda *places, **options: (seen.extend(places), draw(*places, **options)))
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    fields._draw_surface(axis, Surface(corners, faces, 0.5, np.ones(4, int), np.ones((1, 1, 1), int)))
    drawn = np.stack(seen, axis=1)
    right, up, _ = proj3d.proj_transform(*drawn.T, axis.get_proj())
    elevation, azimuth = np.radians([axis.elev, axis.azim])
    camera = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    screen = np.stack([right, up, drawn @ camera])  # right, up, towards the viewer: a right-handed frame
    x, y, z = (screen[:, k] - screen[:, 0] for k in (1, 2, 3))
    assert np.linalg.det(np.stack([x, y, z])) > 0.0
    assert x[0] > 0.0 and y[1] > 0.0 and z[2] > 0.0


@pytest.mark.parametrize("seed", range(4))
def test_pictures_of_molecules_are_not_their_mirror_images(seed):
    coords = np.random.default_rng(seed).normal(size=(5, 3))
    coords -= coords.mean(axis=0)
    turned = flattest(coords)
    volume = [np.linalg.det(c[1:4] - c[0]) for c in (coords, turned)]
    assert volume[1] == pytest.approx(volume[0])


def test_the_surface_counts_what_a_mesh_program_counts():
    assert surface_of(np.tril(np.ones((20, 10)))).pieces == 1
    assert isinstance(surface_of(HOLLOW, 0.5), Surface)
