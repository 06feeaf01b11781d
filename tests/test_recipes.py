"""Rules in other frameworks, as the documentation writes it; run where these are installed (none is a dependency)."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

JINNS = """
import equinox as eqx, jax, jax.numpy as jnp, optax
jax.config.update("jax_enable_x64", True)
import jinns, physopt

class Decay(jinns.loss.ODE):
    def equation(self, t, u, params):
        return jax.jacfwd(lambda s: u(s, params))(t).reshape(1) + u(t, params)

layers = ((eqx.nn.Linear, 1, 16), (jnp.tanh,), (eqx.nn.Linear, 16, 1))
u, weights = jinns.nn.PINN_MLP.create(key=jax.random.key(0), eqx_list=layers, eq_type="ODE")
params = jinns.parameters.Params(nn_params=weights, eq_params={})
loss = jinns.loss.LossODE(
    u=u, dynamic_loss=Decay(), initial_condition=(0.0, jnp.ones(1)), params=params,
    loss_weights=jinns.loss.LossWeightsODE(dyn_loss=1.0, initial_condition=1.0),
)
data = jinns.data.DataGeneratorODE(key=jax.random.key(1), nt=40, tmin=0.0, tmax=2.0, method="grid")
solved = jinns.solve(
    n_iter=200, init_params=params, data=data, loss=loss, optimizer=physopt.rules.as_optax(physopt.rules.SelfScaledBroyden()),
    extra_optax_args_and_kwargs={"value": jinns.solver.GetJinnsVariableName("train_loss_value")},
)
params = optax.tree.get(solved[5], "best")
error = max(abs(u(jnp.array([t]), params) - jnp.exp(-t))[0] for t in (0.5, 1.0, 2.0))
"""

DEEPXDE = """
import os
os.environ["DDE_BACKEND"] = "jax"
import deepxde as dde, jax.numpy as jnp, numpy as np, optax, physopt

domain = dde.geometry.TimeDomain(0, 2)
start = dde.icbc.IC(domain, lambda t: np.ones_like(t), lambda _, first: first)
equation = lambda t, y: dde.grad.jacobian(y, t)[0] + y[0]
model = dde.Model(dde.data.PDE(domain, equation, [start], 40, 2), dde.nn.FNN([1, 16, 1], "tanh", "Glorot normal"))

def loss(params):
    inputs, targets, _ = model.data.train_next_batch()
    return jnp.sum(model.outputs_losses_train(params, inputs, targets)[1])

rule = physopt.rules.as_optax(physopt.rules.SelfScaledBroyden())
model.compile(optax.GradientTransformation(rule.init, lambda grads, state, _=None: rule.update(grads, state, value_fn=loss)))
model.train(iterations=200)
model.params = model.opt_state.best
model.net.params = model.params[0]
t = np.array([[0.5], [1.0], [2.0]])
error = abs(model.predict(t)[:, 0] - np.exp(-t[:, 0])).max()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("framework", "script", "accuracy"), [("jinns", JINNS, 1e-3), ("deepxde", DEEPXDE, 1e-3)])
def test_a_rule_trains_in_another_framework(framework, script, accuracy, tmp_path):
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed: pip install {framework}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    asked = script + f"\nprint(error)\nassert error < {accuracy}, error"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=1200, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
