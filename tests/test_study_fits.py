"""Studies of residuals, and within bounds: SciPy's answers, every call counted, nothing outside of the bounds."""

import dataclasses

import numpy as np
import pytest
import scipy.optimize
from chains import UNKNOWNS, chain, draw

from physopt import Study
from physopt.study.box import box_of_pairs, box_of_sides

TIMES = np.linspace(0.0, 3.0, 20)
START = np.array([0.0, 0.5, 1.5])
SIDES = ([-0.2, 0.0, 0.0], [np.inf, 1.0, 2.2])
PAIRS = [(0.0, 0.9), (0.0, 0.9), (None, 0.9), (None, 0.5), (0.2, 0.2), (0.0, None)]
ZERO = np.zeros(UNKNOWNS)


def wave(x, task):
    """Return the residuals of a decay and a wave against readings with an error that no unknown explains."""
    model = task["size"] * np.exp(-np.exp(x[0]) * TIMES) + x[1] * np.sin(x[2] * TIMES)
    readings = task["size"] * np.exp(-task["rate"] * TIMES) + 0.3 * np.sin(task["pitch"] * TIMES) + 0.01 * np.cos(37.0 * TIMES)
    return model - readings


def slope(x, task):
    rate = np.exp(x[0])
    decay = -task["size"] * np.exp(-rate * TIMES) * rate * TIMES
    return np.stack([decay, np.sin(x[2] * TIMES), x[1] * TIMES * np.cos(x[2] * TIMES)], 1)


def draw_wave(random):
    return {"size": random.uniform(0.8, 1.2), "rate": random.uniform(0.5, 1.5), "pitch": random.uniform(1.5, 2.5)}


def metered(function, calls):
    def call(*given):
        calls.append(given[0])
        return function(*given)

    return call


@pytest.mark.parametrize(
    ("more", "bounds"),
    [
        pytest.param({"jac": slope}, None, id="jacobian"),
        pytest.param({}, SIDES, id="bounded"),
        pytest.param({"jac": slope, "method": "dogbox"}, SIDES, id="dogbox", marks=pytest.mark.slow),
        pytest.param({"jac": slope, "method": "lm"}, None, id="lm", marks=pytest.mark.slow),
    ],
)
def test_a_study_of_fits_gets_cheaper_and_stays_right(tmp_path, more, bounds):
    study, random, results = Study(tmp_path), np.random.default_rng(0), []
    bounded = {} if bounds is None else {"bounds": bounds}
    for _ in range(9):
        task, calls, slopes = draw_wave(random), [], []
        own = {**more, "jac": metered(slope, slopes)} if "jac" in more else more
        result = study.least_squares(metered(wave, calls), START, task, pass_task=True, **own, **bounded)
        assert result.success and (len(calls) + len(slopes) == result.nfev + result.njev)
        assert all((np.array(x) >= SIDES[0]).all() and (np.array(x) <= SIDES[1]).all() for x in calls) or bounds is None
        exact = scipy.optimize.least_squares(wave, START, slope, args=(task,), **bounded, xtol=1e-12, ftol=1e-14, gtol=1e-12)
        np.testing.assert_allclose(result.x, exact.x, atol=1e-4)
        assert result.cost == pytest.approx(exact.cost, rel=1e-6) and result.cost == 0.5 * result.fun @ result.fun
        np.testing.assert_allclose(result.grad, result.jac.T @ result.fun)
        results.append(result)
    later = np.median([r.nfev + r.njev - r.recording for r in results[5:]])
    assert later < np.median([r.nfev + r.njev - r.recording for r in results[:4]]) and any(r.start != "cold" for r in results)
    assert all(np.array_equal(r.hess, r.hess.T) for r in results[:4])


def test_residuals_and_jacobian_may_come_together_and_by_differences(tmp_path):
    task, found = draw_wave(np.random.default_rng(1)), []
    for k, (fun, jac) in enumerate([(wave, slope), (lambda x, t: (wave(x, t), slope(x, t)), True), (wave, "2-point"), (wave, "3-point")]):
        calls, slopes = [], []
        jac = metered(jac, slopes) if callable(jac) else jac
        result = Study(tmp_path / str(k)).least_squares(metered(fun, calls), START, task, jac, args=(task,), curvature=False)
        assert result.success and len(calls) + len(slopes) == result.nfev + result.njev
        found.append((result, len(calls)))
    for result, _ in found[1:]:
        np.testing.assert_allclose(result.x, found[0][0].x, atol=1e-5)
    assert found[1][0].njev == 0 and found[0][0].njev == found[0][0].nfev
    assert found[2][0].njev == 3 * found[0][0].njev and found[3][0].njev == 6 * found[0][0].njev


