"""Coarse grids, continuation, and the learned method."""

import dataclasses
import itertools
import json

import jax
import numpy as np
import pytest

from physopt import Recording
from physopt.cli import main
from physopt.core.weights import load_weights
from physopt.rules.corrected import Corrected
from physopt.rules.mma import MMA
from physopt.rules.oc import OptimalityCriteria
from physopt.topopt import SIMP, DensityFilter, Structure
from physopt.topopt.definition import changed
from physopt.topopt.family import RandomStructures
from physopt.topopt.gallery import GALLERY
from physopt.topopt.method.methods import METHODS, multilevel, solve, stages_of
from physopt.topopt.method.schedule import HAND, Excess, Schedule, averaged, run, trained
from physopt.topopt.method.stages import Stage, optimize
from physopt.topopt.multilevel import coarser, prolonged, refined

BEAM = changed(GALLERY["mbb"]((48, 16)), {"rmin": 3.0})


@pytest.mark.parametrize("name", ["mbb", "bridge", "heat-sink", "inverter", "cantilever-3d"])
def test_a_coarser_problem_keeps_loads_volume_and_supports(name):
    shape = (16, 8, 8) if name.endswith("3d") else (48, 16)
    fine = changed(GALLERY[name](shape), {"rmin": 3.0}).problem()
    coarse = coarser(fine)
    above, below = fine.equilibrium.structure, coarse.equilibrium.structure
    axes = tuple(range(2, above.force.ndim))
    np.testing.assert_allclose(below.force.sum(axis=axes), above.force.sum(axis=axes))
    if above.spring is not None:
        assert below.spring.sum() == pytest.approx(above.spring.sum())
    assert coarse.density(coarse.init()).mean() == pytest.approx(fine.volfrac)
    assert coarse.densities.filtering.rmin == fine.densities.filtering.rmin / 2.0
    # In the plane stiffness does not depend on the size of elements: the coarse model answers nearly as the fine one does.
    if name in ("mbb", "bridge"):
        assert coarse.evaluate(coarse.init()).value == pytest.approx(fine.evaluate(fine.init()).value, rel=0.25)


def test_grids_that_cannot_be_halved():
    assert coarser(changed(BEAM, {"rmin": 1.5}).problem()) is None
    assert coarser(changed(GALLERY["mbb"]((50, 15)), {"rmin": 3.0}).problem()) is None


def test_designs_are_handed_to_the_finer_grid():
    x, y = np.meshgrid(np.arange(6.0), np.arange(4.0), indexing="ij")
    fine = prolonged(x + 2.0 * y)
    assert fine.shape == (12, 8)
    np.testing.assert_allclose(np.diff(fine[1:-1, 1:-1], axis=0), 0.5)
    np.testing.assert_allclose(np.diff(fine[1:-1, 1:-1], axis=1), 1.0)
    problem = BEAM.problem()
    design = refined(problem, np.random.default_rng(0).uniform(size=(24, 8)))
    assert problem.density(design).mean() == pytest.approx(0.5, abs=1e-3)


def test_coarse_solutions_count_by_their_share():
    problem = BEAM.problem()
    stages = multilevel(MMA(), (4,))(problem, 3)
    steps = optimize(stages, change=None).steps
    share = coarser(problem).equilibrium.structure.held.size / problem.equilibrium.structure.held.size
    np.testing.assert_allclose([s.equivalents for s in steps], [*(share * np.arange(1, 5)), *(4 * share + np.arange(1, 4))])
    assert [s.stage for s in steps] == [0] * 4 + [1] * 3
    assert [s.own for s in steps] == [False] * 4 + [True] * 3


@pytest.mark.slow  # one of a race is in `test_topopt_floor.py`
def test_a_killed_run_of_several_stages_resumes_to_the_same_bits(tmp_path):
    stages = METHODS["physopt"](BEAM.problem(), 12)
    whole = optimize(stages, gain=1e-3)
    last, count = whole.steps[-1].stage, len(whole.steps)
    assert stages[last].patience is not None and last > 3  # another start, and its end, are part of the run

    for goal in (2, count - 1):  # on the averaged grid, in the last stage
        seen = itertools.count(1)

        def die(step, seen=seen, goal=goal):
            if next(seen) == goal:
                raise InterruptedError

        folder = tmp_path / f"killed-after-{goal}"
        with pytest.raises(InterruptedError):
            optimize(stages, gain=1e-3, record=Recording(folder), callback=die)
        resumed = optimize(stages, gain=1e-3, record=Recording(folder, resume=True))
        assert resumed.steps[-1].stage == last and resumed.settled == whole.settled
        np.testing.assert_array_equal(resumed.solution.history.value, whole.solution.history.value)
        np.testing.assert_array_equal(resumed.solution.point, whole.solution.point)


