"""Problem files: what they mean, the gallery, and what is refused with which words."""

import numpy as np
import pytest

from physopt.cli import main
from physopt.topopt import half_mbb
from physopt.topopt.definition import changed, read_definition
from physopt.topopt.gallery import GALLERY

CANTILEVER = """
name = "cantilever"
shape = [24, 12]
volfrac = 0.4
rmin = 1.5
[[support]]
region = [[0, 0], [0, 12]]
fix = "xy"
[[load]]
region = [[24, 5], [24, 7]]
force = [0.0, -1.0]
[[passive]]
region = [[10, 4], [14, 8]]
density = 0.0
"""
SUPPORT = '[[support]]\nregion = [[0, 0], [0, 12]]\nfix = "xy"\n'
LOAD = "[[load]]\nregion = [[24, 5], [24, 7]]\nforce = [0.0, -1.0]\n"
MORE = {
    "support": '[[support]]\nregion = [[0, 0], [0, 2]]\nfix = "xy"\n',
    "load": "[[load]]\nregion = [[24, 0], [24, 0]]\nforce = [1.0, 0.0]\n",
    "output": "[[output]]\nregion = [[24, 0], [24, 0]]\ndirection = [1.0, 0.0]\n",
    "spring": "[[spring]]\nregion = [[24, 0], [24, 0]]\nstiffness = [1.0, 0.0]\n",
    "passive": "[[passive]]\nregion = [[0, 0], [24, 12]]\ndensity = 0.5\n",
}
# What is written instead of what, and what the answer must say.
HOSTILE = [
    ("", "shape = [", "not TOML"),
    ("", "\x00", "not TOML"),
    ("", "region = [[0, 0], [1, 1]]", "not TOML"),
    ("", "colour = 1", "colour"),
    ("", "[[suport]]\nregion = [[0, 0], [0, 1]]", "suport"),
    ("shape = [24, 12]\n", "", "shape"),
    ("[24, 12]", "[24]", "shape"),
    ("[24, 12]", "[24, 12, 4, 4]", "shape"),
    ("[24, 12]", "[24.5, 12]", "int"),
    ("[24, 12]", '"24x12"', "array"),
    ("[24, 12]", "[-24, 12]", "empty"),
    ("[24, 12]", "[0, 12]", "empty"),
    ("[24, 12]", "[99999999, 99999999]", "smaller shape"),
    ("[24, 12]", "[24, 99999999999999999999]", "shape"),
    ("[24, 12]", "[20, 12]", "not in the box"),
    ("[24, 12]", "[24, 12, 4]", "3 coordinates"),
    ("volfrac = 0.4\n", "", "volfrac"),
    ("volfrac = 0.4", "volfrac = 0.0", "volfrac"),
    ("volfrac = 0.4", "volfrac = 1.5", "volfrac"),
    ("volfrac = 0.4", "volfrac = -0.4", "volfrac"),
    ("volfrac = 0.4", "volfrac = nan", "volfrac"),
    ("volfrac = 0.4", 'volfrac = "half"', "volfrac"),
    ("rmin = 1.5", "rmin = -1", "rmin"),
    ("rmin = 1.5", "rmin = inf", "rmin"),
    ("rmin = 1.5", "penal = 0.5", "penal"),
    ("rmin = 1.5", "penal = nan", "penal"),
    ("rmin = 1.5", 'filter = "gaussian"', "filter"),
    ("rmin = 1.5", "beta = -2", "beta"),
    ("rmin = 1.5", 'beta = 4\nfilter = "sensitivity"', "density filter"),
    ("rmin = 1.5", "nu = 0.5", "nu"),
    ("rmin = 1.5", "Emin = 2.0", "Emin"),
    ("rmin = 1.5", "E0 = 0", "E0"),
    ("rmin = 1.5", 'mirror = "z"', "mirror"),
    ("rmin = 1.5", 'physics = "magnetic"', "physics"),
    ("rmin = 1.5", 'physics = "heat"', "letters"),
    ("rmin = 1.5", 'objective = "output"', "output"),
    ("rmin = 1.5", "weights = [1.0, 2.0]", "1 load cases"),
    ("rmin = 1.5", 'weights = [1.0]\nobjective = "worst"', "weights"),
    (SUPPORT, "", "Nothing is held"),
    (LOAD, "", "Nothing is loaded"),
    ('fix = "xy"', 'fix = "x"', "rigid motion"),
    ('fix = "xy"', 'fix = "y"', "rigid motion"),
    ('fix = "xy"', 'fix = "xx"', "letters"),
    ('fix = "xy"', 'fix = ""', "fix"),
    ('fix = "xy"', 'fix = "xyz"', "letters"),
    ("[[0, 0], [0, 12]]", "[[0, 0], [0, 0]]", "rigid motion"),
    ("[[0, 0], [0, 12]]", "[[0, 12], [0, 0]]", "lower corner first"),
    ("[[0, 0], [0, 12]]", "[[-1, 0], [0, 12]]", "not in the box"),
    ("[[0, 0], [0, 12]]", "[[0, 0]]", "region"),
    ("[0.0, -1.0]", "[0.0, 0.0]", "no finite force"),
    ("[0.0, -1.0]", "[0.0, nan]", "finite"),
    ("[0.0, -1.0]", "[-1.0]", "components"),
    ("[0.0, -1.0]", "[0.0, 1e300]", "finite"),
    ("[[24, 5], [24, 7]]", "[[0, 5], [0, 7]]", "no finite force"),
    ("[[24, 5], [24, 7]]", "[[12, 6], [12, 6]]", "prescribed void only"),
    ("[[load]]\n", "[[load]]\ncase = 1\n", "without a gap"),
    ("[[load]]\n", "[[load]]\ncase = -1\n", "case"),
    ("[[10, 4], [14, 8]]", "[[10, 0], [14, 12]]", "cuts load case 0 off"),
    ("[[10, 4], [14, 8]]", "[[10, 4], [10, 8]]", "no element"),
    ("[[10, 4], [14, 8]]", "[[0, 0], [24, 12]]", "void only"),
    ("density = 0.0", "density = 2.0", "density"),
    ("", MORE["passive"], "nothing to design"),
    ("", "[[passive]]\nregion = [[0, 0], [24, 8]]\ndensity = 1.0\n", "passive elements"),
    ("", MORE["output"], "mechanism"),
    ("", MORE["spring"].replace("[1.0, 0.0]", "[-1.0, 0.0]"), "stiffness"),
]


