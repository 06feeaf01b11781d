"""Direct solutions: both factorizations solve what the matrix-free operator says."""

import jax.numpy as jnp
import numpy as np
import pytest

from physopt.topopt import direct as module
from physopt.topopt.direct import Direct, dissected, layered
from physopt.topopt.element import conducting_element, elastic_element
from physopt.topopt.stencil import apply_elements

SHAPES = [((7, 12), elastic_element), ((5, 4), conducting_element), ((3, 6, 4), elastic_element), ((1, 9, 2), conducting_element)]


@pytest.mark.parametrize("narrow", [0, 10**9], ids=["superlu", "band"])
@pytest.mark.parametrize("springs", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize(("shape", "element"), SHAPES)
def test_the_solution_is_in_equilibrium(shape, element, springs, narrow, monkeypatch):
    monkeypatch.setattr(module, "NARROW", narrow)
    rng, stiffness = np.random.default_rng(0), element((1.0,) * len(shape))
    nodes = (stiffness.shape[1], *(n + 1 for n in shape))
    held, spring = rng.random(nodes) < 0.1, rng.random(nodes) if springs else None
    held[(slice(None), *(0,) * len(shape))] = held[(slice(None), 0, -1, *(0,) * (len(shape) - 2))] = True
    young, loads = 10.0 ** rng.uniform(-3.0, 0.0, shape), rng.normal(size=(3, *nodes))
    fields = Direct(stiffness, held, spring).solve(young, loads)
    assert not fields[:, held].any()
    for field, load in zip(fields, loads, strict=True):
        answer = np.asarray(apply_elements(stiffness, jnp.asarray(young), jnp.asarray(field))) + (0.0 if spring is None else spring * field)
        np.testing.assert_allclose(answer[~held], load[~held], atol=1e-8)


def test_moduli_too_far_apart_for_a_band_are_solved_all_the_same():
    held, loads = np.zeros((2, 13, 9), bool), np.zeros((1, 2, 13, 9))
    held[:, 0], loads[0, 1, -1, 0] = True, 1.0
    young = np.full((12, 8), 1e-22)
    young[:, :2] = 1.0
    young[6, 6] = 1.0  # an island
    direct = Direct(elastic_element((1.0, 1.0)), held)
    with pytest.raises(np.linalg.LinAlgError):
        direct._by_band(young, loads)
    fields = direct.solve(young, loads)
    alone = Direct(elastic_element((1.0, 1.0)), held[:, :, :3]).solve(young[:, :2], loads[:, :, :, :3])
    np.testing.assert_allclose(fields[0, 1, -1, 0], alone[0, 1, -1, 0], rtol=1e-6)


@pytest.mark.parametrize("shape", [(1,), (9, 4), (5, 17, 3), (1, 40)])
def test_orders_hold_each_node_once(shape):
    for order in (dissected(shape), layered(shape)):
        np.testing.assert_array_equal(np.sort(order), np.arange(np.prod(shape)))


def test_the_band_is_no_wider_than_said():
    for shape in ((7, 12), (12, 7), (3, 6, 4)):
        comp = len(shape)
        direct = Direct(elastic_element((1.0,) * comp), np.zeros((comp, *(n + 1 for n in shape)), bool))
        assert 0.8 * direct.width < direct.band.size / len(direct.band.order) <= direct.width