@pytest.mark.slow
def test_further_starts_keep_the_lowest_design_and_end_when_they_gain_nothing():
    stages = METHODS["physopt"](BEAM.problem(), 60)
    design = optimize(stages, gain=1e-3)
    rounds = [
        (number, min(step.value for step in part))
        for number, part in itertools.groupby((step for step in design.steps if step.own), lambda step: step.stage)
    ]
    values = [value for _, value in rounds]
    assert design.settled and design.solution.evaluation.value == min(values)
    fresh = [number for number, stage in enumerate(stages) if stage.fresh and not stage.floor]
    gained = [min(values[:k]) - value > 1e-3 * value for k, (number, value) in enumerate(rounds) if number > max(fresh) + 3]
    assert gained == [True] * (len(gained) - 1) + [False]
    assert len(rounds) == 3 + len(gained)
    assert sum(step.own for step in optimize(METHODS["physopt"](BEAM.problem(), 4), gain=0.0, change=None).steps) == 4


def test_a_layout_is_found_where_six_elements_are_left_across():
    for shape, halvings in (((48, 24), [2, 1]), ((48, 22), [1, 1])):
        first = Schedule.by_hand().start(changed(GALLERY["mbb"](shape), {"rmin": 3.0}).problem(), 10)
        assert [stage.problem.equilibrium.halvings for stage in first[:-1]] == halvings
        assert len({stage.problem.equilibrium.unknowns for stage in first}) == len(set(halvings)) + 1


@pytest.mark.slow
@pytest.mark.parametrize("gain", [0.0, 1e-3])
def test_a_floor_is_for_starts_that_were_misled(gain):
    problem = BEAM.problem()
    structure = problem.equilibrium.structure
    elsewhere = SIMP(Structure(structure.shape, structure.force[:, :, ::-1], structure.held), problem.volfrac, DensityFilter(3.0))
    good = Stage(problem, MMA(), 100, patience=5)
    misled = Stage(problem, Corrected(MMA(), elsewhere, 4), 100, patience=3, fresh=True)
    sound = dataclasses.replace(misled, rule=Corrected(MMA(), averaged(problem), 4))
    floor = Stage(problem, MMA(), 100, patience=5, fresh=True, floor=True, misled=True)
    for stages, taken in (([good, misled, floor], {0, 1, 2}), ([good, sound, floor], {0, 1}), ([misled, floor], {0})):
        assert {step.stage for step in optimize(stages, gain=gain).steps} == taken


def test_continuation_comes_first():
    steps = [{"solutions": 2, "penal": 1.0}, {"solutions": 3, "beta": 2.0}]
    definition = changed(BEAM, {"beta": 4.0, "continuation": steps})
    stages = stages_of(definition, "physopt", 5)
    assert [(s.problem.penal, s.problem.densities.sharpness, s.solutions) for s in stages] == [(1.0, 4.0, 2), (3.0, 2.0, 3), (3.0, 4.0, 5)]
    assert all(s.rule.cheap.penal == s.problem.penal and s.rule.cheap.densities.sharpness == s.problem.densities.sharpness for s in stages)
    assert solve(definition, "mma", solutions=5, change=None).solution.num_evaluations == 5


@pytest.mark.slow
def test_methods_reach_one_value():
    values = {name: float(solve(BEAM, name, solutions=50, change=None).solution.evaluation.value) for name in METHODS}
    assert max(values.values()) < 1.03 * min(values.values()), values


def test_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="no method 'magic'"):
        solve(BEAM, "magic")


