"""Where material may be, from pictures, arrays and solid models: what they mean, and what is refused with which words."""

import json
import pickle

import numpy as np
import pytest
import trimesh
from instances import sampled
from PIL import Image

from physopt.cli import main
from physopt.topopt.definition import read_definition
from physopt.topopt.method.methods import METHODS, solve
from physopt.topopt.multilevel import coarser
from physopt.topopt.space import Space

PLANE = """
shape = [24, 12]
volfrac = 0.3
rmin = 2.4
[space]
mask = "part.png"
[[support]]
region = [[0, 0], [0, 12]]
fix = "xy"
[[load]]
region = [[24, 0], [24, 3]]
force = [0.0, -1.0]
"""
SOLID = """
shape = [16, 8, 8]
volfrac = 0.2
rmin = 1.5
[space]
stl = "part.stl"
[[support]]
region = [[0, 0, 0], [0, 8, 8]]
fix = "xyz"
[[load]]
region = [[16, 0, 0], [16, 8, 8]]
force = [0.0, -1.0, 0.0]
"""


def l_shape():
    """Return where a bracket of 24 x 12 may be: not at its upper right."""
    space = np.ones((24, 12), bool)
    space[10:, 6:] = False
    return space


def saved(file, space, zoom=1, levels=(255, 0), mode="L"):
    """Write a picture that is dark in the space, in `zoom` pixels for each element."""
    pixels = np.where(np.repeat(np.repeat(space.T[::-1], zoom, 0), zoom, 1), levels[1], levels[0])
    Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(file)


def posed(folder, text=PLANE):
    """Return the definition of a problem file with an L in a picture beside it."""
    if not (folder / "part.png").exists():
        saved(folder / "part.png", l_shape())
    file = folder / "problem.toml"
    file.write_text(text)
    return read_definition(file)


@pytest.mark.parametrize("zoom", [1, 3, 10])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_pictures_are_dark_where_material_may_be(tmp_path, mode, zoom):
    saved(tmp_path / "part.png", l_shape(), zoom, mode=mode)
    np.testing.assert_array_equal(np.isnan(posed(tmp_path).prescribed()), l_shape())


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "bmp", "npy"])
def test_other_files_say_the_same(tmp_path, ending):
    file = tmp_path / f"part.{ending}"
    np.save(file, l_shape().astype(float)) if ending == "npy" else saved(file, l_shape(), 16)
    np.testing.assert_array_equal(np.isnan(Space(mask=str(file)).prescribed((24, 12))), l_shape())


def test_sixteen_bits_and_transparency_are_understood(tmp_path):
    dark = np.where(l_shape().T[::-1], 20000, 60000).astype(np.uint16)
    Image.fromarray(dark).save(tmp_path / "deep.png")
    clear = np.zeros((12, 24, 4), np.uint8)  # black, and transparent but for the space
    clear[..., 3] = np.where(l_shape().T[::-1], 255, 0)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    for name in ("deep.png", "clear.png"):
        np.testing.assert_array_equal(np.isnan(Space(mask=str(tmp_path / name)).prescribed((24, 12))), l_shape())


def test_an_element_is_what_most_of_it_is(tmp_path):
    pixels = np.full((4, 8), 255, np.uint8)
    pixels[:, :3] = 0  # three quarters of the left elements
    Image.fromarray(pixels).save(tmp_path / "part.png")
    for shape, wide in ({(2, 1): 1, (4, 2): 1, (8, 4): 3, (16, 8): 6}).items():
        assert np.isnan(Space(mask=str(tmp_path / "part.png")).prescribed(shape)).sum(axis=0)[0] == wide


def test_later_words_overwrite_earlier_ones(tmp_path):
    frame = np.zeros((24, 12), bool)
    frame[:, :8] = np.indices((24, 8))[0] > 20
    np.save(tmp_path / "frame.npy", frame)
    text = PLANE.replace('"part.png"', '"part.png"\nsolid = "frame.npy"')
    text += "[[passive]]\nregion = [[22, 0], [24, 12]]\ndensity = 0.5\n"
    prescribed = posed(tmp_path, text).prescribed()
    assert (prescribed[22:] == 0.5).all()
    assert (prescribed[21:22][frame[21:22]] == 1.0).all() and (prescribed[21, 8:] == 0.0).all()
    assert (prescribed[10:21, 6:] == 0.0).all() and np.isnan(prescribed[:10]).all()


