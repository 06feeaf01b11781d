# %% A learned rule in a training loop of Equinox: a mixture around SOAP's step, with the weights that physopt ships.
import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import physopt

x = jnp.linspace(-1.0, 1.0, 64)[:, None]
network = eqx.nn.MLP(1, 1, width_size=16, depth=2, activation=jnp.tanh, key=jax.random.key(0))
params, static = eqx.partition(network, eqx.is_inexact_array)
rule = physopt.rules.first_order.learned("soap-mixture", horizon=400)
slope = jax.value_and_grad(lambda params: jnp.mean((jax.vmap(eqx.combine(params, static))(x) - jnp.sin(4.0 * x)) ** 2))


def step(carry, _):
    params, state = carry
    loss, grads = slope(params)
    updates, state = rule.update(grads, state, params, value=loss)
    return (optax.apply_updates(params, updates), state), loss


(params, _), losses = jax.jit(lambda params: jax.lax.scan(step, (params, rule.init(params)), length=400))(params)
network = eqx.combine(params, static)
print(f"mean square {losses[0]:.1e} -> {losses[-1]:.1e} after 400 gradients")
