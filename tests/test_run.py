"""The driver: when it stops, and what it returns."""

import numpy as np
import pytest
from instances import HostQuadratic, Rosenbrock, started

from physopt import Stop, minimize
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


def test_the_budget_counts_every_evaluation():
    problem, point = started(Rosenbrock())
    solution = minimize(problem, GradientDescent(), point, stop=Stop(grad_norm=1e-12, max_evaluations=7))
    assert (solution.reason, solution.converged, solution.num_evaluations) == ("budget", False, 7)


def test_without_criteria_only_the_budget_stops():
    problem, point = started(HostQuadratic())
    assert minimize(problem, ModelStep(), 0.0 * point, stop=Stop(max_evaluations=3)).reason == "budget"


def test_a_callback_sees_every_evaluation_and_may_stop():
    problem, point = started(Rosenbrock())
    seen = []

    def watch(progress):
        seen.append((progress.index, progress.converged))
        return progress.index == 4

    solution = minimize(problem, LBFGS(), point, callback=watch)
    assert solution.reason == "callback"
    assert seen == [(k, False) for k in range(5)]


@pytest.mark.parametrize("bad", [{"grad_norm": -1.0}, {"decrease": float("nan")}, {"max_evaluations": 0}])
def test_senseless_criteria_are_refused(bad):
    with pytest.raises(ValueError, match="Stop"):
        Stop(**bad)


def test_a_solution_continues():
    problem, point = started(Rosenbrock())
    first = minimize(problem, LBFGS(), point, stop=Stop(max_evaluations=6))
    second = minimize(problem, LBFGS(), first.point, stop=Stop(grad_norm=1e-8))
    assert second.converged
    np.testing.assert_allclose(second.history.value[0], first.evaluation.value)