def test_the_shipped_schedule_is_near_the_one_by_hand():
    for name, number in trained().numbers().items():
        assert HAND[name] / 2.0 <= number <= 2.0 * HAND[name]
    assert Schedule.by_hand().numbers() == pytest.approx(HAND)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_weights_designs_are_good(seed):
    problem = BEAM.problem()
    alone = optimize([Stage(problem, MMA(), 60)], change=None)
    far = 4.0 * jax.random.normal(jax.random.key(seed), (len(HAND),))
    spoiled = optimize(Schedule(far).stages(problem, 60), change=None, callback=lambda step: step.equivalents >= 80.0)
    assert spoiled.solution.evaluation.value < 1.03 * alone.solution.evaluation.value


@pytest.mark.parametrize("name", ["mbb", "inverter", "heat-sink", "cantilever-3d", "worst"])
def test_an_averaged_grid_answers_nearly_the_same(name):
    parts = {"objective": "worst"} if name == "worst" else {}
    shape = (13, 8, 7) if name.endswith("3d") else (33, 16)
    problem = changed(GALLERY["mbb" if name == "worst" else name](shape), {"rmin": 3.0, **parts}).problem()
    cheap = averaged(problem)
    assert cheap.equilibrium.unknowns < 0.4 * problem.equilibrium.unknowns
    design = problem.init()
    near, exact = cheap.evaluate(design).model.program, problem.evaluate(design).model.program
    np.testing.assert_allclose(near.values, exact.values, rtol=0.2)
    direction = np.random.default_rng(0).uniform(-1.0, 1.0, design.shape)
    ahead, behind = (cheap.evaluate(design + h * direction).model.program.values for h in (1e-4, -1e-4))
    slopes = (near.slopes * direction).reshape(len(near.slopes), -1).sum(axis=1)
    np.testing.assert_allclose(slopes, (ahead - behind) / 2e-4, rtol=1e-4)


def test_loads_beside_supports_are_not_averaged():
    held, force = np.zeros((2, 9, 9), bool), np.zeros((1, 2, 9, 9))
    held[:, :, 0], force[0, 1, 4, 1] = True, 1.0
    assert averaged(SIMP(Structure((8, 8), force, held), 0.5, DensityFilter(2.0))) is None


def test_random_structures_can_be_solved():
    family = RandomStructures(32)
    for number in range(6):
        mu = family.sample(jax.random.key(number))
        problem = family.problem(mu)
        assert np.isfinite(problem.evaluate(problem.init()).value)
        np.testing.assert_array_equal(problem.equilibrium.structure.force, family.problem(mu).equilibrium.structure.force)
    with pytest.raises(ValueError, match="multiple of 8"):
        RandomStructures(20)


def test_the_loss_prefers_quick_and_low():
    problem = BEAM.problem()
    history = run(problem, Schedule.by_hand(), jax.random.key(0), 20)
    assert history.value.shape == (21,) and (np.diff(history.value) <= 0.0).all()
    steps = optimize([Stage(problem, OptimalityCriteria(), 20)], change=None).steps
    slow = np.minimum.accumulate([steps[0].value, *(step.value for step in steps)])
    assert Excess()(history) < Excess()(dataclasses.replace(history, value=slow))


@pytest.mark.slow
def test_training_again_gives_the_same_numbers(tmp_path):
    reports = [tmp_path / f"{number}.json" for number in range(2)]
    for report in reports:
        assert main(["train", "topopt", "--steps", "1", "--tasks", "1", "--size", "16", "--json", str(report)]) == 0
    first, again = (json.loads(report.read_text())["records"][0] for report in reports)
    assert {k: again[k] for k in HAND} == {k: first[k] for k in HAND}


@pytest.mark.slow
def test_training_from_the_command_line(tmp_path, capsys):
    out, report = tmp_path / "schedule.safetensors", tmp_path / "report.json"
    arguments = ["train", "topopt", "--steps", "1", "--tasks", "1", "--size", "16", "--out", str(out), "--json", str(report)]
    assert main([*arguments, "--record", str(tmp_path / "run")]) == 0
    (record,) = json.loads(report.read_text())["records"]
    assert set(HAND) <= set(record) and out.stat().st_size > 100
    numbers = load_weights(out, Schedule.by_hand()).numbers()
    assert {k: round(v, 4) for k, v in numbers.items()} == {k: record[k] for k in HAND} != {k: round(v, 4) for k, v in HAND.items()}
