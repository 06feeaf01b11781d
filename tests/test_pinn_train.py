"""Training a network from what others have learned: units, slopes in the parameters, starts, the folder, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from physopt import pinn
from physopt.pinn.method.neighbours import Networks, physical, scaled
from physopt.rules.model_step import ModelStep

SMALL = {"width": 5, "depth": 1}


def decay(rate, size=1.0):
    """Return u' + rate u = 0, u(0) = size."""
    start = pinn.Start(lambda u: u - size)
    reference = lambda t, rate: size * np.exp(-rate * t)  # noqa: E731
    return pinn.Problem(None, lambda u, rate: u.t + rate * u, [start], time=(0, 1), reference=reference, rate=rate)


@pytest.fixture(scope="module")
def first():
    return pinn.train(decay(1.0), 1e-4, **SMALL)


def test_a_network_keeps_its_fields_in_other_units():
    own, other = (pinn.Network.of(decay(1.0, size), points=40, **SMALL) for size in (1.0, 1e6))
    point = own.init(jax.random.key(0))
    times = jnp.linspace(0.0, 1.0, 7)[:, None]
    carried = scaled(other, physical(own, point))
    here, there = jax.jit(lambda a, b: (own.jets(a, times, ((0,), (1,))), other.jets(b, times, ((0,), (1,)))))(point, carried)
    np.testing.assert_allclose(there, here, rtol=1e-10)
    assert other.scales.fields[0] > 1e5


def test_the_slopes_in_the_parameters_and_along_directions_are_derivatives():
    problem = decay(1.3)
    network = pinn.Network.of(problem, points=40, **SMALL)
    fresh = network.init(jax.random.key(0))
    family, flat, task = Networks(problem, network, fresh, 0), np.asarray(ravel_pytree(fresh)[0]), np.array([1.3])
    linear = family.linearize(flat, task)
    assert linear.norm(flat, task) == pytest.approx(np.linalg.norm(linear.residual), rel=1e-12)
    # The norm alone is seen from outside: its slope is <r, dr/dmu> / |r|.
    slope = (linear.norm(flat, task + 1e-5) - linear.norm(flat, task - 1e-5)) / 2e-5
    assert linear.residual @ linear.slopes[:, 0] / linear.norm(flat, task) == pytest.approx(slope, rel=1e-6)
    direction = np.random.default_rng(0).standard_normal((1, flat.size))
    residual, along = family.along(flat, task, direction)
    assert np.linalg.norm(residual) == pytest.approx(family.norm(flat, task), rel=1e-12)
    slope = (family.norm(flat + 1e-6 * direction[0], task) - family.norm(flat - 1e-6 * direction[0], task)) / 2e-6
    assert residual @ along[:, 0] / family.norm(flat, task) == pytest.approx(slope, rel=1e-5)


def test_a_fresh_network_is_trained_to_the_estimated_error(first):
    assert first.start == "cold" and first.answer.converged and first.answer.error <= 1e-4
    assert first.answer.true_error() < 5e-4
    assert first.answer.factors == first.steps >= 20
    assert first.answer(t=0.5) == pytest.approx(np.exp(-0.5), abs=1e-3)


def test_a_neighbour_saves_most_steps(first):
    second = pinn.train(decay(1.2), 1e-4, near=first.answer, seed=3, **SMALL)
    assert second.start in ("tangent", "nearest") and second.answer.converged
    assert second.steps < 0.5 * first.steps
    assert second.answer.true_error() < 5e-4


@pytest.mark.slow
def test_a_folder_remembers_networks_and_tells_shapes_and_equations_apart(tmp_path, first):
    folder = tmp_path / "solved"
    one = pinn.train(decay(1.0), 1e-4, library=folder, steps=25, **SMALL)
    two = pinn.train(decay(1.1), 1e-4, library=folder, steps=5, **SMALL)
    other = pinn.train(decay(1.1), 1e-4, library=folder, steps=1, width=4, depth=1)
    assert (one.start, other.start) == ("cold", "cold") and two.start != "cold"
    assert len(list(folder.glob("*.h5"))) == 3
    growth = pinn.Problem(None, lambda u, rate: u.t - 5.0 * rate * u, [pinn.Start(lambda u: u - 1.0)], time=(0, 1), rate=1.0)
    foreign = pinn.train(growth, 1e-4, library=folder, steps=1, **SMALL)
    assert foreign.start == "cold" and foreign.steps < 1.2


@pytest.mark.slow
def test_an_easy_end_is_where_a_march_begins():
    march = pinn.train(decay(2.0), 1e-3, easy={"rate": 0.5}, **SMALL)
    assert march.start == "march" and march.answer.converged
    assert march.answer.true_error() < 5e-3


@pytest.mark.slow
def test_any_rule_trains_and_a_callback_ends(first):
    counts = []
    training = pinn.train(decay(1.0), 1e-12, rule=ModelStep(), callback=lambda count, trained: counts.append(count) or count >= 3, **SMALL)
    assert counts == [1, 2, 3] == list(range(1, round(training.steps) + 1))
    assert not training.answer.converged and training.answer.error > 1e-12 and "more steps may help" in training.answer.why


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda near: pinn.train(decay(1.0), near=pinn.solve(decay(1.0), 1e-4), **SMALL), "without a network"),
        (lambda near: pinn.train(decay(1.0), near=near, width=6, depth=1), "cannot be near"),
        (lambda near: pinn.train(decay(1.0), easy={"rte": 0.5}, **SMALL), "'rte' is no parameter"),
        (lambda near: pinn.train(decay(1.0), tol=0.0, **SMALL), "tol is 0.0"),
        (lambda near: pinn.train(decay(1.0), steps=0, **SMALL), "steps is 0"),
        (lambda near: pinn.train(decay(1.0), width=0, depth=1), "width 0"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message, first):
    with pytest.raises(ValueError, match=message):
        make(first.answer)


def test_a_library_of_a_problem_without_parameters_is_refused(tmp_path):
    problem = pinn.Problem(None, lambda u: u.t + u, [pinn.Start(lambda u: u - 1.0)], time=(0, 1))
    with pytest.raises(ValueError, match="has none"):
        pinn.train(problem, library=tmp_path, **SMALL)
