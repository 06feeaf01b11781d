"""Starts for least squares problems from solved neighbours: exact where the solution is a line, a parabola or a curve in the task."""

import numpy as np
import pytest

from physopt.meta.starts.neighbours import LOOK, Linear, Solved, Way, begin, damped, march, span, tangent


class Family:
    r"""Residuals $A x - \sum_k \mu^k b_k + c\,(x^3 - \hat x^3)$: the solution is a polynomial in the task, for any `c`."""

    def __init__(self, degree, bend=0.0):
        rng = np.random.default_rng(0)
        self.matrix, self.terms, self.bend = rng.standard_normal((9, 5)), rng.standard_normal((degree + 1, 5)), bend
        self.linearizations = 0

    def solution(self, task):
        return task[0] ** np.arange(len(self.terms)) @ self.terms

    def residual(self, point, task):
        exact = self.solution(task)
        return np.concatenate([self.matrix @ (point - exact), self.bend * (point**3 - exact**3)])

    def jacobian(self, point):
        return np.vstack([self.matrix, self.bend * np.diag(3.0 * point**2)])

    def linearize(self, point, task):
        self.linearizations += 1
        slopes = (self.residual(point, task + 1e-6) - self.residual(point, task - 1e-6)) / 2e-6
        return Linear(self.residual(point, task), self.jacobian(point).T, slopes[:, None], self.norm)

    def norm(self, point, task):
        return float(np.linalg.norm(self.residual(point, task)))

    def along(self, point, task, directions):
        return self.residual(point, task), self.jacobian(point) @ directions.T


def solved(family, *tasks):
    return [Solved(np.array([task]), family.solution(np.array([task]))) for task in tasks]


def test_where_the_solution_is_a_line_in_the_task_one_tangent_finds_it():
    family, task = Family(1), np.array([0.7])
    family.terms[0] = 0.0  # through the origin, so that the geometric way is a line in the solution, too
    start = begin(family, task, solved(family, 0.5, 0.65), np.full(5, 40.0))
    assert start.name == "tangent" and family.linearizations == 1
    assert 1.0 <= start.steps < 1.0 + 12 * LOOK
    np.testing.assert_allclose(start.point, family.solution(task), atol=0.01)  # one part is straight in ln mu: (ln 0.7/0.65)^2 / 2


def test_the_span_of_three_holds_a_parabola():
    family, task = Family(2), np.array([0.9])
    points = [one.point for one in solved(family, 0.1, 0.5, 1.4)]
    found, cost = span(family, task, points)
    np.testing.assert_allclose(found, family.solution(task), atol=1e-5)
    assert cost < 5 * LOOK * 7 + 1e-9


def test_parts_of_a_tangent_halve_the_error_at_least():
    family, way = Family(3, bend=0.3), Way(np.array([-0.5]), np.array([0.5]))
    first = family.solution(way.begin)
    linear = family.linearize(first, way.begin)
    errors = [np.linalg.norm(tangent(family, way, first, linear, parts)[0] - family.solution(way.end)) for parts in (1, 2, 4)]
    assert errors[1] < 0.5 * errors[0] and errors[2] < 0.5 * errors[1]


def test_a_march_follows_a_bent_solution_to_its_end_and_counts_its_steps():
    family, way = Family(3, bend=1.0), Way(np.array([-1.0]), np.array([1.5]))
    point, cost, reached = march(family, way, family.solution(way.begin))
    assert reached == 1.0
    assert family.linearizations <= cost < 1.5 * family.linearizations
    assert family.norm(point, way.end) < 0.05 * family.norm(family.solution(way.begin), way.end)


def test_a_march_that_gets_nowhere_ends_early():
    family = Family(1)
    family.norm = lambda point, task: np.inf
    _, cost, reached = march(family, Way(np.array([1.0]), np.array([2.0])), family.solution(np.array([1.0])))
    assert reached == 0.0 and family.linearizations == 8 and cost < 10.0


def test_a_solution_of_another_family_costs_no_linearization():
    family, other = Family(2), Family(2)
    other.terms = other.terms + 30.0
    start = begin(family, np.array([0.6]), solved(other, 0.5, 0.7), np.zeros(5))
    assert start.name == "cold" and family.linearizations == 0 and start.steps <= 3 * LOOK
    np.testing.assert_array_equal(start.point, np.zeros(5))


def test_the_solution_of_the_task_itself_is_taken_without_a_linearization():
    family = Family(2)
    start = begin(family, np.array([0.5]), solved(family, 0.4, 0.5), np.ones(5))
    assert start.name == "nearest" and family.linearizations == 0
    np.testing.assert_array_equal(start.point, family.solution(np.array([0.5])))


def test_a_way_is_geometric_where_it_can_be():
    way = Way(np.array([0.01, -1.0]), np.array([1.0, 3.0]))
    np.testing.assert_allclose(way.at(0.5), [0.1, 1.0])
    step = (way.at(0.5 + 1e-6) - way.at(0.5 - 1e-6)) / 2e-6
    np.testing.assert_allclose(way.slope(0.5), step, rtol=1e-6)


def test_a_jacobian_that_is_not_finite_has_no_step():
    with pytest.raises((np.linalg.LinAlgError, ValueError)):
        damped(np.full((3, 4), np.nan), np.ones((4, 1)), [1e-6])
