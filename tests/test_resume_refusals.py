"""A record answers for its own problem only: resumed with one thing changed it is refused, and the thing is named, with both values."""

import dataclasses
import shutil

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import physopt
from physopt import Recording, Stop, minimize
from physopt.cli import main
from physopt.core.trajectory import ResumedElsewhereWarning, load
from physopt.core.trajectory.folder import read_manifest, write_manifest
from physopt.rules.gradient import GradientDescent
from physopt.rules.lbfgs import LBFGS
from physopt.rules.mma import MMA
from physopt.topopt import SIMP, DensityFilter, SensitivityFilter, half_mbb


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("records")


def _refused(folder, run, phrase):
    with pytest.raises(ValueError, match=phrase):
        run(Recording(folder, resume=True))


# --- topology optimization, by hand

STRUCTURE = half_mbb((12, 8))
SETTINGS = {"volfrac": 0.5, "filtering": DensityFilter(1.5)}
PASSIVE = np.full((12, 8), np.nan)
PASSIVE[3:5, 3:5] = 0.0


def _design(record, structure=STRUCTURE, rule=MMA(), **changes):
    problem = SIMP(structure, **{**SETTINGS, **changes})
    minimize(problem, rule, problem.init(), stop=Stop(max_evaluations=2), record=record)


