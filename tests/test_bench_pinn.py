"""Trainings beside each other: SOAP, the self-scaled Broyden method, and the comparison of all on one equation."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from physopt.cli import main
from physopt.rules.self_scaled import broyden
from physopt.rules.soap import soap


def run(transformation, grads):
    state, updates = transformation.init(grads[0]), []
    for grad in grads:
        update, state = jax.jit(transformation.update)(grad, state)
        updates.append(update)
    return updates


def test_soap_turns_with_the_gradients():
    rng = np.random.default_rng(0)
    grads = [jnp.asarray(rng.standard_normal((4, 3))) for _ in range(8)]
    u, v = (jnp.asarray(np.linalg.qr(rng.standard_normal((n, n)))[0]) for n in (4, 3))
    plain, turned = run(soap(0.1, every=3), grads), run(soap(0.1, every=3), [u @ g @ v.T for g in grads])
    assert not plain[0].any() and (jnp.abs(plain[-1]) > 1e-3).any()
    for one, other in zip(plain, turned, strict=True):
        np.testing.assert_allclose(u @ one @ v.T, other, atol=1e-10)


def test_soap_is_adam_where_the_axes_are_the_eigenvectors():
    rng = np.random.default_rng(1)
    grads = [jnp.diag(jnp.asarray([3.0, 1.0, 0.2]) * (1.0 + 0.3 * rng.standard_normal(3))) for _ in range(6)]
    adam = optax.adam(0.1, b1=0.0, b2=0.9)
    for ours, its in zip(run(soap(0.1, b1=0.0, b2=0.9), grads)[1:], run(adam, grads[1:]), strict=True):
        np.testing.assert_allclose(ours, its, rtol=1e-6, atol=1e-12)


def test_soap_keeps_single_precision():
    grads = [{"matrix": jnp.ones((3, 2), jnp.float32), "row": jnp.arange(2, dtype=jnp.float32), "none": jnp.zeros(0, jnp.float32)}] * 3
    for update in run(soap(jnp.asarray(0.1)), grads):
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(update))


@pytest.mark.parametrize("seed", range(4))
def test_self_scaled_broyden_keeps_the_secant_equation_and_stays_positive(seed):
    rng = np.random.default_rng(seed)
    half, s = rng.standard_normal((5, 5)), rng.standard_normal(5)
    inverse, hessian = half @ half.T + 0.1 * np.eye(5), np.diag(10.0 ** rng.uniform(-2, 2, 5))
    y, descent = hessian @ s, s @ np.linalg.solve(inverse, s)
    found = broyden(jnp.asarray(inverse), jnp.asarray(s), jnp.asarray(y), descent)
    np.testing.assert_allclose(found @ y, s, rtol=1e-8)
    np.testing.assert_allclose(found, found.T, rtol=1e-9, atol=1e-12)
    assert np.linalg.eigvalsh(found).min() > 0.0


def test_a_perfect_secant_pair_changes_nothing():
    inverse = jnp.diag(jnp.array([1.0, 0.5, 0.1]))
    s = jnp.array([1.0, -2.0, 0.3])
    y = jnp.linalg.solve(inverse, s)
    np.testing.assert_allclose(broyden(inverse, s, y, s @ y), inverse, atol=1e-6)


def test_the_comparison_keeps_its_contract(tmp_path, capsys):
    report = tmp_path / "x.json"
    assert main(["bench", "pinn", "poisson", "--set", "dim=1", "--methods", "physopt", "--json", str(report)]) == 0
    (record,) = json.loads(report.read_text())["records"]
    assert {"case", "method", "seed", "start", "steps_to", "seconds_to", "final_rel_l2", "compile_s", "parameters"} <= record.keys()
    assert record["final_rel_l2"] < 1e-9 and record["estimated_rel_l2"] < 1e-7 and record["claimed_converged"]
    assert list(record["seconds_to"]) == ["1e-2", "1e-3", "1e-4", "1e-5", "1e-6", "1e-7"] and "physopt" in capsys.readouterr().out
    assert main(["bench", "pinn", "cavity", "--methods", "physopt"]) == 2
    assert "no reference" in capsys.readouterr().err
    assert main(["bench", "pinn", "poisson", "--methods", "newton"]) == 2
    assert main(["bench", "pinn", "poisson", "--seeds", "0"]) == 2


@pytest.mark.slow
def test_every_training_gets_nearer_and_says_so(tmp_path):
    report = tmp_path / "x.json"
    assert main(["bench", "pinn", "poisson", "--set", "dim=1", "--seeds", "1", "--limit", "4", "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    assert found["tuned_on"] == {"dim": 2}
    for record in found["records"]:
        assert record["best_rel_l2"] < 0.2, record
        assert record["method"] == "physopt" or record["tuning"]["setting"] in map(float, record["tuning"]["errors"])
        times = [seconds for seconds in record["seconds_to"].values() if seconds is not None]
        assert times == sorted(times)


@pytest.mark.slow
def test_neighbours_are_solved_first_and_not_counted(tmp_path):
    report, methods = tmp_path / "x.json", ["--methods", "physopt,physopt-library"]
    assert main(["bench", "pinn", "reaction", "--set", "rho=5", "--neighbours", "rho=4,6", *methods, "--json", str(report)]) == 0
    cold, near = json.loads(report.read_text())["records"]
    assert (cold["start"], near["start"]) == ("cold", "span") and near["neighbours_s"] > cold["neighbours_s"]
    assert near["steps"] < cold["steps"] and near["final_rel_l2"] < 1e-6


def test_neighbours_have_as_many_values_each(capsys):
    assert main(["bench", "pinn", "gray-scott", "--neighbours", "feed=0.03,0.04", "kill=0.05,0.06,0.07"]) == 2
    assert "as many as the others" in capsys.readouterr().err
    assert main(["bench", "pinn", "reaction", "--methods", "physopt-library"]) == 2
