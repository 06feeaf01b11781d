"""A small recorded meta-training, as a script to be killed: `trained_quadratics.py FOLDER WEIGHTS STEPS ESTIMATOR`."""

import sys

import jax
import optax

from physopt import Recording
from physopt.core.weights import save_weights
from physopt.meta.estimators import Antithetic, NoiseReuse, Persistent, TruncatedAntithetic, TruncatedBackprop
from physopt.meta.quadratics import Quadratics
from physopt.meta.training import train
from physopt.rules.learned import Span

ESTIMATORS = {
    "antithetic": Antithetic(6, pairs=2),
    "persistent": Persistent(6, 2),
    "noise-reuse": NoiseReuse(6, 2),
    "truncated-backprop": TruncatedBackprop(6, 2),
    "truncated-antithetic": TruncatedAntithetic(6, 2),
}


OPTIM = optax.adam(1e-2)  # one, so that a step is compiled once


def learn(folder: str, num_steps: int, callback=None, estimator="antithetic"):
    recording = Recording(folder, spec={"family": "quadratics"}, resume=True)
    rule = Span(width=2, key=jax.random.key(0))
    settings = {"num_steps": num_steps, "key": jax.random.key(5), "tasks_per_step": 4, "record": recording, "callback": callback}
    return train(rule, Quadratics(dim=4), ESTIMATORS[estimator], OPTIM, **settings)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    folder, weights, steps, estimator = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    rule, _ = learn(folder, steps, lambda progress: print(progress.index, flush=True), estimator)
    save_weights(weights, rule, {})
