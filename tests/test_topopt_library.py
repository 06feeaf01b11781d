"""The library of solved designs: what a start from it keeps, and what may lie in its folder."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from physopt.cli import main
from physopt.topopt.definition import changed
from physopt.topopt.gallery import GALLERY
from physopt.topopt.library import Library
from physopt.topopt.method.methods import solve_near
from physopt.topopt.method.near import near_rule
from physopt.topopt.task import softness, task_of, transferred

BEAM = changed(GALLERY["mbb"]((48, 16)), {"rmin": 3.0})


def task(definition):
    return task_of(definition, definition.problem())


def uniform(definition):
    return definition.problem().init()


def loaded(y, force=(0.0, -1.0)):
    return changed(GALLERY["cantilever"]((48, 32)), {"load": [{"region": [[48, y], [48, y]], "force": list(force)}]})


@pytest.mark.parametrize("name", ["mbb", "bridge", "l-bracket", "heat-sink", "inverter", "cantilever-3d"])
@pytest.mark.parametrize("blur", [0.0, 3.0])
def test_a_start_keeps_volume_bounds_and_passive_elements(name, blur):
    shape = (16, 8, 8) if name.endswith("3d") else (32, 20)
    definition = GALLERY[name](shape)
    problem = definition.problem()
    density = np.random.default_rng(0).uniform(size=[n + 3 for n in shape]).round()
    design = transferred(problem, density, blur)
    assert (design >= problem.lower).all() and (design <= problem.upper).all()
    assert problem.density(design).mean() == pytest.approx(definition.volfrac, rel=1e-6)
    fixed = problem.lower == problem.upper
    np.testing.assert_array_equal(design[fixed], problem.lower[fixed])


def test_the_distance_is_one_and_says_what_its_documentation_says():
    here = task(BEAM)
    assert here.apart(here) == (0.0, 0.0)
    more = changed(BEAM, {"volfrac": 0.55})
    assert here.apart(task(more)) == pytest.approx((0.0, math.log(1.1)))
    assert task(more).apart(here) == here.apart(task(more))
    # The same box in finer elements is nearly the same task; an eighth of its side or more away, a load has another one.
    finer = changed(GALLERY["mbb"]((96, 32)), {"rmin": 6.0})
    assert here.apart(task(finer))[1] == pytest.approx(0.1 * math.log(2.0), abs=0.03)
    straight, turned = (task(loaded(16, (math.sin(angle), -math.cos(angle)))) for angle in (0.0, 0.1))
    assert straight.apart(turned)[0] == pytest.approx(0.1, rel=1e-3)
    assert straight.apart(task(loaded(17)))[0] == pytest.approx(5.7 / 32.0, rel=0.05)
    assert softness(0.0, 3.0) == 0.0 and softness(9.0, 3.0) == 6.0


@pytest.mark.parametrize("change", [{"objective": "worst"}, {"filter": "sensitivity"}, {"nu": 0.2}, {"mirror": "x"}])
def test_other_kinds_do_not_compare(tmp_path, change):
    library = Library(tmp_path)
    library.add(BEAM, uniform(BEAM), 1.0)
    assert library.start(BEAM) is not None
    assert library.start(changed(BEAM, change)) is None
    assert library.start(GALLERY["heat-sink"]((48, 16))) is None


def test_the_same_definition_gets_its_own_design_back(tmp_path):
    library = Library(tmp_path / "made" / "here")
    first, nothing = solve_near(library, BEAM, "mma-multilevel", gain=1e-3)
    again, start = solve_near(library, BEAM, gain=1e-3)
    assert nothing is None and first.settled
    assert start is not None and start.distance == 0.0
    np.testing.assert_array_equal(start.design, first.solution.point)
    assert again.steps[0].value == pytest.approx(start.entry.value)
    assert again.solution.evaluation.value <= start.entry.value
    assert again.settled and len(again.steps) <= 25  # a window of 20 that gains nothing, and a few


def test_a_neighbor_makes_the_next_solution_cheaper(tmp_path):
    library = Library(tmp_path)
    definition = changed(BEAM, {"volfrac": 0.46})
    cold, _ = solve_near(Library(tmp_path / "empty"), definition, "mma-multilevel", solutions=60, change=None, gain=0.0)
    solve_near(library, BEAM, "mma-multilevel")
    near, start = solve_near(library, definition, solutions=30, change=None, gain=0.0)
    assert start is not None and start.entry.definition["volfrac"] == 0.5
    goal = 1.01 * min(step.value for step in cold.steps if step.own)
    solves = [next(s.equivalents for s in run.steps if s.own and s.value <= goal) for run in (near, cold)]
    assert solves[0] < solves[1]


def test_the_nearest_is_taken_then_the_lowest_and_nothing_too_far(tmp_path):
    library = Library(tmp_path)
    for volfrac, value in ((0.4, 1.0), (0.48, 3.0), (0.48, 2.0)):
        entry = changed(BEAM, {"volfrac": volfrac})
        library.add(entry, uniform(entry), value)
    start = library.start(BEAM)
    assert start.entry.value == 2.0 and start.entry.definition["volfrac"] == 0.48
    assert library.start(changed(BEAM, {"volfrac": 0.1})) is None
    assert Library(tmp_path / "none").start(BEAM) is None


def test_mechanisms_begin_afresh(tmp_path):
    inverter = GALLERY["inverter"]()
    Library(tmp_path).add(inverter, uniform(inverter), 1.0)
    assert Library(tmp_path).start(inverter) is None


def test_rules_fit_their_problems():
    assert type(near_rule(BEAM.problem())).__name__ == "Guard"
    assert type(near_rule(changed(BEAM, {"filter": "sensitivity"}).problem())).__name__ == "OptimalityCriteria"
    assert type(near_rule(GALLERY["inverter"]().problem())).__name__ == "MMA"


@pytest.mark.parametrize("content", ["empty", "text", "cut", "foreign", "nan", "pickle", "schema", "later"])
def test_files_that_are_no_designs_are_skipped_with_a_warning(tmp_path, content):
    library = Library(tmp_path)
    good = library.add(BEAM, uniform(BEAM), 1.0)
    bad = tmp_path / "bad.design.npz"
    raw, stored = good.read_bytes(), dict(np.load(good))
    about = json.loads(stored["about"].tobytes())
    if content in ("empty", "text", "cut"):
        bad.write_bytes({"empty": b"", "text": b"hello", "cut": raw[: len(raw) // 2]}[content])
    elif content == "foreign":
        np.savez(bad, points=np.ones(3))
    elif content == "pickle":
        np.savez(bad, **stored | {"layout": np.array([{"a": 1}], object)})
    elif content == "later":  # found out only when the design is wanted
        np.savez(bad, **stored | {"design": np.full((48, 16), np.nan)})
    else:
        about |= {"value": "low"} if content == "nan" else {"schema": 99}
        np.savez(bad, **stored | {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)})
    (tmp_path / "notes.txt").write_text("not looked at")
    if content == "later":
        good.unlink()
        with pytest.warns(UserWarning, match="its design is no array"):
            assert library.start(BEAM) is None
    else:
        with pytest.warns(UserWarning, match=r"bad\.design\.npz: is no design"):
            assert library.start(BEAM).entry.file == good


def test_what_cannot_be_kept_is_refused(tmp_path):
    with pytest.raises(ValueError, match="all finite"):
        Library(tmp_path).add(BEAM, np.full((48, 16), np.nan), 1.0)
    with pytest.raises(ValueError, match="shape"):
        Library(tmp_path).add(BEAM, np.ones((4, 4)), 1.0)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="Name a folder"):
        Library(tmp_path / "file")


def test_processes_add_at_once(tmp_path):
    script = (
        "import sys\nfrom physopt.topopt.gallery import mbb\nfrom physopt.topopt.library import Library\n"
        "beam, library = mbb((8, 4)), Library(sys.argv[1])\n"
        "for value in range(20): library.add(beam, beam.problem().init(), float(value)); library.entries()\n"
    )
    command = [sys.executable, "-W", "error", "-c", script, str(tmp_path / "library")]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    entries = Library(tmp_path / "library").entries()
    assert sorted(entry.value for entry in entries) == sorted(2 * [float(value) for value in range(20)])
    assert all(file.suffix == ".npz" for file in (tmp_path / "library").iterdir())


@pytest.mark.slow
def test_the_command_line_remembers(tmp_path, capsys):
    arguments = ["topopt", "mbb", "--shape", "24x8", "--library", str(tmp_path / "library")]
    assert main(arguments) == 0
    assert "start" not in capsys.readouterr().out
    report = tmp_path / "report.json"
    assert main([*arguments, "--volfrac", "0.45", "--json", str(report)]) == 0
    assert "starting from mbb" in capsys.readouterr().out
    (record,) = json.loads(report.read_text())["records"]
    assert record["start_distance"] == pytest.approx(math.log(0.5 / 0.45))
    assert len(Library(tmp_path / "library").entries()) == 2
    assert main([*arguments, "--record", str(tmp_path / "run"), "--resume"]) == 2
