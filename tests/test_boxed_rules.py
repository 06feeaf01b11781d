"""Rules that approximate functions of a bounded design: the laws of their steps, and where they end."""

import dataclasses

import numpy as np
import pytest
import scipy.optimize
from instances import two_sided

from physopt import Recording, Stop, minimize
from physopt.core.boxed import Program, boxed_program
from physopt.rules.asymptotes import approximate
from physopt.rules.corrected import Corrected
from physopt.rules.mirror import MirrorDescent
from physopt.rules.mma import GCMMA, MMA, Poles
from physopt.rules.model_step import ModelStep
from physopt.rules.oc import OptimalityCriteria
from physopt.rules.price import priced
from physopt.rules.search import FullStep
from physopt.topopt import SIMP, DensityFilter, MeanCompliance, PowerMean, SensitivityFilter, Structure, WorstCompliance, half_mbb

RULES = {
    "oc": lambda problem: OptimalityCriteria(),
    "mma": lambda problem: MMA(),
    "gcmma": lambda problem: GCMMA(),
    "mirror": lambda problem: MirrorDescent(),
    "corrected": lambda problem: Corrected(MMA(), problem.changed(halvings=1)),
}
rule_by_name = pytest.mark.parametrize("make", RULES.values(), ids=RULES)


def beam(filtering=DensityFilter(1.5), **options):
    return SIMP(half_mbb((24, 8)), 0.5, filtering, **options)


def run(problem, rule, solutions=60):
    return minimize(problem, rule, problem.init(), stop=Stop(max_evaluations=solutions))


def accepted(solution):
    """Return the values of the trials that a step was made from."""
    return [v for v, ok in zip(solution.history.value[:-1], solution.history.accept[1:], strict=True) if ok]


def random_program(count, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.2, 0.8, 30)
    slopes = -rng.uniform(0.1, 2.0, (count, 30))
    return Program(x, np.full(30, 1e-3), np.ones(30), np.ones(30), float(x.sum()), rng.uniform(1.0, 2.0, count), slopes, True)


@rule_by_name
def test_designs_keep_to_bounds_and_volume(make):
    passive = np.full((24, 8), np.nan)
    passive[10:14, 3:5], passive[:3, 7] = 0.0, 1.0
    problem = beam(passive=passive)
    seen = []
    minimize(problem, make(problem), problem.init(), stop=Stop(max_evaluations=25), callback=lambda p: seen.append(p.carry.trial))
    for design in seen:
        assert (design >= problem.lower - 1e-15).all() and (design <= problem.upper + 1e-15).all()
        density = problem.density(design)
        assert density.mean() <= 0.5 * (1.0 + 1e-9)
        np.testing.assert_array_equal(density[10:14, 3:5], 0.0)
        np.testing.assert_array_equal(density[:3, 7], 1.0)
    assert problem.density(seen[-1]).mean() == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("names", [("oc", "mma", "mirror"), pytest.param(tuple(RULES), marks=pytest.mark.slow)], ids=["some", "all"])
def test_all_rules_come_near_one_design(names):
    problem = beam()
    ends = {name: run(problem, RULES[name](problem), 40).evaluation.value for name in names}
    assert max(ends.values()) <= 1.02 * min(ends.values()), ends


@pytest.fixture(scope="module")
def stationary():
    """Return a convex problem and a design that solves it."""
    problem = beam(penal=1.0)
    solution = run(problem, MirrorDescent(), 500)
    assert solution.history.value[:-100].min() == pytest.approx(solution.evaluation.value, rel=1e-6)
    return problem, solution.point


@pytest.mark.slow
@rule_by_name
def test_a_stationary_design_stays(make, stationary):
    problem, point = stationary
    rule = make(problem)
    moved = minimize(problem, rule, point, stop=Stop(max_evaluations=5))
    if isinstance(rule, Corrected):  # its trials leave even a stationary design, and come back
        assert accepted(moved) == pytest.approx([moved.history.value[0]] * len(accepted(moved)), rel=rule.slack)
    else:
        assert moved.history.value == pytest.approx(moved.history.value[0], rel=1e-5)


@pytest.mark.parametrize("make", [pytest.param(RULES[n], id=n, marks=[pytest.mark.slow] * (n not in ("oc", "corrected"))) for n in RULES])
def test_a_killed_run_resumes_to_the_same_bits(make, tmp_path):
    problem, stop = beam(), Stop(max_evaluations=14)

    def die(progress):
        if progress.index == 6:
            raise InterruptedError

    whole = minimize(problem, make(problem), problem.init(), stop=stop)
    with pytest.raises(InterruptedError):
        minimize(problem, make(problem), problem.init(), stop=stop, record=tmp_path / "run", callback=die)
    resumed = minimize(problem, make(problem), problem.init(), stop=stop, record=Recording(tmp_path / "run", resume=True))
    np.testing.assert_array_equal(resumed.history.value, whole.history.value)
    np.testing.assert_array_equal(resumed.point, whole.point)


