"""The comparison of first-order rules: what is counted, which setting is taken, and the tasks themselves."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physopt.bench.l2o import METHODS, Tasks, Tuning, fewer, lowest, quickest, tried
from physopt.cli import main
from physopt.meta.families.networks import factors, poisson

ADAM = np.array([8.0, 4.0, 2.0, 1.0, 1.5])


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (ADAM, 1.0),
        (np.array([4.0, 1.0, 0.5, 0.4, 0.3]), 2.0),  # Adam's lowest after two looks, not four
        (np.array([9.0, 8.0, 6.0, 5.0, 4.0]), 2 / 5),  # never: Adam is there after two of five
        (np.array([9.0, 9.0, 9.0, 9.0, 9.0]), 1 / 5),  # never better than where Adam is first
        (np.array([np.nan, 1.0, np.nan, np.nan, np.nan]), 2.0),
        (np.full(5, np.nan), 1 / 5),
    ],
)
def test_steps_to_the_lowest_loss_of_adam(curve, expected):
    assert fewer(curve, ADAM) == pytest.approx(expected)


def test_the_best_setting_is_taken():
    curves = np.stack([np.stack([ADAM, ADAM / 2.0, ADAM[::-1], np.full(5, np.nan)])] * 3)
    tuning = Tuning(curves, {"rate": np.array([1.0, 2.0, 3.0, 4.0])}, 0.0)
    assert lowest(tuning, 5) == 1 and tuning.at(1) == {"rate": 2.0}
    assert lowest(tuning, 2) == 2  # 1 after two looks
    assert quickest(tuning, np.stack([ADAM] * 3)) == 2  # 1 after two looks, not three


def test_settings_are_chosen_by_what_has_gone_well():
    """Gradient descent on losses c x^2 / 2: the best of rates between 1e-3 and 1 is found, most of which creep or diverge."""

    def curves(settings):
        rate = np.asarray(settings["rate"])[:, None, None]
        return 0.5 * (1.0 - 30.0 * rate) ** (2 * np.arange(1, 6)) * np.ones((1, 3, 1))

    class Known(Tasks):
        def curves(self, name, settings):
            return curves(settings)

    tasks = Known(factors("one", 6, 2), None, None, jnp.zeros((3, 40, 1), jnp.int32))
    for reference in (None, curves({"rate": np.array([0.01])})[0]):
        found = tried("sgd", [tasks], 24, lambda what: None, reference)
        low, high = METHODS["sgd"].ranges["rate"]
        assert found.curves.shape == (3, 24, 5) and all(low <= rate <= high for rate in found.settings["rate"])
        best = lowest(found, 5) if reference is None else quickest(found, reference)
        assert abs(1.0 - 30.0 * found.at(best)["rate"]) < 0.3


def test_an_equation_is_solved_where_its_loss_is_zero():
    task = poisson("one", (1, 4, 1), 1.0)
    _, (x, load) = task.draw(jax.random.key(0))
    amplitude = float(load[0] / jnp.sin(jnp.pi * x[0]))
    np.testing.assert_allclose(load, amplitude * jnp.sin(jnp.pi * x), atol=1e-5)
    zero = jax.tree.map(jnp.zeros_like, task.draw(jax.random.key(0))[0])
    assert float(task.loss(zero, (x, load))) == pytest.approx(1.0, rel=1e-5)  # in units of the load
    assert float(task.loss([*zero[:-1], {**zero[-1], "bias": jnp.ones(1)}], (x, jnp.full(x.shape, 2.0)))) == pytest.approx(0.0, abs=1e-9)


def test_a_matrix_of_low_rank_is_completed_by_its_factors():
    task = factors("one", 6, 2)
    params, (i, j, values) = task.draw(jax.random.key(1))
    full = np.zeros((6, 6))
    full[np.asarray(i), np.asarray(j)] = np.asarray(values)
    left, sizes, right = np.linalg.svd(full)
    assert sizes[2] < 1e-5 * sizes[0]
    exact = {"u": jnp.asarray(left[:, :2] * sizes[:2]), "v": jnp.asarray(right[:2].T)}
    assert float(task.loss(exact, (i, j, values))) < 1e-8 < float(task.loss(params, (i, j, values)))


def test_the_comparison_keeps_its_contract(tmp_path, capsys):
    report = tmp_path / "x.json"
    few = ["--only", "logistic-20,logistic-14", "--seeds", "2", "--steps", "32", "--settings", "2"]
    assert main(["bench", "l2o", "--methods", "sgd", *few, "--json", str(report)]) == 0
    records = json.loads(report.read_text())["records"]
    assert [record["method"] for record in records if "meta_training_s" in record] == ["adam", "sgd"]
    results = [record for record in records if "circle" in record]
    assert len(results) == 4 and {record["circle"] for record in results} == {"similar"}
    wanted = {"family", "circle", "method", "seed", "steps_to_target", "seconds_to_target", "final_loss"}
    assert all(wanted <= record.keys() for record in results)
    assert all(record["fewer"] == 1.0 and record["steps_to_target"] for record in results if record["method"] == "adam")
    assert "fewer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--steps", "20"], "multiple of 16"),
        (["--seeds", "0"], "--seeds"),
        (["--only", "sines-24"], "at least one template to tune on"),
        (["--only", "cosines"], "is no template"),
        (["--methods", "adagrad"], "adagrad"),
    ],
)
def test_senseless_numbers_are_refused(arguments, said, capsys):
    assert main(["bench", "l2o", *arguments]) == 2
    assert said in capsys.readouterr().err
