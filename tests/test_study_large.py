"""Studies with too many unknowns for Hessians: the modes that a run has seen, and what they save."""

import dataclasses

import numpy as np
import pytest

from physopt import Study
from physopt.meta.starts import Folder, Modes, Solve, UnreadableSolveWarning, low_rank, modes_of, task_of

UNKNOWNS = 450


def wires(x, task):
    """Return the energy of two rows of stiffening springs, on a soft ground and under a load at one place, and its gradient."""
    load = 2.0 * np.exp(-(((np.arange(UNKNOWNS) / UNKNOWNS - task["place"]) / 0.1) ** 2))
    d = np.diff(x, prepend=0.0, append=0.0)
    pull = d + task["stiffening"] * d**3
    value = (d**2 / 2 + task["stiffening"] * d**4 / 4).sum() + 1e-3 * x @ x - 1e-2 * load @ x
    return float(value), pull[:-1] - pull[1:] + 2e-3 * x - 1e-2 * load


def draw(random):
    return {"place": random.uniform(0.3, 0.7), "stiffening": random.uniform(0.5, 2.0)}


def test_the_softest_modes_are_those_of_the_hessian():
    random = np.random.default_rng(0)
    axes = np.linalg.qr(random.normal(size=(50, 50)))[0]
    values = np.concatenate([np.logspace(-3, -1, 5), np.linspace(0.9, 1.1, 45)])
    hessian = (axes * values) @ axes.T
    points = [random.normal(size=50) for _ in range(60)]
    modes = modes_of(points, [hessian @ point for point in points])
    assert modes is not None and modes.rest == pytest.approx(np.median(values), rel=1e-6)
    np.testing.assert_allclose(modes.pushed, hessian @ modes.vectors, atol=1e-9)
    inverse, vector = low_rank([modes, modes]), random.normal(size=50)
    np.testing.assert_allclose(inverse.values[:5], values[:5], rtol=1e-6)
    conditioned = np.linalg.eigvals(np.stack([inverse @ column for column in hessian], 1)).real
    assert conditioned.max() / conditioned.min() < 1.3  # and 1100 without
    assert vector @ (inverse @ vector) > 0.0


def test_modes_come_back_from_disk(tmp_path):
    random = np.random.default_rng(2)
    modes = Modes(random.normal(size=(5, 2)), random.normal(size=(5, 2)), 3.0)
    Folder(tmp_path).add(Solve(task_of(1.0, 5), np.ones(5), 1.0, modes=modes))
    (read,) = Folder(tmp_path).solves()
    assert read.modes is not None and read.modes.rest == 3.0
    assert np.array_equal(read.modes.vectors, modes.vectors) and np.array_equal(read.modes.pushed, modes.pushed)
    Folder(tmp_path / "bad").add(Solve(task_of(1.0, 5), np.ones(5), 1.0, modes=modes._replace(pushed=np.ones((4, 2)))))
    with pytest.warns(UnreadableSolveWarning):
        assert Folder(tmp_path / "bad").solves() == []


@pytest.mark.slow
def test_modes_save_calls_and_cost_little_where_they_are_wrong(tmp_path):
    study, random, x0 = Study(tmp_path / "good"), np.random.default_rng(1), np.zeros(UNKNOWNS)
    for _ in range(5):
        study.minimize(wires, x0, draw(random), pass_task=True)
    solves = Folder(tmp_path / "good").solves()
    assert all(solve.hessian is None for solve in solves) and sum(solve.modes is not None for solve in solves) >= 4
    bare, bad = Study(tmp_path / "bare"), Study(tmp_path / "bad", verify=False)
    for solve in solves:
        bare.folder.add(dataclasses.replace(solve, modes=None))
        vectors = np.linalg.qr(random.normal(size=(UNKNOWNS, 30)))[0]
        bad.folder.add(dataclasses.replace(solve, modes=Modes(vectors, vectors * np.exp(6.0 * random.normal(size=30)), 1.0)))
    shares = []
    for _ in range(1):
        task = draw(random)
        gtol = 1e-6 * float(np.linalg.norm(wires(x0, task)[1]))
        more = {"pass_task": True, "record": False, "gtol": gtol}
        with_modes, without = (Study(each.folder.path).minimize(wires, x0, task, **more) for each in (study, bare))
        cold = Study(tmp_path / "cold").minimize(wires, x0, task, **more)
        wrong = bad.minimize(wires, x0, task, **more)
        assert wrong.success and wrong.nfev <= cold.nfev + 0.25 * (wrong.nfev + wrong.saved) + 3
        assert with_modes.success and np.linalg.norm(wires(with_modes.x, task)[1]) <= gtol
        assert with_modes.fun == pytest.approx(cold.fun, rel=1e-9) and with_modes.metric and not without.metric
        shares.append([with_modes.nfev / cold.nfev, without.nfev / cold.nfev])
    assert np.median(shares, axis=0)[0] <= 0.7, shares