HOPELESS = {
    "other law": lambda: beam(penal=1.0),
    "upside down": lambda: SIMP(Structure((24, 8), half_mbb((24, 8)).force[..., ::-1], half_mbb((24, 8)).held), 0.5, DensityFilter(1.5)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOPELESS)
def test_a_hopeless_cheap_problem_loses_all_trust(name):
    alone = run(beam(), MMA(), 40)
    solution = run(beam(), Corrected(MMA(), HOPELESS[name]()), 40)
    assert solution.evaluation.value <= 1.02 * alone.evaluation.value
    assert solution.state.trusted < 8.0


def test_a_cheap_problem_asked_is_counted():
    solution = run(beam(), Corrected(MMA(), beam(halvings=1), 3, price=0.25), 5)
    assert solution.history.cost[0] == 1.0 and set(solution.history.cost[1:]) <= {1.0, 1.25, 1.5, 1.75, 2.0}
    assert solution.cost > 5.0


@pytest.mark.parametrize("rule", [GCMMA(), MirrorDescent()], ids=["gcmma", "mirror"])
def test_accepted_values_fall(rule):
    solution = run(beam(), rule, 40)
    values = accepted(solution)
    assert (np.diff(values) <= 1e-9 * np.abs(values[:-1])).all()


def test_optimality_criteria_are_full_steps_of_the_model():
    problem = beam(SensitivityFilter(1.5))
    one, other = run(problem, OptimalityCriteria(), 20), run(problem, ModelStep(search=FullStep()), 20)
    np.testing.assert_allclose(one.history.value, other.history.value, rtol=1e-6)  # spans end at 1e-6


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_approximation_is_first_order_exact_and_its_minimizer_is_the_minimum(count):
    program = random_program(count)
    model = approximate(program, Poles().first(program), 0.5, np.full(count, 1e-3))
    np.testing.assert_allclose(model.values(program.design), program.values)
    direction, h = np.random.default_rng(1).normal(size=30), 1e-6
    change = (model.values(program.design + h * direction) - model.values(program.design - h * direction)) / (2.0 * h)
    np.testing.assert_allclose(change, program.slopes @ direction, rtol=1e-6)
    found, _ = model.minimizer(1.0)
    limits = [{"type": "ineq", "fun": lambda v: v[-1] - model.values(v[:-1])}]
    limits += [{"type": "ineq", "fun": lambda v: program.volume - model.volume(v[:-1])}]
    bounds = [*zip(model.low, model.high, strict=True), (None, None)]
    start = np.append(program.design, program.values.max())
    reference = scipy.optimize.minimize(lambda v: v[-1], start, bounds=bounds, constraints=limits, method="SLSQP", options={"maxiter": 500})
    assert model.volume(found) <= program.volume * (1.0 + 1e-9)
    assert model.values(found).max() == pytest.approx(reference.fun, rel=1e-5)


@pytest.mark.slow
def test_the_worst_case_is_better_than_under_the_mean():
    worst, mean = two_sided(WorstCompliance()), two_sided(MeanCompliance())
    one, other = run(worst, MMA(), 80), run(mean, MMA(), 80)
    assert one.evaluation.value < 0.97 * worst.evaluate(other.point).value
    values = boxed_program(one.evaluation).values
    assert values.min() > 0.98 * values.max()  # both loads count


@pytest.mark.slow
def test_the_power_mean_lies_between_the_mean_and_the_worst_case():
    work = np.array([[3.0, 0.4], [0.4, 1.0]])
    values = [float(o.linearized(work)[0].max()) for o in (MeanCompliance(), PowerMean(2.0), PowerMean(64.0), WorstCompliance())]
    assert values[0] < values[1] < values[2] < values[3] and values[2] > 0.98 * values[3]
    np.testing.assert_allclose(PowerMean(1.0).linearized(work)[0], values[0])
    worst = two_sided(WorstCompliance())
    best, smooth = run(worst, MMA(), 80), run(two_sided(PowerMean(24.0)), MirrorDescent(), 80)
    assert worst.evaluate(smooth.point).value < 1.05 * best.evaluation.value
    with pytest.raises(ValueError, match="from 1 to 100"):
        PowerMean(0.5)


def test_prices():
    program = random_program(1)
    cheap = lambda price: np.clip(program.design / (1.0 + price), program.lower, program.upper)  # noqa: E731
    design, price = priced(program, lambda price: 0.9 * cheap(price), 5.0)
    assert price == 0.0 and program.used(design) < program.volume
    half = program.used(program.design) / 1.5
    design, price = priced(dataclasses.replace(program, volume=half), cheap, 5.0)
    assert price == pytest.approx(0.5) and program.used(design) == pytest.approx(half)
    with pytest.raises(ArithmeticError, match="volume"):
        priced(program, lambda price: program.upper, 1.0)


@pytest.mark.parametrize("rule", [MMA(), GCMMA(), MirrorDescent()], ids=["mma", "gcmma", "mirror"])
def test_approximations_refuse_slopes_that_are_no_derivatives(rule):
    with pytest.raises(ValueError, match="does not converge with a sensitivity filter"):
        run(beam(SensitivityFilter(1.5)), rule)


@pytest.mark.parametrize("rule", [OptimalityCriteria(), MirrorDescent()], ids=["oc", "mirror"])
def test_rules_for_one_function_refuse_several(rule):
    with pytest.raises(ValueError, match="use MMA"):
        run(two_sided(WorstCompliance()), rule)


def test_poles_are_checked():
    for bad in ({"start": 0.0}, {"wider": 0.9}, {"narrower": 1.1}):
        with pytest.raises(ValueError, match="start lies between"):
            Poles(**bad)
