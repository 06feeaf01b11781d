# %% A rule of physopt in a training loop of Equinox: L-BFGS fits a network.
import equinox as eqx
import jax
import jax.numpy as jnp

import physopt

x = jnp.linspace(-1.0, 1.0, 64)[:, None]
network = eqx.nn.MLP(1, 1, width_size=16, depth=2, activation=jnp.tanh, key=jax.random.key(0))
params, static = eqx.partition(network, eqx.is_inexact_array)
transformation = physopt.rules.as_optax(physopt.rules.LBFGS(memory=20))
state = transformation.init(params)
slope = jax.value_and_grad(lambda params: jnp.mean((jax.vmap(eqx.combine(params, static))(x) - jnp.sin(4.0 * x)) ** 2))
slope, update = jax.jit(slope), jax.jit(transformation.update)
for _ in range(300):
    loss, grads = slope(params)
    updates, state = update(grads, state, params, value=loss)
    params = eqx.apply_updates(params, updates)
network = eqx.combine(state.best, static)  # the last parameters are a trial that has not been judged
print(f"mean square {state.best_value:.1e} after 300 gradients")
