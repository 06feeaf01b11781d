"""Topology optimization: the mechanics, the retraction that holds the volume, and the published optima."""

import json

import numpy as np
import pytest
from bad_rules import Uphill

from physopt import Recording, Stop, minimize
from physopt.cli import main
from physopt.rules.guard import Guard
from physopt.rules.model_step import ModelStep
from physopt.rules.search import FullStep
from physopt.topopt import SIMP, DensityFilter, SensitivityFilter, Structure, half_mbb
from physopt.topopt.densities import Densities
from physopt.topopt.direct import Direct
from physopt.topopt.element import conducting_element, elastic_element
from physopt.topopt.equilibrium import Equilibrium

BEAM = half_mbb((2, 1))
FILTERS = [SensitivityFilter(1.5), DensityFilter(1.5)]


def small(filtering=DensityFilter(1.5)):
    return SIMP(half_mbb((12, 6)), 0.5, filtering)


def wander(problem, steps, size=1.0, seed=0):
    """Yield designs on a random walk, most of them with densities at both bounds."""
    rng, point = np.random.default_rng(seed), problem.init()
    for _ in range(steps):
        point = problem.retract(point, size * rng.normal(size=point.shape))
        yield point


def test_element_stiffness_of_the_square():
    # Sigmund (2001), appendix: the first entries of the 99-line code's matrix.
    nu, stiffness = 0.3, elastic_element((1.0, 1.0), 0.3)
    np.testing.assert_allclose(stiffness[0, :, 0, 0], np.array([0.5 - nu / 6.0, 0.125 + nu / 8.0]) / (1.0 - nu**2))


@pytest.mark.parametrize(
    ("element", "motions"),
    [(elastic_element((1.0, 2.0)), 3), (elastic_element((1.0, 0.5, 2.0)), 6), (conducting_element((1.0, 1.0, 1.0)), 1)],
)
def test_elements_are_soft_only_against_rigid_motions(element, motions):
    size = int(np.sqrt(element.size))
    eigenvalues = np.linalg.eigvalsh(element.reshape(size, size))
    np.testing.assert_allclose(eigenvalues[:motions], 0.0, atol=1e-14)
    assert eigenvalues[motions] > 1e-3


@pytest.mark.parametrize("shape", [(7, 3), (5, 2, 4)])
def test_a_bar_under_tension_stretches_by_hookes_law(shape):
    young, section = 2.5, float(np.prod(shape[1:]))
    nodes = tuple(n + 1 for n in shape)
    force, held = np.zeros((1, len(shape), *nodes)), np.zeros((len(shape), *nodes), bool)
    # An even traction: a node's share is that of the elements around it.
    share = np.ones(nodes[1:])
    for axis in range(len(shape) - 1):
        for end in (0, -1):
            share[(slice(None),) * axis + (end,)] *= 0.5
    force[0, 0, -1] = share / section
    held[0, 0] = True
    held[1:, 0, *(0,) * (len(shape) - 1)] = True
    if len(shape) == 3:
        held[1, 0, 0, -1] = True  # against turning about the axis
    bar = Structure(shape, force, held)
    work = Equilibrium(bar).work(np.full(shape, young))
    np.testing.assert_allclose(work.matrix, shape[0] / (section * young), rtol=1e-12)


# Compliances of a clamped 2 x 1 x 1 m cantilever under an even traction of 1 N down, E = 70000, on 8x2x4 hexahedra of one density,
# E(rho) = E (1e-3 + (1 - 1e-3) rho^3): the stored references of the Mosaic benchmark, on which five finite-element codes agree.
@pytest.mark.parametrize(
    ("density", "compliance"), [(0.2, "0.0556488"), (0.4, "0.00770596"), (0.5, "0.00397532"), (0.7, "0.00145609"), (0.9, "0.00068616")]
)
def test_compliance_of_a_cantilever_of_hexahedra(density, compliance):
    shape, edges = (8, 2, 4), (0.25, 0.5, 0.25)
    nodes = tuple(n + 1 for n in shape)
    held, force = np.zeros((3, *nodes), bool), np.zeros((1, 3, *nodes))
    held[:, 0] = True
    ends = [np.where(np.isin(np.arange(n + 1), (0, n)), 0.5, 1.0) / n for n in shape[1:]]
    force[0, 2, -1] = -np.outer(*ends)
    young = np.full(shape, 7e4 * (1e-3 + (1.0 - 1e-3) * density**3))
    field = Direct(elastic_element(edges), held).solve(young, force)
    assert f"{(force * field).sum():.{len(compliance) - 2}f}" == compliance


