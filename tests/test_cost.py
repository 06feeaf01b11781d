"""What a solution is expected to take, and the refusal where it does not fit."""

import numpy as np
import pytest
import scipy.sparse.linalg

from physopt.topopt import Structure, cost
from physopt.topopt.direct import Direct
from physopt.topopt.element import conducting_element, elastic_element
from physopt.topopt.equilibrium import Equilibrium, Iterative
from physopt.topopt.multigrid import Multigrid

GRIDS = [(60, 40), (7, 90), (12, 12, 3), (6, 6, 20), (20, 20, 1), (9, 8, 7)]


def free(shape, comp=None):
    return np.zeros((comp or len(shape), *(n + 1 for n in shape)), bool)


def clamped(shape):
    force, held = np.zeros((1, *free(shape).shape)), free(shape)
    held[:, 0], force[0, 1, -1] = True, 1.0
    return Structure(shape, force, held)


@pytest.mark.parametrize("comp", [1, None], ids=["heat", "elastic"])
@pytest.mark.parametrize("shape", GRIDS)
def test_the_numbers_in_a_sparse_factor_are_foretold(shape, comp):
    element = (conducting_element if comp else elastic_element)((1.0,) * len(shape))
    held = free(shape, comp)
    held[:, 0] = True
    matrix = Direct(element, held).matrix(np.ones(shape))
    options = {"SymmetricMode": True}
    factor = scipy.sparse.linalg.splu(matrix, permc_spec="NATURAL", diag_pivot_thresh=0.0, options=options)
    columns = np.diff(factor.L.indptr).astype(float)
    foretold = cost.dissection(held.shape[1:], len(held))
    assert 0.6 < foretold.numbers / factor.L.nnz < 1.6
    assert 0.5 < foretold.operations / (columns @ columns) < 2.0


@pytest.mark.parametrize(
    ("shape", "multigrid"),
    [
        *[((n, 3, 3), False) for n in (60, 600)],
        *[(shape, False) for shape in ((8, 8, 24), (6, 6, 96), (200, 4, 4), (33, 17, 5), (60, 20), (200, 60))],
        *[(shape, True) for shape in ((60, 60, 4), (120, 120, 4), (100, 100, 1), (64, 32, 32), (1000, 500))],
    ],
)
def test_slender_grids_are_factorized_and_wide_ones_are_not(shape, multigrid):
    assert (cost.by_multigrid(free(shape), 1).seconds < cost.directly(free(shape)).seconds) == multigrid


def test_more_load_cases_speak_for_a_factorization():
    held = free((40, 40, 4))
    assert cost.by_multigrid(held, 1).seconds < cost.directly(held).seconds < cost.by_multigrid(held, 20).seconds


@pytest.mark.parametrize("iterative", [False, True, None])
def test_what_does_not_fit_into_memory_is_refused(iterative, tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("9000000\n")
    (tmp_path / "memory.current").write_text("8000000\n")
    Equilibrium(clamped((12, 6)), iterative=iterative)
    monkeypatch.setattr(cost, "GROUP", tmp_path)
    assert cost.available() <= 1e6
    with pytest.raises(ValueError, match=r"120x60 elements takes some .* GB .* 0\.0 GB are free .* smaller shape"):
        Equilibrium(clamped((120, 60)), iterative=iterative)
    (tmp_path / "memory.max").write_text("max\n")  # no limit
    Equilibrium(clamped((12, 6)), iterative=iterative)


@pytest.mark.slow
def test_where_a_factorization_does_not_fit_iterations_go_on(monkeypatch):
    structure, young = clamped((24, 12)), 10.0 ** np.random.default_rng(0).uniform(-12.0, 0.0, (24, 12))
    monkeypatch.setattr("physopt.topopt.equilibrium.available", lambda: 0.0)
    direct = Direct(elastic_element((1.0, 1.0)), structure.held)
    monkeypatch.setattr(direct, "solve", None)
    solver = Iterative(Multigrid(direct.element, structure.held, coarsest=100), direct, tolerance=1e-15)
    with pytest.warns(UserWarning, match="does not fit into memory"):
        state = solver.solve(young, structure.force)
    assert np.isfinite(state.fields).all() and solver.spent > 400