def test_loads_and_supports_act_on_material_only(tmp_path):
    text = PLANE.replace("[[24, 0], [24, 3]]", "[[23, 0], [24, 12]]").replace("[[0, 0], [0, 12]]", "[[10, 6], [12, 12]]")
    structure = posed(tmp_path, text).structure()
    np.testing.assert_allclose(structure.force[0, 1, 23:, :7], -1.0 / 14.0)
    assert (structure.force[0, 1, 23:, 7:] == 0.0).all()
    assert structure.held[:, 10].sum() == 2 * 7 and structure.held[:, 11:].sum() == 2 * 2


@pytest.mark.parametrize("method", sampled(METHODS, ("oc", "mma", "physopt")))
def test_every_method_keeps_to_the_space(tmp_path, method):
    definition = posed(tmp_path)
    assert coarser(definition.problem()) is not None
    design = solve(definition, method, solutions=6)
    assert (design.density[~l_shape()] == 0.0).all()
    assert 0.29 < design.density.mean() < 0.3 + 1e-6  # MMA comes to it from below
    assert np.isfinite(design.solution.evaluation.value)


def test_one_command_from_a_model_to_a_part(tmp_path):
    trimesh.creation.cylinder(1.0, 4.0).apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [0, 1, 0])).export(
        tmp_path / "part.stl"
    )
    (tmp_path / "problem.toml").write_text(SOLID)
    report, stl = tmp_path / "report.json", tmp_path / "design.stl"
    arguments = ["topopt", str(tmp_path / "problem.toml"), "--method", "oc", "--max-iterations", "8", "--json", str(report)]
    assert main([*arguments, "--stl", str(stl)]) in (0, 3)
    (record,) = json.loads(report.read_text())["records"]
    assert record["volume"] == pytest.approx(0.2, abs=1e-6) and record["compliance"] < 1e4
    assert trimesh.load(stl).is_watertight


def opened(mesh):
    mesh.update_faces(np.arange(len(mesh.faces)) > 0)
    return mesh


def exported(mesh):
    return trimesh.exchange.stl.export_stl(mesh)


def picture(folder, pixels):
    Image.fromarray(pixels).save(folder / "made.png")
    return (folder / "made.png").read_bytes()


def array(folder, values):
    np.save(folder / "made.npy", values, allow_pickle=True)
    return (folder / "made.npy").read_bytes()


BOX = trimesh.creation.box
# The name of a file, its bytes, and what the answer must say.
HOSTILE = {
    "missing": ("none.png", None, "no such file"),
    "ending": ("part.gif", b"GIF89a", "masks end in"),
    "surface": ("part.stl", b"", 'stl = "..."'),
    "empty picture": ("hostile.png", b"", "PNG, JPEG or BMP"),
    "no picture": ("hostile.png", b"%!PS-Adobe-3.0 EPSF-3.0\n", "PNG, JPEG or BMP"),
    "cut picture": (
        "hostile.png",
        lambda f: picture(f, np.eye(12, 24, dtype=np.uint8) * np.arange(24, dtype=np.uint8))[:60],
        "cannot be read",
    ),
    "bomb": ("hostile.png", lambda f: bomb(), "cannot be read"),
    "white picture": ("hostile.png", lambda f: picture(f, np.full((12, 24), 255, np.uint8)), "darker than 1/2"),
    "distorted picture": ("hostile.png", lambda f: picture(f, np.zeros((24, 24), np.uint8)), "write shape = [24, 24]"),
    "empty array": ("hostile.npy", b"", "not an array"),
    "pickle": ("hostile.npy", pickle.dumps(print), "not an array"),
    "objects": ("hostile.npy", lambda f: array(f, np.array([[print]])), "not an array"),
    "promise": ("hostile.npy", lambda f: array(f, np.ones((24, 12))).replace(b"(24, 12), }    ", b"(24, 120000), }"), "not an array"),
    "long": ("hostile.npy", lambda f: array(f, np.ones((24, 12)))[:-8], "not an array"),
    "other shape": ("hostile.npy", lambda f: array(f, np.ones((12, 24))), "shape [12, 24]"),
    "text": ("hostile.npy", lambda f: array(f, np.full((24, 12), "x")), "holds <U1"),
    "complex": ("hostile.npy", lambda f: array(f, np.full((24, 12), 1j)), "holds complex"),
    "not finite": ("hostile.npy", lambda f: array(f, np.full((24, 12), np.nan)), "not finite"),
    "zeros": ("hostile.npy", lambda f: array(f, np.zeros((24, 12))), "nonzero"),
}
MODELS_REFUSED = {
    "missing": ("none.stl", None, "no such file"),
    "empty": ("hostile.stl", b"", "no triangle"),
    "garbage": ("hostile.stl", b"\xff" * 500, "no triangle"),
    "text": ("hostile.stl", b"solid x\nfacet\nouter loop\nvertex 0 0 0\nvertex 1 0\nendsolid x\n", "STL"),
    "open": ("hostile.stl", lambda f: exported(opened(BOX())), "3 of its edges"),
    "flat": ("hostile.stl", lambda f: exported(BOX((1, 1, 0))), "no volume"),
    "thin": ("hostile.stl", lambda f: exported(BOX((100, 1, 1))), "finer shape"),
    "not finite": ("hostile.stl", lambda f: exported(BOX((np.nan, 1, 1))), "hostile.stl"),
}