@pytest.mark.parametrize("filtering", FILTERS, ids=["sensitivity", "density"])
def test_filters_average(filtering):
    ones, rng = np.ones((7, 4)), np.random.default_rng(0)
    x, slope = rng.uniform(0.1, 1.0, (2, 7, 4))
    np.testing.assert_allclose(filtering.density(ones), ones)
    weights = Densities(filtering, 0.0, (), np.full((7, 4), np.nan)).weights()
    np.testing.assert_allclose(weights.sum(), 28.0)
    np.testing.assert_allclose((weights * x).sum(), filtering.density(x).sum())
    np.testing.assert_allclose(type(filtering)(1.0).sensitivity(x, slope), slope)  # radius 1 sees no neighbor
    np.testing.assert_allclose(type(filtering)(1e9).density(ones), ones)


def test_the_density_filter_and_its_chain_rule_are_adjoint():
    x, slope = np.random.default_rng(0).normal(size=(2, 7, 4))
    filtering = DensityFilter(2.4)
    np.testing.assert_allclose((filtering.density(x) * slope).sum(), (x * filtering.sensitivity(x, slope)).sum())


@pytest.mark.parametrize("filtering", FILTERS, ids=["sensitivity", "density"])
def test_retraction_holds_volume_bounds_and_move_limit(filtering):
    problem = small(filtering)
    before = problem.init()
    for point in wander(problem, 50, size=2.0):
        assert problem.density(point).mean() == pytest.approx(0.5, abs=1e-13)
        assert point.min() >= 1e-6 and point.max() <= 1.0
        assert np.abs(point - before).max() <= 0.2 + 1e-15
        np.testing.assert_allclose(problem.retract(point, np.zeros_like(point)), point, rtol=1e-14)
        before = point


@pytest.mark.parametrize("filtering", FILTERS, ids=["sensitivity", "density"])
def test_model_laws_hold_at_the_bounds(filtering):
    problem = small(filtering)
    for point in wander(problem, 20):
        evaluation = problem.evaluate(point)
        step = evaluation.model.minimize()
        assert (evaluation.grad * step).sum() < 0.0
        np.testing.assert_allclose(evaluation.model.minimize(-evaluation.grad), 0.0, atol=1e-10)
        np.testing.assert_allclose(problem.retract(point, step), point * np.exp(step), rtol=1e-12)


def test_the_gradient_is_the_slope_of_every_step_that_respects_the_bounds():
    problem = small()
    point = minimize(problem, ModelStep(search=FullStep()), problem.init(), stop=Stop(max_evaluations=30)).point
    solid, void = point >= 1.0, point <= 1e-6
    assert solid.any() and void.any()
    evaluation = problem.evaluate(point)
    rng, h = np.random.default_rng(3), 1e-6
    for _ in range(3):
        step = rng.normal(size=point.shape)
        step = np.where(solid & (evaluation.grad == 0.0), 0.0, np.where(solid, -abs(step), np.where(void, 0.0, step)))
        values = [problem.evaluate(problem.retract(point, t * step)).value for t in (0.0, h, 2.0 * h)]
        slope = (4.0 * values[1] - 3.0 * values[0] - values[2]) / (2.0 * h)
        assert slope == pytest.approx((evaluation.grad * step).sum(), rel=1e-3)  # a density next to a bound meets it within h


def test_full_model_steps_are_the_optimality_criteria():
    problem = small()
    point = problem.init()
    path = []
    minimize(problem, ModelStep(search=FullStep()), point, stop=Stop(max_evaluations=8), callback=lambda p: path.append(p.carry.trial))
    weights = problem.weights
    for after in path[1:]:
        slope = problem.evaluate(point).model.slope
        low, high = 0.0, 1e9
        while high - low > 1e-12 * (high + low):
            price = 0.5 * (low + high)
            new = np.clip(point * np.sqrt(-slope / (price * weights)), np.maximum(1e-6, point - 0.2), np.minimum(1.0, point + 0.2))
            low, high = (price, high) if problem.density(new).mean() > 0.5 else (low, price)
        point = new
        np.testing.assert_allclose(after, point, rtol=1e-8)


