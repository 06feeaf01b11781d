"""No answer of an oracle, however broken, ends in a wrong claim: all rules, all faults."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
import pytest
from faulty import HARMLESS, KINDS, NUMBERS, Faulty
from instances import ANCHORED_RULES, BOXED_RULES, PROBLEMS, RULES, HostQuadratic, started

from physopt import AbstractProblem, AbstractRule, Euclidean, Evaluation, Stop, minimize, unroll
from physopt.core.tree import tree_norm
from physopt.rules.gradient import GradientDescent
from physopt.rules.lbfgs import LBFGS
from physopt.rules.model_step import ModelStep

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the faults are meant to reach NumPy

TOLERANCE = 1e-3
STOP = Stop(grad_norm=TOLERANCE, max_evaluations=20)
# The default suite tries a sample of the faults on these, the slow one all faults on their problems, and the sample on all others.
DEFAULT = {
    "host-quadratic": ("lbfgs", "span"),
    "simp-mbb": ("oc", "gcmma"),
    "rhf-water": ("cdiis", "control"),
}


class Case(NamedTuple):
    """A problem with a rule; `ask` is its oracle, compiled; `thorough` tries all faults in all places, and not some in one."""

    problem: AbstractProblem
    point: Any
    rule: AbstractRule
    ask: Any
    thorough: bool
    number: int

    def some(self, faults, count):
        """Return all of the faults, or so many of them, others for each case."""
        names = list(faults)
        chosen = names if self.thorough else [names[(self.number * count + k) % len(names)] for k in range(count)]
        return [(name, faults[name]) for name in chosen]

    def run(self, fault, first, last=None):
        return minimize(Faulty(self.problem, fault, first, last, self.ask), self.rule, self.point, stop=STOP)


def rules_for(name):
    if name.startswith("simp"):
        # The cheap problem of corrected-mma is a beam.
        return RULES + [(rule, made) for rule, made in BOXED_RULES if rule != "corrected-mma" or name.startswith("simp-mbb")]
    return RULES + ANCHORED_RULES if "water" in name or "hydroxyl" in name else RULES


def cases():
    pairs = [(instance, name) for instance in PROBLEMS for name, _ in rules_for(instance.name)]
    for number, (instance, name) in enumerate(pairs):
        pair = f"{instance.name}-{name}"
        if name in DEFAULT.get(instance.name, ()):
            yield pytest.param((instance, name, False, number), id=pair)
        thorough = instance.name in DEFAULT
        yield pytest.param((instance, name, thorough, number), id=f"{pair}-thorough" if thorough else pair, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def made():
    return {}


@pytest.fixture(params=list(cases()))
def case(request, made):
    instance, name, thorough, number = request.param
    if instance.name not in made:
        problem, point = instance.make()
        made[instance.name] = problem, point, eqx.filter_jit(problem.evaluate) if problem.traceable else problem.evaluate
    problem, point, ask = made[instance.name]
    return Case(problem, point, dict(rules_for(instance.name))[name], ask, thorough, number)


def test_numbers_that_are_not_finite_are_declined(case):
    whole = case.run(lambda e: e, 1)
    start, least = float(case.ask(case.point).value), float(whole.evaluation.value)
    for number, (name, fault) in enumerate(case.some(NUMBERS, 2)):
        lasting = case.run(fault, 1, 10**6)
        assert (lasting.converged, lasting.reason, lasting.num_evaluations) == (False, "non-finite", STOP.max_nonfinite), name
        for at in (1, 2, 3) if case.thorough else ((case.number + number) % 3 + 1,):
            solution = case.run(fault, at)
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(solution.point)), (name, at)
            assert solution.reason in ("converged", "budget"), (name, at)
            honest = case.ask(solution.point)
            np.testing.assert_allclose(solution.evaluation.value, honest.value, rtol=1e-9, err_msg=f"{name} in answer {at}")
            if solution.converged:
                assert tree_norm(honest.grad) <= TOLERANCE * (1.0 + 1e-6), (name, at)
            # What comes after it is a run like any other.
            assert start - solution.evaluation.value > 0.3 * (start - least), (name, at)


def test_malformed_answers_are_refused(case):
    for name, fault in case.some(KINDS, 5):
        for at in (1, 2):
            with pytest.raises((TypeError, ValueError), match=r"Faulty\.evaluate (?:returned|answered)"):
                case.run(fault, at)
                pytest.fail(f"{name} in answer {at} was taken")


def test_harmless_answers_change_nothing(case):
    whole = case.run(lambda e: e, 1)
    for name, fault in case.some(HARMLESS, 1):
        solution = case.run(fault, 1, 10**6)
        np.testing.assert_array_equal(solution.history.value, whole.history.value, err_msg=name)


def test_what_an_oracle_raises_comes_out(case):
    def fail(answer):
        raise RuntimeError("no license")

    for at in (1, 2):
        with pytest.raises(RuntimeError, match="no license"):
            case.run(fail, at)


class Well(AbstractProblem):
    """A quadratic on the host, whose gradient and model one can change."""

    answer: Any
    traceable: bool = False
    unit: str = "1"

    def init(self, key):
        return np.array([0.0, 0.0, 3.0])

    def evaluate(self, point):
        grad = np.array([1.0, 4.0, 20.0]) * point
        said, known = self.answer(grad)
        return Evaluation(np.float64(0.5 * grad @ point), said, Euclidean(known))

    def retract(self, point, step):
        return point + step


@pytest.mark.parametrize("rule", [LBFGS(), ModelStep(), GradientDescent()], ids=["lbfgs", "model-step", "gradient"])
@pytest.mark.parametrize("lacking", [lambda g: g[:2], lambda g: g[:1], lambda g: g[:0], lambda g: g[None], lambda g: {"x": g}])
def test_a_gradient_that_lacks_what_is_not_yet_zero_does_not_converge_at_once(rule, lacking):
    # Where components are broadcast, the model tells; where the model lacks them, too, the retraction does.
    problem = Well(lambda g: (lacking(g), g / 40.0))
    with pytest.raises(ValueError, match="is no tangent of the problem"):
        minimize(problem, rule, problem.init(None))


def test_a_tangent_may_have_another_shape_than_the_point():
    class Circle(Well):
        def evaluate(self, point):
            grad = np.array([point[0]])
            return Evaluation(np.float64(point[1]), grad, Euclidean(grad))

        def retract(self, point, step):
            (c,), (s,) = np.cos(step), np.sin(step)
            return np.array([[c, -s], [s, c]]) @ point

    solution = minimize(Circle(None), LBFGS(), np.array([0.6, 0.8]))
    assert solution.converged
    np.testing.assert_allclose(solution.point, [0.0, -1.0], atol=1e-6)


@pytest.mark.parametrize("grad", [None, (), np.ones(2)])
def test_a_scan_refuses_what_is_no_gradient(grad):
    class Traced(HostQuadratic):
        def evaluate(self, point):
            e = super().evaluate(point)
            answer = object.__new__(Evaluation)
            for name, part in {"value": e.value, "grad": grad, "model": e.model}.items():
                object.__setattr__(answer, name, part)
            return answer

    problem, point = started(Traced(traceable=True))
    with pytest.raises((TypeError, ValueError), match="gradient"):
        unroll(problem, ModelStep(), point, 2)