LOOSE = pytest.param([(-50.0, 50.0)] * UNKNOWNS, id="loose", marks=pytest.mark.slow)


def test_a_start_with_a_higher_value_costs_a_fit_one_call(tmp_path):
    study, random = Study(tmp_path / "good"), np.random.default_rng(3)
    for _ in range(6):
        study.least_squares(wave, START, draw_wave(random), pass_task=True)
    bad = Study(tmp_path / "bad", verify=False)
    for solve in study.folder.solves():
        bad.folder.add(dataclasses.replace(solve, point=np.full_like(START, 7.0), tangents=None))
    task, calls = draw_wave(random), []
    cold = Study(tmp_path / "cold").least_squares(metered(wave, calls), START, task, pass_task=True, record=False)
    alone = len(calls)
    result = bad.least_squares(metered(wave, calls), START, task, pass_task=True, record=False)
    assert "its value is no better" in result.message and len(calls) - alone == alone + 1
    np.testing.assert_allclose(result.x, cold.x, rtol=1e-12)


@pytest.mark.parametrize("bounds", [pytest.param(PAIRS, id="pressed"), LOOSE])
def test_a_bounded_study_stays_within_and_is_right(tmp_path, bounds):
    study, random, results = Study(tmp_path), np.random.default_rng(0), []
    low, high = (np.array([other if pair[k] is None else pair[k] for pair in bounds]) for k, other in ((0, -np.inf), (1, np.inf)))
    for _ in range(10):
        task, calls = draw(random), []
        result = study.minimize(metered(chain, calls), ZERO + 7.0, task, pass_task=True, bounds=bounds)
        assert result.success and len(calls) == result.nfev
        # The last differences of the record move the task, and all calls keep to the bounds.
        assert all(((x >= low) & (x <= high)).all() for x in calls)
        limits = {"ftol": 0.0, "gtol": 1e-9}
        begin = np.clip(ZERO + 7.0, low, high)
        exact = scipy.optimize.minimize(chain, begin, args=(task,), jac=True, method="L-BFGS-B", bounds=bounds, options=limits)
        np.testing.assert_allclose(result.x, exact.x, atol=1e-5)
        results.append(result)
    counts = [r.nfev - r.recording for r in results]
    assert np.median(counts[6:]) <= 0.5 * np.median(counts[:4]) and any(r.start != "cold" for r in results)


