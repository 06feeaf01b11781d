"""Where functions have many minima, a study searches, follows the branches of minima, and then goes straight to the lowest."""

import numpy as np
import pytest
import scipy.optimize

from physopt import Study
from physopt.meta.starts import Solve, task_of
from physopt.study import branches
from physopt.study.prune import superfluous

CENTRES = 2.0 * np.eye(4, 3) - np.array([0.7, 0.7, 0.7])
COLD = np.array([0.3, -0.2, 0.1])


def wells(x, task):
    """Four wells that move with the task, of which another one is the deepest for another task."""
    a, b = task["a"], task.get("b", 0.0)
    centres = CENTRES + 0.2 * np.array([[a, b, 0.0], [b, 0.0, a], [0.0, -a, b], [a, -b, 0.0]])
    depths = np.array([1.0 + 0.3 * a, 1.05 - 0.2 * a + 0.1 * b, 1.0 - 0.3 * b, 1.02 + 0.25 * b])
    apart = x - centres
    each = depths * np.exp(-0.7 * (apart**2).sum(1))
    return 0.02 * x @ x - each.sum(), 0.04 * x + 1.4 * (each[:, None] * apart).sum(0)


def lowest(task):
    """Return the lowest value, from the middle of each well."""
    return min(scipy.optimize.minimize(wells, c, (task,), jac=True, method="BFGS", options={"gtol": 1e-10}).fun for c in CENTRES)


def draw(random, names):
    return dict(zip(names, random.uniform(-1.0, 1.0, len(names)).tolist(), strict=True))


def starts(random):
    return random.uniform(-1.5, 1.5, (5, 3))


class Meter:
    def __init__(self):
        self.calls = 0

    def __call__(self, x, task):
        self.calls += 1
        return wells(x, task)


# The numbers of a task, the tasks that are recorded, and the searches in a row that must begin no branch.
SIZES = {"one": ("a", 10, 2), "two": ("ab", 32, 16)}


@pytest.fixture(scope="module", params=["one", pytest.param("two", marks=pytest.mark.slow)])
def filled(request, tmp_path_factory):
    """A study that has searched, its results with the calls that a meter has seen, and the names of the numbers of a task."""
    names, tasks, quiet = SIZES[request.param]
    study, random, results = Study(tmp_path_factory.mktemp("wells")), np.random.default_rng(3), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(branches, "QUIET", quiet)
        for _ in range(tasks):
            meter, task = Meter(), draw(random, names)
            result = study.minimize(meter, COLD, task, starts=starts(random), pass_task=True)
            results.append((task, result, meter.calls))
        yield study, results, names


def test_the_lowest_minimum_is_found_for_the_price_of_one(filled):
    study, results, names = filled
    random, searches = np.random.default_rng(4), np.median([calls for _, result, calls in results if "starts" in result.message])
    off, calls = [], []
    for _ in range(12):
        task = draw(random, names)
        result = study.minimize(wells, COLD, task, starts=starts(random), pass_task=True, record=False)
        off.append(result.fun - lowest(task))
        calls.append(result.nfev)
    assert np.max(off) <= 1e-7 and np.median(calls) <= searches / 10.0


def test_searches_end_and_all_calls_count(filled):
    study, results, names = filled
    assert all(result.success and result.nfev == calls for _, result, calls in results)
    assert all(result.fun <= lowest(task) + 1e-7 for task, result, _ in results)
    said = [result.message for _, result, _ in results]
    assert "by 6 starts; " in said[0] and "along 2 known minima" in said[1]
    assert any("here, along" in line for line in said) and not any("HIGHER" in line for line in said)
    told = study.report()
    assert f"{len(results)} solves of 3 unknowns" in told and "branches of minima" in told and "; searched" in told
    spent = sum(calls for *_, calls in results)
    counted = next(line for line in told.splitlines() if "calls of all solves" in line).replace(",", "").split()
    assert int(counted[4]) + int(counted[8]) == pytest.approx(spent, abs=2)  # those that verify the function are not a solve's