def written(tmp_path, text):
    file = tmp_path / "problem.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(("old", "new", "message"), HOSTILE, ids=range(len(HOSTILE)))
def test_ill_posed_files_are_refused_in_plain_words(tmp_path, capsys, old, new, message):
    text = CANTILEVER.replace(old, new) if old else CANTILEVER + new
    assert text != CANTILEVER
    assert main(["topopt", str(written(tmp_path, text)), "--max-iterations", "2"]) == 2
    said = capsys.readouterr().err
    assert message in " ".join(said.split()) and "Traceback" not in said and "defect" not in said


def test_files_that_are_none(tmp_path, capsys):
    big = tmp_path / "big.toml"
    big.write_text("#" * 2_000_000)
    deep = tmp_path / "deep.toml"
    deep.write_text("x = " + "[" * 5000 + "]" * 5000)
    for name in (tmp_path, big, deep, "no-such-problem"):
        assert main(["topopt", str(name)]) == 2
    assert main(["topopt", str(tmp_path / "missing.toml")]) == 4
    assert main(["topopt", str(written(tmp_path, CANTILEVER)), "--shape", "4x4"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_file_is_what_it_says(tmp_path):
    definition = read_definition(written(tmp_path, CANTILEVER))
    structure, problem = definition.structure(), definition.problem()
    assert structure.held[:, 0].all() and structure.held.sum() == 2 * 13
    np.testing.assert_allclose(structure.force[0, 1, 24, 5:8], -1.0 / 3.0)
    assert structure.force.sum() == pytest.approx(-1.0)
    np.testing.assert_array_equal(problem.density(problem.init())[10:14, 4:8], 0.0)
    assert problem.density(problem.init()).mean() == pytest.approx(0.4)
    assert changed(definition, {"volfrac": 0.3}).problem().volfrac == 0.3


def test_loads_of_one_case_act_together_and_cases_one_by_one(tmp_path):
    together = read_definition(written(tmp_path, CANTILEVER + MORE["load"])).structure()
    apart = read_definition(written(tmp_path, CANTILEVER + MORE["load"] + "case = 1\n")).structure()
    np.testing.assert_allclose(together.force[0], apart.force.sum(axis=0))
    assert len(apart.force) == 2


def test_moduli_scale_the_compliance(tmp_path):
    definition = read_definition(written(tmp_path, CANTILEVER))
    soft, stiff = (changed(definition, {"E0": e, "Emin": 1e-9 * e}).problem() for e in (1.0, 210.0))
    point = soft.init()
    assert soft.evaluate(point).value == pytest.approx(210.0 * stiff.evaluate(point).value, rel=1e-10)


def test_the_gallery_holds_the_published_beam():
    beam, known = GALLERY["mbb"]().structure(), half_mbb((60, 20))
    np.testing.assert_array_equal(beam.force, known.force)
    np.testing.assert_array_equal(beam.held, known.held)


@pytest.mark.parametrize("name", GALLERY)
def test_problems_of_the_gallery_can_be_solved(name):
    small = (16, 8, 8) if name.endswith("3d") else (16, 12)
    definition = GALLERY[name](small)
    assert definition.source and definition.name == name
    problem = definition.problem()
    evaluation = problem.evaluate(problem.init())
    assert np.isfinite(evaluation.value) and (evaluation.grad != 0.0).any()
    with pytest.raises(ValueError, match="numbers of at least 4"):
        GALLERY[name]((16,))
