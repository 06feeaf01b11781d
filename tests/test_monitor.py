"""The figures of a run, against sequences whose rate is known."""

import jax
import numpy as np
import pytest
from recorded_quadratic import Bowl

from physopt import Stop, minimize
from physopt.cli import main
from physopt.rules import LBFGS
from physopt.runs import Monitor


def test_a_geometric_sequence_has_its_factor_and_its_price():
    k = np.arange(9)
    found = Monitor.of({"value": 0.04**k, "grad_norm": 3.0 * 0.2**k, "cost": np.full(9, 2.0)})
    assert (found.factor, found.late) == (pytest.approx(0.2), pytest.approx(0.2))
    assert found.decades == pytest.approx(np.log10(5.0) / 2.0)
    assert (found.rises, found.overshoot, found.rejected, found.broken, found.excess) == (0.0, 1.0, 0.0, 0, 0.0)
    assert found.reduction == pytest.approx(0.2**8)


def test_two_phases_differ_in_the_late_factor_only():
    norms = np.concatenate([np.full(10, 1.0), 0.1 ** np.arange(1, 11)])
    found = Monitor.of({"value": norms, "grad_norm": norms})
    assert found.late == pytest.approx(0.1)
    assert found.factor == pytest.approx(10.0 ** (-10 / 19))


def test_rises_rejections_and_broken_answers_are_counted():
    norms, values = np.array([1.0, 0.1, 0.5, np.nan, 0.01]), np.array([3.0, 1.0, 2.0, np.nan, 1.5])
    found = Monitor.of({"value": values, "grad_norm": norms, "accept": np.array([1, 1, 1, 0, 0])})
    assert (found.broken, found.rises, found.rejected) == (1, pytest.approx(1 / 3), 0.5)
    assert (found.overshoot, found.excess) == (pytest.approx(5.0), 0.5)


@pytest.mark.parametrize("norms", [[], [1.0], [np.nan, np.nan], [1.0, 0.0], [np.inf, 1e-300]])
def test_what_cannot_be_said_is_not_a_number(norms):
    found = Monitor.of({"value": np.array(norms), "grad_norm": np.array(norms)})
    assert found.evaluations == len(norms)
    assert np.isnan(found.factor) == (np.isfinite(norms).sum() < 2)


def test_the_command_shows_the_figures_of_the_history(tmp_path, capsys):
    solution = minimize(Bowl(), LBFGS(), Bowl().init(jax.random.key(0)), record=tmp_path / "run", stop=Stop(max_evaluations=12))
    told = Monitor.of(solution.history).told()
    assert main(["runs", "show", str(tmp_path / "run")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, text in told.items():
        assert f"{name} {text}" in shown