@pytest.fixture(scope="module")
def design(home):
    _design(Recording(home / "design"))
    return home / "design"


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({"volfrac": 0.4}, "problem.volfrac was 0.5, is 0.4"),
        ({"filtering": DensityFilter(2.0)}, "filtering.rmin was 1.5, is 2.0"),
        ({"filtering": SensitivityFilter(1.5)}, "filtering.class was DensityFilter, is SensitivityFilter"),
        ({"penal": 2.0}, "problem.penal was 3.0, is 2.0"),
        ({"poisson": 0.2}, "problem.poisson was 0.3, is 0.2"),
        ({"sharpness": 4.0}, "sharpness was 0.0, is 4.0"),
        ({"softest": 1e-6}, "softest was 1e-09, is 1e-06"),
        ({"move": 0.1}, "problem.move was 0.2, is 0.1"),
        ({"passive": PASSIVE}, r"passive was float64\[12, 8\]"),
        ({"halvings": 1}, "halvings was 0, is 1"),
        ({"structure": eqx.tree_at(lambda s: s.force, STRUCTURE, 2.0 * STRUCTURE.force)}, "problem.structure.force was"),
        ({"structure": half_mbb((12, 10))}, r"structure.shape\[1\] was 8, is 10"),
        ({"rule": MMA(move=0.1)}, "rule.move was 0.5, is 0.1"),
        ({"rule": LBFGS()}, "rule.class was MMA, is LBFGS"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_another_design_problem_is_refused_by_name(design, changes, phrase):
    _refused(design, lambda record: _design(record, **changes), phrase)


def test_what_is_the_same_goes_on(design, tmp_path):
    shutil.copytree(design, tmp_path / "copy")
    problem = SIMP(half_mbb((12, 8)), 0.5, DensityFilter(1.5))
    record = Recording(tmp_path / "copy", resume=True)
    assert minimize(problem, MMA(), problem.init(), stop=Stop(change=1e-3, max_evaluations=4), record=record).num_evaluations == 4
    other = problem.init()
    other[0, 0] += 0.2
    shutil.rmtree(tmp_path / "copy")
    shutil.copytree(design, tmp_path / "copy")
    with pytest.raises(ValueError, match=r"start\.about"):
        minimize(problem, MMA(), other, record=record)


# --- topology optimization, networks and trainings, by command

PLATE = "topopt cantilever --shape 24x16 --max-iterations 2"
POISSON = "pinn network --width 3 --depth 1 --points 30 --steps 2"
COMMANDS = [
    (PLATE, "--volfrac 0.2", "volfrac was 0.4, is 0.2"),
    (PLATE, "--rmin 2", "rmin was 1.5, is 2.0"),
    (PLATE, "--penal 2", "penal was 3.0, is 2.0"),
    (PLATE, "--beta 2", "beta was 0.0, is 2.0"),
    (PLATE, "--filter sensitivity", "method was physopt, is oc; filter was density, is sensitivity"),
    (PLATE, "--method mma", "method was physopt, is mma"),
    (PLATE, "--method mma-multilevel", "method was physopt, is mma-multilevel"),
    (PLATE, "--shape 24x18", "shape was 24x16, is 24x18"),
    (POISSON, "--seed 1", "seed was 0, is 1"),
    (POISSON, "--points 31", "points was 30, is 31"),
    (POISSON, "--frequency 2", "frequency was 1, is 2"),
    (POISSON, "--width 4", "width was 3, is 4"),
    (POISSON, "--depth 2", "depth was 1, is 2"),
]


@pytest.mark.parametrize(("command", "change", "phrase"), COMMANDS, ids=[f"{c.split()[0]} {change}" for c, change, _ in COMMANDS])
def test_another_command_is_refused_by_name(home, command, change, phrase, capsys):
    record = ["--record", str(home / command.split()[0])]
    if not (home / command.split()[0]).exists():
        assert main([*command.split(), *record]) == 3  # out of budget
    kept = [word for word in command.split() if "shape" not in change or word not in ("--shape", "24x16")]
    for option in ("--width", "--depth", "--points"):
        if option in change:
            at = kept.index(option)
            del kept[at : at + 2]
    capsys.readouterr()
    assert main([*kept, *change.split(), *record, "--resume"]) == 2
    assert phrase in capsys.readouterr().err


# --- what a user writes


class Bowl(physopt.AbstractProblem):
    """A host problem: one field that says what it is, and perhaps one that does not."""

    curvature: np.ndarray
    foreign: object = None
    traceable: bool = eqx.field(default=False, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key):
        return np.ones(3)

    def evaluate(self, point):
        grad = self.curvature * point
        return physopt.Evaluation(np.float64(0.5 * grad @ point), grad, physopt.Euclidean(grad))

    def retract(self, point, step):
        return point + np.asarray(step)


class Foreign:
    pass


@dataclasses.dataclass
class Speaking:
    """An object that holds another one, and says what it is."""

    name: str

    def asked(self):
        return {"kind": self.name}


def _bowl(record, curvature=(1.0, 2.0, 3.0), foreign=None, rule=GradientDescent(0.1), budget=3):
    problem = Bowl(np.array(curvature), foreign)
    return minimize(problem, rule, problem.init(None), stop=Stop(max_evaluations=budget), record=record)


def test_problems_and_rules_of_a_user_are_compared_by_their_fields(tmp_path):
    _bowl(Recording(tmp_path / "a", asked={"mesh": "coarse"}), foreign=Speaking("iron"))
    again = Recording(tmp_path / "a", resume=True, asked={"mesh": "coarse"})
    for changes, phrase in [
        ({"curvature": (1.0, 2.0, 4.0)}, r"problem.curvature\[2\] was 3.0, is 4.0"),
        ({"foreign": Speaking("steel")}, "problem.foreign.kind was iron, is steel"),
        ({"rule": GradientDescent(0.2)}, "was 0.1, is 0.2"),
    ]:
        with pytest.raises(ValueError, match=phrase):
            _bowl(again, **{"foreign": Speaking("iron"), **changes})
    with pytest.raises(ValueError, match="mesh was coarse, is fine"):
        _bowl(dataclasses.replace(again, asked={"mesh": "fine"}), foreign=Speaking("iron"))
    assert _bowl(again, foreign=Speaking("iron"), budget=5).num_evaluations == 5


def test_what_says_nothing_of_itself_is_named_in_a_warning(tmp_path):
    _bowl(Recording(tmp_path / "a"), foreign=Foreign())
    with pytest.warns(ResumedElsewhereWarning, match=r"problem.foreign \(a Foreign\) cannot be compared.*asked\(\)"):
        _bowl(Recording(tmp_path / "a", resume=True), foreign=Foreign(), budget=5)


def test_other_versions_and_old_records_go_on_with_a_warning(tmp_path):
    _bowl(Recording(tmp_path / "a"))
    manifest = read_manifest(tmp_path / "a")
    write_manifest(tmp_path / "a", {**manifest, "versions": {**manifest["versions"], "numpy": "1.0", "scipy": "1.1"}})
    with pytest.warns(ResumedElsewhereWarning, match=r"begun with numpy 1.0 \(now .*\), scipy 1.1 \(now .*not bit for bit"):
        _bowl(Recording(tmp_path / "a", resume=True), budget=5)
    write_manifest(tmp_path / "a", {name: each for name, each in read_manifest(tmp_path / "a").items() if name not in ("asked", "leaves")})
    with pytest.warns(ResumedElsewhereWarning, match="too old to say what it was asked for"):
        _bowl(Recording(tmp_path / "a", resume=True), budget=7)
    assert load(tmp_path / "a").num_records == 7


def test_functions_are_told_apart_by_what_they_close_over():
    from physopt.core.described import describe

    def raised(power):
        return lambda x: x**power

    assert describe(raised(2)) == describe(raised(2)) != describe(raised(3))
    assert describe(lambda x: x + 1) != describe(lambda x: x + 2)
    assert describe({"b": 1, "a": jnp.arange(3.0)}) == {"a": [0.0, 1.0, 2.0], "b": 1}
