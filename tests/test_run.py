"""The driver: when it stops, and what it returns."""

import numpy as np
import pytest
from instances import HostQuadratic, Rosenbrock, started

from physopt import Recording, Stop, minimize
from physopt.rules.gradient import GradientDescent
from physopt.rules.lbfgs import LBFGS
from physopt.rules.model_step import ModelStep


def test_all_criteria_must_hold():
    problem, point = started(HostQuadratic())
    loose = minimize(problem, ModelStep(), point, stop=Stop(grad_norm=1e-1))
    both = minimize(problem, ModelStep(), point, stop=Stop(grad_norm=1e-1, decrease=1e-12))
    assert loose.converged and both.converged
    assert both.num_evaluations > loose.num_evaluations
    grad = both.evaluation.grad
    assert -0.5 * grad @ both.evaluation.model.minimize() <= 1e-12


def test_target_value_and_change():
    problem, point = started(HostQuadratic())
    assert minimize(problem, ModelStep(), point, stop=Stop(value=1.0)).evaluation.value <= 1.0
    assert minimize(problem, ModelStep(), point, stop=Stop(change=1e-3)).converged


def test_a_shortened_step_is_no_convergence():
    problem, point = started(Rosenbrock())
    solution = minimize(problem, GradientDescent(first_step=1e3), point, stop=Stop(change=1.0, max_evaluations=60))
    assert not (solution.converged and not solution.history.accept[-1])
    assert solution.evaluation.value <= solution.history.value[0]


def test_a_run_out_of_budget_goes_on_with_more(tmp_path):
    problem, point = started(Rosenbrock())
    recording = Recording(tmp_path / "run", resume=True)
    minimize(problem, LBFGS(), point, stop=Stop(grad_norm=1e-6, max_evaluations=5), record=recording)
    more = minimize(problem, LBFGS(), point, stop=Stop(grad_norm=1e-6), record=recording)
    assert more.converged
    np.testing.assert_array_equal(more.history.value, minimize(problem, LBFGS(), point, stop=Stop(grad_norm=1e-6)).history.value)
    with pytest.raises(FileExistsError, match="finished"):
        minimize(problem, LBFGS(), point, record=recording)


def test_an_occupied_folder_is_refused_before_the_oracle_is_asked(tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    problem, point = started(Rosenbrock())

    class Untouchable(Rosenbrock):
        def evaluate(self, point):
            raise AssertionError("asked")

    with pytest.raises(FileExistsError, match="no run folder"):
        minimize(Untouchable(), LBFGS(), point, record=tmp_path)


def test_the_budget_counts_every_evaluation():
    problem, point = started(Rosenbrock())
    solution = minimize(problem, GradientDescent(), point, stop=Stop(grad_norm=1e-12, max_evaluations=7))
    assert (solution.reason, solution.converged, solution.num_evaluations) == ("budget", False, 7)


def test_without_criteria_only_the_budget_stops():
    problem, point = started(HostQuadratic())
    assert minimize(problem, ModelStep(), 0.0 * point, stop=Stop(max_evaluations=3)).reason == "budget"


def test_values_that_hardly_fall_stall_a_run_and_a_resumed_one_ends_as_early(tmp_path):
    problem, point = started(Rosenbrock())
    stop = Stop(patience=3, gain=0.5)
    whole = minimize(problem, GradientDescent(), point, stop=stop)
    lowest = np.minimum.accumulate(whole.history.value)
    falls = lowest[:-3] - lowest[3:] > 0.5 * np.abs(lowest[3:])
    assert whole.reason == "stalled" and not whole.converged
    assert falls[:-1].all() and not falls[-1]
    assert whole.evaluation.value == lowest[-1]
    high = minimize(problem, GradientDescent(), point, stop=Stop(patience=3, gain=0.0, ceiling=0.5 * lowest[-1]))
    assert (high.reason, high.num_evaluations) == ("stalled", 4)

    for number in range(1, whole.num_evaluations):
        folder = tmp_path / str(number)
        minimize(problem, GradientDescent(), point, stop=Stop(max_evaluations=number), record=folder)
        resumed = minimize(problem, GradientDescent(), point, stop=stop, record=Recording(folder, resume=True))
        assert (resumed.reason, resumed.num_evaluations) == ("stalled", whole.num_evaluations)


def test_a_callback_sees_every_evaluation_and_may_stop():
    problem, point = started(Rosenbrock())
    seen = []

    def watch(progress):
        seen.append((progress.index, progress.converged))
        return progress.index == 4

    solution = minimize(problem, LBFGS(), point, callback=watch)
    assert solution.reason == "callback"
    assert seen == [(k, False) for k in range(5)]


@pytest.mark.parametrize("bad", [{"grad_norm": -1.0}, {"decrease": float("nan")}, {"max_evaluations": 0}, {"patience": 0}, {"gain": -1.0}])
def test_senseless_criteria_are_refused(bad):
    with pytest.raises(ValueError, match="Stop"):
        Stop(**bad)


def test_a_solution_continues():
    problem, point = started(Rosenbrock())
    first = minimize(problem, LBFGS(), point, stop=Stop(max_evaluations=6))
    second = minimize(problem, LBFGS(), first.point, stop=Stop(grad_norm=1e-8))
    assert second.converged
    np.testing.assert_allclose(second.history.value[0], first.evaluation.value)
