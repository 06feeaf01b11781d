"""A run taken up where it stopped is the unbroken run, and what it says that it cost is what an outside meter counts."""

import types

import equinox as eqx
import jax
import numpy as np
import pytest
from instances import ANCHORED_RULES, BEAMS, BOXED_RULES, FIELDS, PROBLEMS, RULES, HostQuadratic, beam, chosen, pairs, started

from physopt import Evaluation, Recording, Stop, minimize, unroll
from physopt.rules.corrected import Corrected
from physopt.rules.gradient import GradientDescent
from physopt.rules.guard import Guard
from physopt.rules.lbfgs import LBFGS
from physopt.rules.mma import MMA, MMAState
from physopt.scf import clock, problem as problem_of_fields
from physopt.scf.kernel import ResponseKernel
from physopt.scf.oracle import Oracle
from physopt.topopt.equilibrium import Equilibrium

TRACED = chosen([p for p in PROBLEMS if p.traceable], RULES, {"rosenbrock-self-scaled-broyden", "log-cosh-well-span"})
SCANNED = chosen([p for p in PROBLEMS if p.traceable], RULES, {"rosenbrock-self-scaled-broyden", "sphere-soap"})
HOSTED = pairs([p for p in PROBLEMS if not p.traceable], RULES, 15) + pairs(FIELDS, ANCHORED_RULES, 9) + pairs(BEAMS, BOXED_RULES, 3)


def same(left, right):
    """Say whether two trees hold the same bits, but for the costs of answers: those of a field are measured times."""
    free = [jax.tree.map(_uncosted, tree, is_leaf=lambda t: isinstance(t, Evaluation)) for tree in (left, right)]
    a, b = ([np.asarray(leaf) for leaf in jax.tree.leaves(tree) if eqx.is_array_like(leaf)] for tree in free)
    return len(a) == len(b) and all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def _uncosted(part):
    return (part.value, part.grad, part.model) if isinstance(part, Evaluation) else part


def close(left, right):
    """Say whether two trees hold the same numbers but for rounding."""
    a, b = ([np.asarray(leaf) for leaf in jax.tree.leaves(tree) if eqx.is_array_like(leaf)] for tree in (left, right))
    return len(a) == len(b) and all(x.dtype == y.dtype and np.allclose(x, y, rtol=1e-11, atol=1e-13) for x, y in zip(a, b, strict=True))


def joined(first, second):
    """Return what two parts of a run found, row by row; the second part begins with the last row of the first."""
    names = ("value", "grad_norm", "step_norm", "accept")
    return [np.concatenate([getattr(first, name), getattr(second, name)[1:]]) for name in names]


def rows(history):
    return [np.asarray(column) for column in (history.value, history.grad_norm, history.step_norm, history.accept)]


@pytest.mark.parametrize(("instance", "rule"), HOSTED + TRACED)
def test_a_run_taken_up_is_the_unbroken_run(instance, rule):
    problem, point = instance.make()
    whole = minimize(problem, rule, point, stop=Stop(max_evaluations=7))
    problem, point = instance.make()  # a self-consistent field remembers its last density
    part = minimize(problem, rule, point, stop=Stop(max_evaluations=4))
    rest = minimize(problem, rule, part, stop=Stop(max_evaluations=4))
    assert rest.history.cost[0] == 0.0
    assert same(joined(part.history, rest.history), rows(whole.history))
    assert same((rest.point, rest.evaluation, rest.state), (whole.point, whole.evaluation, whole.state))
    assert same((rest.carry.base, rest.carry.best_value, rest.lowest), (whole.carry.base, whole.carry.best_value, whole.lowest))


@pytest.mark.parametrize(("instance", "rule"), SCANNED)
def test_a_scan_taken_up_is_the_unbroken_scan(instance, rule):
    problem, point = instance.make()
    scan = eqx.filter_jit(lambda start, steps: unroll(problem, rule, start, steps))
    carry, whole = scan(point, 5)
    middle, first = scan(point, 2)
    end, second = scan(middle, 3)
    assert close(joined(first, second), rows(whole))  # three programs, which need not round alike
    assert close(end, carry)


def counting(patch, kind, name, amount):
    """Replace a method by one that also adds `amount` of its object to the list that is returned."""
    whole, seen = getattr(kind, name), []

    def method(self, *args, **kwargs):
        seen.append(amount(self))
        return whole(self, *args, **kwargs)

    patch.setattr(kind, name, method)
    return seen


def test_a_run_costs_the_calls_of_its_oracle(monkeypatch):
    calls = counting(monkeypatch, HostQuadratic, "evaluate", lambda _: 1.0)
    problem, point = started(HostQuadratic())
    solution = minimize(problem, LBFGS(), point, stop=Stop(max_evaluations=8))
    assert solution.cost == sum(calls) == 8
    again = minimize(problem, LBFGS(), point, stop=Stop(max_cost=5.0))
    assert (again.reason, again.cost) == ("budget", 5.0)


