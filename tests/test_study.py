"""A study gets cheaper with its solves, never lies about one, and costs little where nothing can be learned."""

import dataclasses

import numpy as np
import pytest
import scipy.optimize
from chains import UNKNOWNS, chain, draw, fill

from physopt import Study
from physopt.meta.starts import Folder, Solve

ZERO = np.zeros(UNKNOWNS)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A study of twelve solves, and its results."""
    told = []
    study = Study(tmp_path_factory.mktemp("chains"), log=told.append)
    return study, fill(study, 12, np.random.default_rng(0)), told


def test_a_study_gets_cheaper_and_stays_right(recorded):
    study, results, told = recorded
    cold = [r.nfev - r.recording for r in results[:4]]
    later = [r.nfev - r.recording for r in results[6:]]
    assert np.median(later) <= np.median(cold) / 4.0
    assert all(r.success for r in results) and [r.message for r in results] == told
    assert not any("HIGHER" in line for line in told)
    assert all(r.start == "cold" for r in results[:4]) and any(r.start == "tangents" for r in results[6:])
    assert f"{later[-1]} here, learned from 11 runs" in told[-1]
    assert results[-1].saved == pytest.approx(np.median([r.nfev - r.recording for r in results if r.start == "cold"]) - later[-1])
    random = np.random.default_rng(0)
    for result in results:
        task = draw(random)
        exact = scipy.optimize.minimize(chain, ZERO, args=(task,), jac=True, method="BFGS", options={"gtol": 1e-9})
        np.testing.assert_allclose(result.x, exact.x, atol=1e-5)
        assert np.linalg.norm(chain(result.x, task)[1]) <= 1e-6 * np.linalg.norm(chain(ZERO, task)[1]) * 1.5


def test_calls_are_counted_as_an_outside_meter_counts(tmp_path):
    calls = []

    def metered(x, task):
        calls.append(x)
        return chain(x, task)

    study, random = Study(tmp_path), np.random.default_rng(1)
    for _ in range(6):
        before = len(calls)
        result = study.minimize(metered, ZERO, draw(random), pass_task=True)
        assert result.nfev == len(calls) - before


def test_the_record_is_what_it_says(recorded):
    study, results, _ = recorded
    solves = Folder(study.folder.path).solves()
    assert len(solves) == 12 and [s.value for s in solves] == [r.fun for r in results]
    assert sum(s.hessian is not None for s in solves) >= 8
    random, step = np.random.default_rng(0), 1e-4
    task = draw(random)
    ahead, behind = ([chain(results[0].x + sign * step * e, task)[1] for e in np.eye(UNKNOWNS)] for sign in (1, -1))
    exact = (np.stack(ahead) - np.stack(behind)) / (2 * step)
    np.testing.assert_allclose(solves[0].hessian, exact, rtol=1e-3, atol=1e-3 * np.abs(exact).max())
    for k, name in enumerate(("load", "stiffening")):  # in the order of their names
        moved = {**task, name: task[name] + 1e-3}
        other = scipy.optimize.minimize(chain, results[0].x, args=(moved,), jac=True, method="BFGS", options={"gtol": 1e-10})
        np.testing.assert_allclose(solves[0].tangents[:, k], (other.x - results[0].x) / 1e-3, rtol=1e-2, atol=1e-3)


def test_another_process_goes_on(recorded, tmp_path):
    study, _, _ = recorded
    again = Study(study.folder.path)
    task = draw(np.random.default_rng(2))
    result = again.minimize(chain, ZERO, task, pass_task=True, record=False)
    assert result.start != "cold" and result.nfev <= 5
    assert again.solved(task, UNKNOWNS) is None
    assert again.solved(draw(np.random.default_rng(0)), UNKNOWNS) is not None
    assert "12 solves of 6 unknowns over load, stiffening" in again.report()
    suggested = again.suggest(3)
    assert len(suggested) == 3 and all(0.1 <= s["stiffening"] <= 1.0 and 1.0 <= s["load"] <= 4.0 for s in suggested)


@pytest.mark.slow
def test_without_the_task_only_values_are_learned(tmp_path):
    study, random = Study(tmp_path), np.random.default_rng(3)
    results = []
    for _ in range(12):
        task = draw(random)
        results.append(study.minimize(lambda x, task=task: chain(x, task), ZERO, task))
    assert np.median([r.nfev - r.recording for r in results[7:]]) <= (results[0].nfev - results[0].recording) / 4.0
    assert all(s.tangents is None for s in study.folder.solves())


def test_another_function_is_refused(recorded):
    study, _, _ = recorded

    def other(x, task):
        value, grad = chain(x, task)
        return value + 0.01 * (x**2).sum(), grad + 0.02 * x

    with pytest.raises(ValueError, match="recorded with another function"):
        Study(study.folder.path).minimize(other, ZERO, draw(np.random.default_rng(4)), pass_task=True)


def test_another_function_that_does_not_take_the_task_is_noticed(recorded):
    study, _, _ = recorded
    task = draw(np.random.default_rng(4))
    result = study.minimize(lambda x: (chain(x, task)[0] + 5.0, chain(x, task)[1]), ZERO, task, record=False)
    assert result.higher > 0.0 and "ENDS HIGHER" in result.message


def spoilt(how, solves, random):
    """Return the solves with points that teach nothing."""
    order = random.permutation(len(solves))
    points = {
        "random": [random.normal(size=UNKNOWNS) for _ in solves],
        "huge": [s.point * 1e12 for s in solves],
        "shuffled": [solves[k].point for k in order],
        "one": [s.point * (1e6 if k == 3 else 1.0) for k, s in enumerate(solves)],
    }.get(how, [s.point for s in solves])
    hessians = {
        "metric": [np.diag(np.exp(random.normal(size=UNKNOWNS) * 6)) for _ in solves],
        "indefinite": [-s.hessian for s in solves],
        "zero": [np.zeros((UNKNOWNS, UNKNOWNS)) for s in solves],
        "endless": [s.hessian * 1e300 for s in solves],
        "scaled": [s.hessian * 10.0 ** random.uniform(-12, 12) for s in solves],
    }.get(how, [s.hessian for s in solves])
    return [Solve(s.task, p, s.value, None, h, None, s.about) for s, p, h in zip(solves, points, hessians, strict=True)]


SLOW = [pytest.param(how, marks=pytest.mark.slow) for how in ("scaled", "random", "huge", "one", "indefinite", "endless", "zero", "metric")]


@pytest.mark.parametrize("how", ["shuffled", *SLOW])
def test_a_study_that_teaches_nothing_costs_next_to_nothing(recorded, tmp_path, how):
    study, _, _ = recorded
    solves = [s for s in study.folder.solves() if s.hessian is not None]
    bad, random = Study(tmp_path / "bad", verify=False), np.random.default_rng(5)
    for solve in spoilt(how, solves, random):
        bad.folder.add(solve)
    for _ in range(2):
        task = draw(random)
        gtol = 1e-6 * float(np.linalg.norm(chain(ZERO, task)[1]))
        cold = Study(tmp_path / "cold").minimize(chain, ZERO, task, pass_task=True, gtol=gtol, record=False)
        result = bad.minimize(chain, ZERO, task, pass_task=True, gtol=gtol, record=False)
        assert result.success and np.linalg.norm(chain(result.x, task)[1]) <= gtol
        assert result.nfev <= 1.1 * cold.nfev + 2


def test_no_rule_is_tried_where_nothing_is_recorded(tmp_path):
    study, random = Study(tmp_path), np.random.default_rng(6)
    first = study.minimize(chain, ZERO, draw(random), pass_task=True)
    task = draw(random)
    again = study.minimize(chain, ZERO, task, pass_task=True, record=False)
    assert again.nfev <= 1.1 * (first.nfev - first.recording) + 2 and "by l-bfgs" in again.message
    assert "newton-cg" in study.minimize(chain, ZERO, task, pass_task=True).message


def test_one_wrong_record_does_not_loosen_the_tolerance(recorded, tmp_path):
    study, _, _ = recorded
    loose = Study(tmp_path, verify=False)
    *others, last = study.folder.solves()
    for solve in [*others, dataclasses.replace(last, about={**last.about, "cold_norm": 1e30, "calls": -3, "answers": 0})]:
        loose.folder.add(solve)
    near = {"load": last.task.vector[0] + 1e-3, "stiffening": last.task.vector[1]}
    result = loose.minimize(chain, ZERO, near, pass_task=True, record=False)
    assert result.success and np.linalg.norm(chain(result.x, near)[1]) <= 2e-6 * np.linalg.norm(chain(ZERO, near)[1])


def test_a_series_that_goes_on_and_on_is_no_series_of_other_minima(tmp_path):
    study = Study(tmp_path)
    for load in np.linspace(1.0, 6.0, 9):
        result = study.minimize(chain, ZERO, {"stiffening": 0.5, "load": load}, pass_task=True, curvature=False)
        assert result.success and result.higher == 0.0, result.message


def test_what_does_not_converge_says_so_and_is_not_recorded(tmp_path):
    study = Study(tmp_path)
    result = study.minimize(chain, ZERO, {"stiffening": 0.5, "load": 2.0}, pass_task=True, max_calls=5)
    assert not result.success and result.status == 1 and result.nfev == 5 and "NOT CONVERGED" in result.message
    assert np.isfinite(result.fun) and study.folder.solves() == []
    nothing = study.minimize(lambda x: (np.nan, np.full(3, np.nan)), np.zeros(3), 1.0)
    assert not nothing.success and np.isnan(nothing.fun)
    rising = study.minimize(lambda x: (float(-(x**2).sum()), -2.0 * x), np.ones(3), 1.0, max_calls=50)
    assert not rising.success and study.folder.solves() == []


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"fun": lambda x: 1.0}, TypeError, "return .value, gradient."),
        ({"fun": lambda x: (1.0, np.zeros(2))}, ValueError, "these must agree"),
        ({"fun": lambda x: ("a", np.zeros(UNKNOWNS))}, TypeError, "one real number"),
        ({"x0": np.full(UNKNOWNS, np.nan)}, ValueError, "not finite"),
        ({"task": {"load": np.inf}}, ValueError, "not finite"),
        ({"task": {}}, ValueError, "holds no number"),
        ({"max_calls": 0}, ValueError, "max_calls"),
        ({"rtol": 0.0}, ValueError, "rtol"),
        ({"gtol": -1.0}, ValueError, "gtol"),
    ],
)
def test_bad_input_is_named(tmp_path, wrong, error, words):
    given = {"fun": lambda x: chain(x, {"stiffening": 0.5, "load": 2.0}), "x0": ZERO, "task": {"load": 2.0}}
    with pytest.raises(error, match=words):
        Study(tmp_path).minimize(**{**given, **wrong})


def test_own_hessian_costs_no_calls(tmp_path):
    def hess(x, task):
        return np.stack([(chain(x + 1e-5 * e, task)[1] - chain(x - 1e-5 * e, task)[1]) / 2e-5 for e in np.eye(len(x))])

    result = Study(tmp_path).minimize(chain, ZERO, {"stiffening": 0.5, "load": 2.0}, pass_task=True, hess=hess)
    assert result.recording == 4 and result.nhev == 1  # itself, one to polish, two for the tangents
    assert result.hess.shape == (UNKNOWNS, UNKNOWNS)
    plain = Study(tmp_path / "none").minimize(chain, ZERO, {"stiffening": 0.5, "load": 2.0}, curvature=False, pass_task=True)
    assert plain.recording == 0