def test_branches_are_minima_that_move_with_the_task(filled):
    study, results, names = filled
    solves = study.folder.solves()
    found = {str(solve.about["branch"]) for solve in solves}
    assert len(found) >= 3 and len(solves) > len(results)
    for name in found:
        own = [solve for solve in solves if solve.about["branch"] == name]
        wells_of = {int(np.linalg.norm(CENTRES - solve.point, axis=1).argmin()) for solve in own}
        assert len(wells_of) == 1
    assert superfluous(solves, None) == []


def test_without_starts_the_branches_serve_as_well(filled):
    study, results, names = filled
    task = draw(np.random.default_rng(9), names)
    result = study.minimize(wells, COLD, task, pass_task=True, record=False)
    assert result.start != "cold" and result.fun == pytest.approx(lowest(task), abs=1e-7)


def test_a_budget_holds_for_a_whole_search(tmp_path):
    meter = Meter()
    result = Study(tmp_path).minimize(
        meter, COLD, {"a": 0.1, "b": 0.2}, starts=starts(np.random.default_rng(0)), pass_task=True, max_calls=40, curvature=False
    )
    assert meter.calls == result.nfev <= 40 and result.success


@pytest.mark.parametrize("calls", [1, 3, 6])
def test_a_budget_that_is_used_up_on_the_way_ends_the_solve(filled, calls):
    study, _, names = filled
    meter, task = Meter(), draw(np.random.default_rng(11), names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("physopt.study.search.higher", lambda value, expected: 1.0)  # whatever is found is not enough
        result = study.minimize(meter, COLD, task, starts=starts(np.random.default_rng(0)), pass_task=True, record=False, max_calls=calls)
    assert meter.calls == result.nfev <= calls and not result.success and "NOT CONVERGED" in result.message


def test_fits_are_searched_too(tmp_path):
    times, random = np.linspace(0.0, 10.0, 60), np.random.default_rng(2)
    study = Study(tmp_path)
    for _ in range(6):
        rate = float(random.uniform(1.8, 2.2))
        data = np.sin(rate * times)
        result = study.least_squares(
            lambda x, data=data: np.sin(x[0] * times) - data, np.array([0.5]), {"rate": rate}, starts=[[1.2], [2.0], [3.0]]
        )
        assert result.success and abs(result.x[0]) == pytest.approx(rate, abs=1e-6)


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros((2, 4)), np.full((1, 3), np.nan)])
def test_starts_that_are_none_are_named(tmp_path, wrong):
    with pytest.raises(ValueError, match="a row of 3 finite numbers"):
        Study(tmp_path).minimize(wells, COLD, {"a": 0.0, "b": 0.0}, starts=wrong, pass_task=True)


def test_pruning_keeps_one_solve_of_each_branch_of_a_task():
    task = task_of({"a": 0.0}, 1)
    solves = [Solve(task, np.array([v]), v, about={"branch": branch}) for v, branch in ((1.0, "one"), (2.0, "two"), (0.5, "one"))]
    assert superfluous(solves, None) == [0] and superfluous(solves, 1) == [0]


def test_a_start_where_the_function_is_finite_sets_the_tolerance(tmp_path):
    def holed(x, task):
        return (np.nan, np.full(3, np.nan)) if np.linalg.norm(x - COLD) < 0.5 else wells(x, task)

    task = {"a": 0.3}
    result = Study(tmp_path).minimize(holed, COLD, task, starts=CENTRES[:2], pass_task=True)
    assert result.success and np.linalg.norm(wells(result.x, task)[1]) <= 1e-6 * np.linalg.norm(wells(CENTRES[0], task)[1])
    nowhere = Study(tmp_path / "no").minimize(lambda x, task: (np.nan, np.full(3, np.nan)), COLD, task, starts=CENTRES, pass_task=True)
    assert not nowhere.success and nowhere.nfev == 5 and "NOT CONVERGED" in nowhere.message
