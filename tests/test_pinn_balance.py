"""Weights of losses for training of first order, each against its formula on numbers that can be checked by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from physopt import pinn
from physopt.pinn.sampling import weighted

ONES = jnp.ones(2)


def test_weighted_gradients_become_equally_long():
    grads = [{"a": jnp.array([3.0, 0.0]), "b": jnp.array(4.0)}, {"a": jnp.array([0.0, 0.5]), "b": jnp.array(0.0)}]  # of lengths 5 and 0.5
    np.testing.assert_allclose(pinn.gradient_norm_weights(grads, ONES, decay=0.0), [1.1, 11.0])
    np.testing.assert_allclose(pinn.gradient_norm_weights(grads, ONES), [0.9 + 0.11, 0.9 + 1.1])
    nothing = [grads[0], jax.tree.map(jnp.zeros_like, grads[1])]
    np.testing.assert_allclose(pinn.gradient_norm_weights(nothing, ONES, decay=0.0), [1.0, 1.0])


def test_traces_of_the_kernel_become_equal():
    jacobians = [jnp.array([[1.0, 2.0, 0.0], [0.0, 1.0, 0.0]]), jnp.array([[1.0], [1.0]])]  # traces 6 and 2
    np.testing.assert_allclose(pinn.kernel_weights(jacobians, ONES, decay=0.0), [8.0 / 6.0, 4.0])


def test_relative_balance_looks_back_at_the_start_or_at_the_last_step():
    begun = pinn.Relobralo.of(jnp.array([4.0, 1.0]), temperature=1.0, decay=0.5, lookback=1.0)
    one = begun.next(jnp.array([2.0, 1.0]), jax.random.key(0))
    share = 2.0 / (1.0 + np.exp(0.5))  # two terms that have fallen to 0.5 and 1
    np.testing.assert_allclose(one.weights, [0.5 + 0.5 * share, 0.5 + 0.5 * (2.0 - share)], rtol=1e-12)
    forgetful = pinn.Relobralo.of(jnp.array([4.0, 1.0]), temperature=1.0, decay=1.0, lookback=0.0)
    two = forgetful.next(jnp.array([2.0, 1.0]), jax.random.key(0)).next(jnp.array([1.0, 1.0]), jax.random.key(1))
    share = 2.0 / (1.0 + np.exp(0.75))  # since the start, to 0.25 and 1
    np.testing.assert_allclose(two.weights, [share, 2.0 - share], rtol=1e-12)


def test_later_times_wait_for_earlier_ones():
    times, squares = jnp.array([0.1, 0.4, 0.6, 1.0, 2.0]), jnp.array([1.0, 3.0, 0.5, 0.0, 7.0])
    found = pinn.causal_weights(times, squares, (0.0, 2.0), slabs=4, epsilon=0.1)  # slabs of 0.5 with means 2, 0.5, 0 and 7
    np.testing.assert_allclose(found, np.exp([0.0, 0.0, -0.2, -0.25, -0.25]), rtol=1e-12)


def test_points_gather_where_the_residual_is():
    line = pinn.Problem(pinn.Box(x=(0, 1)), lambda u: u.xx, [pinn.Boundary(lambda u: u)])
    size = lambda x: (x[:, 0] > 0.9).astype(float)  # noqa: E731
    share = lambda **how: size(weighted(line, np.random.default_rng(0), 4000, size, **how)).mean()  # noqa: E731
    # A tenth of the line has the residual 1, the mean is 0.1: densities 10 + c and c, and at most 0.4 of the points are there.
    assert share(floor=1e6) < 0.12
    assert share(floor=1.0) > 0.3 > share(floor=100.0)
    sloped = lambda power: np.mean(weighted(line, np.random.default_rng(0), 4000, lambda x: x[:, 0], power=power, floor=0.0))  # noqa: E731
    assert 0.5 < sloped(0.5) < sloped(1.0) < sloped(4.0)


def test_the_loss_is_the_sum_of_its_terms():
    decay = pinn.Problem(None, lambda u: u.t + u, [pinn.Start(lambda u: u - 1.0)], time=(0, 1))
    network = pinn.Network.of(decay, width=3, depth=1, points=30, boundary_weight=3.0)
    point = network.init(jax.random.key(0))
    terms, loss, r = jax.jit(lambda at: (network.terms(at), network.loss(at), network.residual(at)))(point)
    np.testing.assert_allclose(terms.sum(), loss, rtol=1e-12)
    count = len(network.batches[0].points)
    np.testing.assert_allclose(terms, [0.5 * jnp.sum(r[:count] ** 2), 0.5 * jnp.sum(r[count:] ** 2)], rtol=1e-12)
