"""The point that a run returns has the value that it reports, whoever writes into the arrays that were lent to him."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from instances import combined

from physopt import AbstractProblem, AbstractRule, Euclidean, Evaluation, Move, Stop, minimize
from physopt.core.answers import kept, lent, shown
from physopt.rules.gradient import GradientDescent
from physopt.rules.guard import Guard
from physopt.rules.lbfgs import LBFGS
from physopt.rules.model_step import ModelStep

WEIGHTS = np.array([1.0, 4.0, 20.0])
RULES = {"gradient": GradientDescent(), "lbfgs": LBFGS(), "model-step": ModelStep(), "guard": Guard(LBFGS(), GradientDescent())}
by_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
STOP = Stop(grad_norm=1e-6, max_evaluations=40)


class Well(AbstractProblem):
    """A quadratic on the host; `habit` names what its author does with arrays."""

    habit: str
    buffer: np.ndarray = eqx.field(default_factory=lambda: np.zeros(3))
    traceable: bool = False
    unit: str = "1"

    def init(self, key=None):
        return np.array([1.0, -2.0, 3.0])

    def evaluate(self, point):
        grad = WEIGHTS * point
        value = np.float64(0.5 * grad @ point)
        if self.habit == "one buffer":
            self.buffer[...] = grad
            return Evaluation(value, self.buffer, Euclidean(self.buffer))
        if self.habit == "a view of one buffer":
            self.buffer[...] = grad
            view = self.buffer[:]
            view.setflags(write=False)
            return Evaluation(value, view, Euclidean(view))
        if self.habit == "clears the point":
            point[...] = 0.0
        return Evaluation(value, grad, Euclidean(grad))

    def retract(self, point, step):
        if self.habit == "moves in place":
            point += step
            return point
        if self.habit == "scales the step":
            step *= -1.0
            return point - step
        if self.habit == "moves in one buffer":
            self.buffer[...] = point + step
            return self.buffer
        return point + step


HABITS = ["one buffer", "a view of one buffer", "clears the point", "moves in place", "scales the step", "moves in one buffer"]


@pytest.mark.parametrize(("rule", "habit"), combined([*RULES.items()], [(habit, habit) for habit in HABITS], 4))
def test_habits_of_an_oracle_do_no_harm(rule, habit):
    clean, start = Well(""), Well("").init()
    plain = minimize(clean, rule, clean.init(), stop=STOP)
    solution = minimize(Well(habit), rule, start, stop=STOP)
    np.testing.assert_array_equal(start, clean.init())
    np.testing.assert_array_equal(solution.history.value, plain.history.value)
    np.testing.assert_array_equal(solution.point, plain.point)
    assert clean.evaluate(solution.point).value == solution.evaluation.value


@by_rule
@pytest.mark.parametrize(
    "lent_array",
    [lambda c: c.trial, lambda c: c.base, lambda c: c.best, lambda c: c.evaluation.grad, lambda c: c.evaluation.model.grad,
     lambda c: next(leaf for leaf in jax.tree.leaves(c.state) if isinstance(leaf, np.ndarray))],
)  # fmt: skip
def test_a_callback_cannot_write(rule, lent_array):
    def write(progress):
        array = lent_array(progress.carry)
        array[...] = 0.0

    problem = Well("")
    start = problem.init()
    with pytest.raises(ValueError, match="read-only"):
        minimize(problem, rule, start, stop=STOP, callback=write)
    np.testing.assert_array_equal(start, problem.init())


def test_a_rule_that_writes_into_its_own_step_does_no_harm():
    class Thrifty(AbstractRule):
        def init(self, evaluation):
            return np.zeros(3)

        def step(self, evaluation, state):
            state[...] = -0.05 * evaluation.grad
            return Move(state, accept=True), state

    problem = Well("")
    solution = minimize(problem, Thrifty(), problem.init(), stop=Stop(max_evaluations=30))
    assert problem.evaluate(solution.point).value == solution.evaluation.value < 1.0


def test_the_point_of_a_solution_is_the_callers():
    solution = minimize(Well(""), LBFGS(), Well("").init(), stop=STOP)
    solution.point[0] = 7.0


def test_only_what_could_be_written_to_is_copied():
    fixed, open_, compiled = np.ones(3), np.ones(3), jnp.ones(3)
    fixed.setflags(write=False)
    tree = {"fixed": fixed, "view": fixed[:2], "open": open_, "again": open_, "compiled": compiled, "number": 1.0}
    once = kept(tree)
    assert once["fixed"] is fixed and once["view"] is tree["view"] and once["compiled"] is compiled
    assert once["open"] is once["again"] and not np.shares_memory(once["open"], open_)
    assert all(a is b for a, b in zip(jax.tree.leaves(kept(once)), jax.tree.leaves(once), strict=True))
    assert np.shares_memory(shown(tree)["open"], open_) and lent(tree)["compiled"] is compiled


def test_copies_keep_the_layout_and_what_a_subclass_carries():
    class Tagged(np.ndarray):
        pass

    tagged = np.asfortranarray(np.arange(6.0).reshape(2, 3)).view(Tagged)
    tagged.mo_coeff = "orbitals"
    for copy in (lent(tagged), kept(tagged)):
        assert copy.flags.f_contiguous and type(copy) is Tagged and copy.mo_coeff == "orbitals"
