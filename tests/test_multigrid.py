"""The iterative solution of the finite-element equations, against the direct one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from physopt import Stop, minimize
from physopt.rules.model_step import ModelStep
from physopt.rules.search import FullStep
from physopt.topopt import SIMP, DensityFilter, Structure, half_mbb
from physopt.topopt.direct import Direct
from physopt.topopt.element import conducting_element, elastic_element
from physopt.topopt.equilibrium import Equilibrium, Iterative
from physopt.topopt.layers import eliminate, substitute
from physopt.topopt.multigrid import Multigrid
from physopt.topopt.stencil import apply_elements, apply_stencil, element_diagonal, gather, half_elements, interpolate, stencil_of

ELEMENTS = [
    pytest.param((12, 6), elastic_element((1.0, 1.0)), (True, True), id="plane", marks=pytest.mark.slow),
    pytest.param((6, 4, 4), elastic_element((1.0, 1.0, 1.0)), (True, True, True), id="solid", marks=pytest.mark.slow),
    pytest.param((6, 4, 1), elastic_element((1.0, 1.0, 1.0)), (True, True, False), id="plate", marks=pytest.mark.slow),
    pytest.param((3, 8, 2), elastic_element((1.0, 1.0, 1.0)), (False, True, False), id="bar", marks=pytest.mark.slow),
    pytest.param((8, 6), conducting_element((1.0, 1.0)), (True, True), id="heat"),
]


def matrix_of(operator, field):
    """Return the matrix of a linear map of fields."""
    columns = jax.vmap(lambda unit: operator(unit.reshape(field.shape)).ravel())(jnp.eye(field.size))
    return np.asarray(columns).T


def some_field(shape, comp, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(comp, *(n + 1 for n in shape))))


@pytest.mark.parametrize(("shape", "element", "halved"), ELEMENTS)
def test_matrix_free_operators_are_the_assembled_matrix_and_its_galerkin_product(shape, element, halved):
    young = jnp.asarray(np.random.default_rng(1).uniform(0.1, 1.0, shape))
    field = some_field(shape, element.shape[1])
    nothing = np.zeros(field.shape, bool)
    direct = Direct(element, nothing)
    back = np.argsort(direct.sparse.pattern.order)
    assembled = direct.matrix(np.asarray(young)).toarray()[np.ix_(back, back)]
    np.testing.assert_allclose(apply_elements(element, young, field).ravel(), assembled @ field.ravel(), atol=1e-13)
    np.testing.assert_allclose(element_diagonal(element, young).ravel(), np.diag(assembled), atol=1e-14)
    half = some_field([n // 2 if each else n for n, each in zip(shape, halved, strict=True)], element.shape[1])
    prolongation = matrix_of(lambda u: interpolate(u, halved), half)
    np.testing.assert_allclose(matrix_of(lambda u: gather(u, halved), field), prolongation.T, atol=1e-15)
    coarse = apply_stencil(stencil_of(half_elements(element, young, halved)), half)
    np.testing.assert_allclose(coarse.ravel(), prolongation.T @ assembled @ prolongation @ half.ravel(), atol=1e-13)


@pytest.mark.parametrize("shape", [(2, 2, 7), *(pytest.param(s, marks=pytest.mark.slow) for s in ((7, 3), (4, 1), (3, 5, 2), (1, 6, 4)))])
def test_elimination_layer_by_layer_solves_a_coarse_grid(shape):
    element, young = elastic_element((1.0,) * len(shape)), 10.0 ** np.random.default_rng(2).uniform(-3.0, 0.0, shape)
    held = np.zeros((len(shape), *(n + 1 for n in shape)), bool)
    held[:, 0] = True
    field = np.where(held, 0.0, some_field(shape, len(shape)))
    with jax.enable_x64(True):
        factor = eliminate(Multigrid(element, held)._only(jnp.asarray(young)))
        load = jnp.where(held, 0.0, apply_elements(element, jnp.asarray(young), jnp.asarray(field)))
        np.testing.assert_allclose(substitute(factor, load), field, atol=1e-3)
        assert Multigrid(element, held).steps == []


def optimized(structure, steps):
    """Return an iterate of the optimality criteria: nearly solid and void."""
    problem = SIMP(structure, 0.4, DensityFilter(1.5))
    solution = minimize(problem, ModelStep(search=FullStep()), problem.init(), stop=Stop(max_evaluations=steps))
    return problem.young(problem.density(solution.point))


def cantilever(shape):
    """Return a block clamped at x = 0, loaded in two cases at its other end: no side is a power of two."""
    nodes = tuple(n + 1 for n in shape)
    force, held = np.zeros((2, len(shape), *nodes)), np.zeros((len(shape), *nodes), bool)
    held[:, 0] = True
    force[0, 1, -1, 0] = force[1, 0, -1, -1] = -1.0
    return Structure(shape, force, held)


@pytest.mark.parametrize(
    "structure",
    [
        half_mbb((40, 22)),
        pytest.param(cantilever((18, 7)), marks=pytest.mark.slow),
        pytest.param(cantilever((10, 6, 6)), marks=pytest.mark.slow),
    ],
    ids=["mbb", "plane", "solid"],
)
def test_multigrid_agrees_with_the_direct_solver_on_optimized_designs(structure):
    young = optimized(structure, 25)
    assert young.max() / young.min() > 1e6
    element = elastic_element((1.0,) * len(structure.shape))
    direct = Direct(element, structure.held)
    multigrid = Multigrid(element, structure.held, coarsest=300)
    assert multigrid.steps
    solver = Iterative(multigrid, direct)
    state = solver.solve(young, structure.force, tolerance=1e-8)
    exact = direct.solve(young, structure.force)
    compliances = [(structure.force * fields).sum(axis=tuple(range(1, exact.ndim))) for fields in (state.fields, exact)]
    np.testing.assert_allclose(*compliances, rtol=1e-6)
    assert state.iterations < 30 and 0.0 < state.residual <= 1e-8
    again = solver.solve(young, structure.force, state.fields, 1e-7)
    assert again.iterations == 0


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(24, 20, 1), (21, 13, 5)], ids=["sheet", "odd"])
def test_thin_grids_with_islands_are_solved_as_directly(shape):
    rng, element = np.random.default_rng(0), elastic_element((1.0,) * 3)
    nodes = (3, *(n + 1 for n in shape))
    held, loads = np.zeros(nodes, bool), np.zeros((2, *nodes))
    held[:, 0] = True
    loads[0, 0, -1, -1, -1] = loads[1, -1, -1, -1] = 1.0  # along the plate, and across it
    # Blobs with gray rims as a filter leaves them; some float in void that is 1e9 times softer.
    blobs = scipy.ndimage.gaussian_filter(rng.normal(size=shape), 1.2)
    young = 1e-9 + np.clip(0.5 + 0.7 * blobs / blobs.std(), 0.0, 1.0) ** 3
    young[:, shape[1] // 2] = young[shape[0] // 2] = 1.0
    direct, multigrid = Direct(element, held), Multigrid(element, held, coarsest=300, layer=60)
    assert multigrid.steps
    state = Iterative(multigrid, direct, 1e-7).solve(young, loads)
    exact = direct.solve(young, loads)
    works = [loads.reshape(2, -1) @ u.reshape(2, -1).T for u in (state.fields, exact)]
    np.testing.assert_allclose(works[0], works[1], atol=1e-4 * np.abs(works[1]).max())
    assert 0 < state.iterations < 100 and state.residual > 0.0


@pytest.mark.slow
def test_iterations_do_not_grow_with_the_grid():
    counts, design = [], optimized(half_mbb((24, 12)), 30)
    for factor in (1, 2, 4):
        structure = half_mbb((24 * factor, 12 * factor))
        multigrid = Multigrid(elastic_element((1.0, 1.0)), structure.held, coarsest=200)
        young = np.kron(design, np.ones((factor, factor)))
        counts.append(Iterative(multigrid, Direct(multigrid.element, structure.held)).solve(young, structure.force).iterations)
    assert max(counts) <= min(counts) + 4


@pytest.mark.slow
def test_a_design_out_of_reach_is_solved_directly_and_said_so():
    structure = half_mbb((24, 12))
    element = elastic_element((1.0, 1.0))
    young = 10.0 ** np.random.default_rng(0).uniform(-12.0, 0.0, (24, 12))  # dust: no grid sees what holds what
    direct = Direct(element, structure.held)
    solver = Iterative(Multigrid(element, structure.held, coarsest=100), direct, tolerance=1e-12)
    with pytest.warns(UserWarning, match="nothing holds"):
        state = solver.solve(young, structure.force)
    np.testing.assert_array_equal(state.fields, direct.solve(young, structure.force))


@pytest.mark.slow
def test_thick_supports_beside_void_are_no_obstacle():
    structure = half_mbb((32, 16))
    held, force = np.zeros_like(structure.held), np.zeros_like(structure.force)
    held[:, :4, :7] = True  # stiff elements that nothing moves, and void beside them that moves freely
    young = np.full(structure.shape, 1e-9)
    young[:, :6] = np.random.default_rng(0).uniform(0.1, 1.0, (32, 6))
    force[:, 1, -1, :7] = 1.0
    multigrid = Multigrid(elastic_element((1.0, 1.0)), held, coarsest=100)
    state = Iterative(multigrid, Direct(multigrid.element, held)).solve(young, force)
    assert 0 < state.iterations < 30 and state.residual > 0.0


@pytest.mark.slow
def test_an_optimization_is_the_same_by_either_solver():
    ways = []
    for iterative in (False, True):
        problem = SIMP(half_mbb((36, 18)), 0.5, DensityFilter(2.0), iterative=iterative)
        ways.append(minimize(problem, ModelStep(search=FullStep()), problem.init(), stop=Stop(max_evaluations=20)))
    assert isinstance(problem.equilibrium, Equilibrium) and problem.equilibrium.iterative is not None
    np.testing.assert_allclose(ways[1].history.value, ways[0].history.value, rtol=1e-5)