@pytest.mark.parametrize(("instance", "rule"), pairs(BEAMS, BOXED_RULES + RULES, 5))
def test_a_design_costs_the_equations_that_were_solved(instance, rule, monkeypatch):
    problem, point = instance.make()
    solved = counting(monkeypatch, Equilibrium, "work", lambda equilibrium: equilibrium.unknowns)
    solution = minimize(problem, rule, point, stop=Stop(max_evaluations=8))
    assert solution.cost == pytest.approx(sum(solved) / problem.equilibrium.unknowns, rel=1e-12)


@pytest.mark.parametrize(("instance", "rule"), pairs(FIELDS, ANCHORED_RULES + RULES, 9))
def test_a_field_costs_its_builds_and_the_work_of_its_model(instance, rule, monkeypatch):
    """Time stands still but for builds, of one second each, and for responses of the kernel, of an eighth."""
    now, builds, whole = [0.0], [], Oracle.__init__

    def watched(self, mf, kernel):
        whole(self, mf, kernel)
        veff = mf.get_veff

        def build(*args):
            builds.append(1.0)
            now[0] += 1.0
            return veff(*args)

        mf.get_veff = build

    def respond(self):
        now[0] += 0.125
        return 0.125

    for measuring in (clock, problem_of_fields):
        monkeypatch.setattr(measuring, "time", types.SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(Oracle, "__init__", watched)
    responses = [counting(monkeypatch, ResponseKernel, name, respond) for name in ("__call__", "transition")]
    problem, point = instance.make()
    solution = minimize(problem, rule, point, stop=Stop(max_evaluations=6))
    assert len(builds) == 7  # and one for the start
    assert solution.cost == pytest.approx(sum(map(sum, [builds, *responses])), rel=1e-12)


def test_an_answer_whose_cost_is_no_number_is_refused():
    class Dear(HostQuadratic):
        def evaluate(self, point):
            answer = super().evaluate(point)
            return Evaluation(answer.value, answer.grad, answer.model, -1.0)

    problem, point = started(Dear())
    with pytest.raises(ValueError, match="at least 0 is wanted, 1 for one full call"):
        minimize(problem, LBFGS(), point)


def test_the_state_of_a_solution_belongs_to_its_point():
    problem, point = started(HostQuadratic())
    seen = []
    stop = Stop(max_evaluations=5)
    solution = minimize(problem, LBFGS(), point, stop=stop, callback=lambda p: seen.append((p.carry.evaluation.value, p.carry.state)))
    value, state = min(seen, key=lambda pair: pair[0])
    assert value == solution.evaluation.value and same(solution.state, state)
    onward = minimize(problem, LBFGS(), solution.point, state=solution.state, stop=stop)
    fresh = minimize(problem, LBFGS(), solution.point, stop=stop)
    assert onward.evaluation.value < fresh.evaluation.value


@pytest.mark.parametrize("counts", [(2, 5, 8), pytest.param((1, 3, 4, 6, 7), marks=pytest.mark.slow)], ids=str)
def test_a_recorded_run_knows_the_state_of_its_best_point_again(counts, tmp_path):
    """Its last trial is no better, so that resuming has to find the best one in the record."""
    problem, point = started(HostQuadratic())
    worse = GradientDescent()
    whole = minimize(problem, Guard(worse, LBFGS()), point, stop=Stop(max_evaluations=9))
    for count in counts:
        record = tmp_path / str(count)
        minimize(problem, Guard(worse, LBFGS()), point, stop=Stop(max_evaluations=count), record=record)
        resumed = minimize(problem, Guard(worse, LBFGS()), point, stop=Stop(max_evaluations=9), record=Recording(record, resume=True))
        assert same((resumed.point, resumed.state, resumed.carry, resumed.lowest), (whole.point, whole.state, whole.carry, whole.lowest))
        assert resumed.cost == whole.cost


def test_a_state_of_another_rule_is_refused():
    problem, point = started(HostQuadratic())
    other = minimize(problem, LBFGS(), point, stop=Stop(max_evaluations=3))
    with pytest.raises(ValueError, match="none of GradientDescent"):
        minimize(problem, GradientDescent(), other.point, state=other.state)
    with pytest.raises(ValueError, match="brings its own state"):
        minimize(problem, LBFGS(), other, state=other.state)


def test_moving_asymptotes_are_handed_on_to_a_rule_around_them_and_to_another_design():
    problem, cheap = beam(), beam(halvings=1)
    before = minimize(cheap, MMA(), cheap.init(), stop=Stop(max_evaluations=6))
    rule = Corrected(MMA(), cheap, 2)
    state = rule.known(before.state)
    assert isinstance(state, MMAState) and GradientDescent().known(before.state) is None
    seen = []
    minimize(problem, rule, before.point, state=state, stop=Stop(max_evaluations=1), callback=lambda p: seen.append(p.carry.state))
    assert same(seen[0].rule, before.state)
    assert same(rule.known(seen[0]), before.state)
    elsewhere = MMA().take_up(problem.evaluate(problem.init()), before.state)
    np.testing.assert_allclose(elsewhere.asymptotes.half_width(), before.state.asymptotes.half_width(), rtol=1e-12)
    np.testing.assert_array_equal(elsewhere.asymptotes.last, problem.init())