def bomb():
    """Return a picture of few bytes that claims a billion pixels."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 40000, 25000, 8, 0, 0, 0, 0)) + chunk(b"IEND", b"")


def refused(folder, capsys, text, name, content):
    (folder / "problem.toml").write_text(text)
    if content is not None:
        (folder / name).write_bytes(content(folder) if callable(content) else content)
    code = main(["topopt", str(folder / "problem.toml"), "--max-iterations", "2"])
    said = " ".join(capsys.readouterr().err.split())
    assert "Traceback" not in said and "defect" not in said
    assert code == (4 if content is None else 2)
    return said


@pytest.mark.parametrize("case", HOSTILE)
def test_masks_that_say_nothing_are_refused(tmp_path, capsys, case):
    name, content, message = HOSTILE[case]
    assert message in refused(tmp_path, capsys, PLANE.replace("part.png", name), name, content)


@pytest.mark.parametrize("case", MODELS_REFUSED)
def test_models_that_are_not_solid_are_refused(tmp_path, capsys, case):
    name, content, message = MODELS_REFUSED[case]
    assert message in refused(tmp_path, capsys, SOLID.replace("part.stl", name), name, content)


WORDS = [
    ('mask = "part.png"', "", "names no file"),
    ('mask = "part.png"', 'mask = "part.png"\nstl = "part.png"', "write one of them"),
    ('mask = "part.png"', 'stl = "part.png"', "three numbers"),
    ('mask = "part.png"', 'mask = ""', "mask"),
    ('mask = "part.png"', "mask = 3", "mask"),
    ('mask = "part.png"', 'picture = "part.png"', "picture"),
    ('mask = "part.png"', 'mask = "part.png"\nsolid = "part.png"', "nothing to design"),
    ("[24, 12]\n", "[24, 12, 4]\n", "is flat"),
    ("volfrac = 0.3", "volfrac = 0.9", "can be filled"),
    ("[[24, 0], [24, 3]]", "[[24, 8], [24, 12]]", "[[24, 8], [24, 12]] of load 0 holds prescribed void only"),
    ("[[0, 0], [0, 12]]", "[[12, 8], [24, 12]]", "of support 0 holds prescribed void only"),
]


@pytest.mark.parametrize(("old", "new", "message"), WORDS, ids=range(len(WORDS)))
def test_spaces_that_make_no_sense_are_refused(tmp_path, capsys, old, new, message):
    saved(tmp_path / "part.png", l_shape())
    assert old in PLANE
    assert message in refused(tmp_path, capsys, PLANE.replace(old, new), "unused", b"")


def test_pieces_without_support_are_refused(tmp_path, capsys):
    space = l_shape()
    space[14:16] = False
    saved(tmp_path / "part.png", space)
    assert "cuts load case 0 off" in refused(tmp_path, capsys, PLANE, "unused", b"")