def test_the_projected_gradient_is_zero_where_nothing_can_be_won():
    box = box_of_pairs([(0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (None, None)], 4)
    point = np.array([0.0, 1.0, 0.5, 3.0])
    assert np.array_equal(box.projected(point, np.array([2.0, -2.0, 0.0, 0.0])), np.zeros(4))
    assert np.array_equal(box.projected(point, np.array([-0.3, 0.4, 5.0, 6.0])), [-0.3, 0.4, 0.5, 6.0])
    assert box.free(point, np.array([2.0, -2.0, 1.0, 1.0])).tolist() == [False, False, True, True]
    steps = box.inward(np.array([0.0, 1.0, 0.5, 3.0]), np.array([0.1, 0.1, 0.7, 0.1]))
    assert steps == pytest.approx([0.1, -0.1, 0.5, 0.1])
    assert box_of_pairs(scipy.optimize.Bounds(0.0, [1.0, 2.0]), 2).upper.tolist() == [1.0, 2.0]
    assert box_of_sides((-np.inf, 3.0), 2).upper.tolist() == [3.0, 3.0] and not box_of_sides((-np.inf, np.inf), 2).bounded


def test_fits_bounds_and_plain_minima_of_one_task_do_not_mix(tmp_path):
    study, task = Study(tmp_path), {"a": 1.0}
    study.minimize(lambda x: (float(x @ x), 2.0 * x), np.ones(2), task)
    study.minimize(lambda x: (float(x @ x), 2.0 * x), np.ones(2), task, bounds=[(0.5, 2.0)] * 2)
    study.least_squares(lambda x: x, np.ones(2), task)
    assert study.solved(task, 2) is not None and study.solved(task, 3) is None and study.solved({"a": 2.0}, 2) is None
    kinds = [solve.task.kind for solve in study.folder.solves()]
    assert len(set(kinds)) == 3 and study.report().count("1 solves of 2 unknowns over a") == 3


def hess(x, task):
    return np.stack([(chain(x + 1e-5 * e, task)[1] - chain(x - 1e-5 * e, task)[1]) / 2e-5 for e in np.eye(len(x))])


@pytest.mark.parametrize("own", ["hess", pytest.param("hessp", marks=pytest.mark.slow)])
def test_own_curvature_is_used_and_counted(tmp_path, own):
    study, random, rules = Study(tmp_path), np.random.default_rng(0), []
    for _ in range(3):
        calls, curved, task = [], [], draw(random)
        given = {"hess": metered(hess, curved)} if own == "hess" else {"hessp": metered(lambda x, p, t: hess(x, t) @ p, curved)}
        result = study.minimize(metered(chain, calls), ZERO, task, pass_task=True, **given)
        assert (len(calls), len(curved)) == (result.nfev, result.nhev) and result.success
        rules.append(study.folder.solves()[-1].about["rule"])
    assert rules[2] == ("newton" if own == "hess" else "l-bfgs")


@pytest.mark.slow
def test_a_hessian_that_costs_more_than_it_brings_is_tried_once(tmp_path):
    study, random = Study(tmp_path), np.random.default_rng(0)
    for _ in range(4):
        study.minimize(chain, ZERO, draw(random), pass_task=True, hess=hess, hess_calls=UNKNOWNS)
    rules = [solve.about["rule"] for solve in study.folder.solves()]
    assert rules[2].startswith("newton,") and rules[3] == "l-bfgs"


def test_what_gets_no_better_ends_soon_and_says_why(tmp_path):
    random = np.random.default_rng(3)

    def noisy(x):
        value, grad = chain(x, {"stiffening": 0.5, "load": 2.0})
        return value * (1.0 + 1e-6 * random.normal()), grad * (1.0 + 1e-3 * random.normal(size=grad.shape))

    result = Study(tmp_path).minimize(noisy, ZERO, 1.0, rtol=1e-12)
    assert not result.success and result.nfev < 1000 and "NOT CONVERGED" in result.message
    single = Study(tmp_path).minimize(lambda x: tuple(np.asarray(each, np.float32) for each in noisy(x)), ZERO, 1.0, rtol=1e-12)
    assert not single.success and "single precision" in single.message and single.nfev < 1000


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"fun": lambda x: "a"}, TypeError, "vector of residuals"),
        ({"fun": lambda x: np.ones((2, 2))}, TypeError, "vector of residuals"),
        ({"jac": "cs"}, ValueError, "'2-point' or '3-point'"),
        ({"jac": lambda x: np.ones((3, 5))}, ValueError, "jac returned a matrix of shape"),
        ({"fun": lambda x: np.ones(2 + (x[0] != 1.0))}, ValueError, "must stay the same"),
        ({"jac": True}, TypeError, "with jac=True"),
        ({"bounds": (1.0, 0.0)}, ValueError, "Leave room"),
        ({"bounds": [(0.0, 1.0)] * 3}, ValueError, "lowest, highest"),
        ({"bounds": (np.zeros(2), np.ones(2))}, ValueError, "3 unknowns"),
        ({"method": "lm", "bounds": (0.0, 1.0)}, ValueError, "lm"),
        ({"method": "magic"}, ValueError, "method"),
        ({"rtol": 0.0}, ValueError, "rtol"),
    ],
)
def test_bad_input_is_named(tmp_path, wrong, error, words):
    with pytest.raises(error, match=words):
        Study(tmp_path).least_squares(**{"fun": lambda x: x - 2.0, "x0": np.ones(3), "task": 1.0, **wrong})


def test_bad_bounds_and_curvature_are_named(tmp_path):
    plain = {"fun": lambda x: (float(x @ x), 2.0 * x), "x0": np.ones(2), "task": 1.0}
    for more, words in (
        ({"bounds": [(0.0, 1.0)]}, "2 unknowns"),
        ({"bounds": [(1.0, 0.0)] * 2}, "Leave room"),
        ({"hess": lambda x: np.eye(3)}, "hess returned a matrix"),
        ({"hess": np.eye, "hessp": np.eye}, "both given"),
        ({"hessp": lambda x, p: p, "bounds": [(0.0, 1.0)] * 2}, "hessp"),
    ):
        with pytest.raises(ValueError, match=words):
            Study(tmp_path).minimize(**plain, **more)