@pytest.mark.parametrize(
    ("filtering", "final"),
    [(SensitivityFilter(2.4), 216.81), pytest.param(DensityFilter(2.4), 233.71, marks=pytest.mark.slow)],
    ids=["sensitivity", "density"],
)
def test_published_compliance_of_the_mbb_beam(filtering, final):
    # Andreassen et al. (2011), section 5: 60x20 elements, half the volume, filter radius 2.4.
    problem = SIMP(half_mbb((60, 20)), 0.5, filtering)
    solution = minimize(problem, ModelStep(search=FullStep()), problem.init(), stop=Stop(change=0.01, max_evaluations=300))
    assert solution.converged
    assert solution.history.value[0] == pytest.approx(1007.0221, rel=1e-7)
    assert solution.evaluation.value == pytest.approx(final, rel=1e-3)
    assert problem.density(solution.point).mean() == pytest.approx(0.5, abs=1e-12)
    assert solution.history.grad_norm[-1] < 1e-2 * solution.history.grad_norm[0]


def test_a_search_lowers_the_compliance_in_every_accepted_step():
    problem = small()
    solution = minimize(problem, ModelStep(), problem.init(), stop=Stop(max_evaluations=40))
    accepted = solution.history.value[:-1][solution.history.accept[1:]]
    assert (np.diff(accepted) <= 1e-9).all()


@pytest.mark.parametrize("length", [pytest.param(1e-2, marks=pytest.mark.slow), np.nan])
def test_a_guarded_bad_rule_costs_three_solutions(length):
    problem, stop = small(), Stop(grad_norm=2.0, max_evaluations=150)
    *_, point = wander(problem, 1, 0.1)
    alone = minimize(problem, ModelStep(), point, stop=stop)
    guarded = minimize(problem, Guard(Uphill(length), ModelStep()), point, stop=stop)
    assert alone.converged and guarded.converged
    assert guarded.num_evaluations <= alone.num_evaluations + 3


def test_a_non_finite_design_is_an_answer_not_an_accident():
    problem = small()
    evaluation = problem.evaluate(problem.retract(problem.init(), np.full((12, 6), np.nan)))
    assert np.isnan(evaluation.value)


def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    problem, rule, stop = small(), ModelStep(search=FullStep()), Stop(max_evaluations=12)

    def die(progress):
        if progress.index == 5:
            raise InterruptedError

    whole = minimize(problem, rule, problem.init(), stop=stop)
    with pytest.raises(InterruptedError):
        minimize(problem, rule, problem.init(), stop=stop, record=tmp_path / "run", callback=die)
    resumed = minimize(problem, rule, problem.init(), stop=stop, record=Recording(tmp_path / "run", resume=True))
    np.testing.assert_array_equal(resumed.history.value, whole.history.value)
    np.testing.assert_array_equal(resumed.point, whole.point)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: half_mbb((0, 20)), "empty"),
        (lambda: Structure((2, 1), BEAM.force, np.arange(12).reshape(2, 3, 2) < 2), "rigid motion"),
        (lambda: Structure((2, 1), np.zeros((1, 2, 3, 2)), BEAM.held), "no finite force"),
        (lambda: Structure((2, 1), np.ones((1, 3)), BEAM.held), "forces of shape"),
        (lambda: DensityFilter(0.0), "radius"),
        (lambda: SIMP(half_mbb((2, 1)), 1.0), "volfrac"),
        (lambda: SIMP(half_mbb((2, 1)), 0.5, penal=float("nan")), "penal"),
        (lambda: SIMP(half_mbb((2, 1)), 0.5, move=0.0), "move"),
        (lambda: SIMP(half_mbb((2, 1)), 0.5, poisson=0.5), "Poisson"),
    ],
)
def test_ill_posed_problems_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_command_line(tmp_path, capsys):
    picture, report = tmp_path / "design.png", tmp_path / "design.json"
    arguments = ["topopt", "mbb", "--shape", "12x6", "--rmin", "1.5", "--filter", "density", "--method", "oc"]
    assert main([*arguments, "--plot", str(picture), "--json", str(report), "--record", str(tmp_path / "run")]) == 0
    (result,) = json.loads(report.read_text())["records"]
    assert result["converged"] and f"compliance {result['compliance']:.6g}," in capsys.readouterr().out
    assert picture.stat().st_size > 5000
    assert main([*arguments, "--max-iterations", "3"]) == 3
    assert main([*arguments, "--volfrac", "2"]) == 2
    assert main(["topopt", "mbb", "--shape", "12by6"]) == 2
