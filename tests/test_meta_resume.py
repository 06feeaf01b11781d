"""A killed and resumed meta-training ends with the weights of an unbroken one, bit for bit."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from instances import sampled
from trained_quadratics import ESTIMATORS, learn

from physopt import Recording
from physopt.core.trajectory import load
from physopt.meta.estimators import Antithetic
from physopt.meta.quadratics import Quadratics
from physopt.meta.training import train
from physopt.rules.learned import Span

ROOT = Path(__file__).resolve().parent
STEPS = 60


def start(folder: Path, weights: Path, estimator: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT.parent), str(ROOT)])}
    command = [sys.executable, str(ROOT / "trained_quadratics.py"), str(folder), str(weights), str(STEPS), estimator]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["antithetic", "persistent"])
def test_killed_and_resumed_training_ends_with_identical_weights(estimator, tmp_path):
    whole = start(tmp_path / "whole", tmp_path / "whole.safetensors", estimator)
    killed = start(tmp_path / "killed", tmp_path / "killed.safetensors", estimator)
    for line in killed.stdout:
        if int(line) == 17:
            break
    killed.kill()
    killed.communicate()
    assert not (tmp_path / "killed.safetensors").exists()
    assert 18 <= load(tmp_path / "killed").num_records < STEPS
    resumed = start(tmp_path / "killed", tmp_path / "killed.safetensors", estimator)
    first = int(resumed.communicate()[0].split()[0])
    whole.communicate()
    assert first >= 18
    assert (resumed.returncode, whole.returncode) == (0, 0)
    assert (tmp_path / "killed.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    runs = [load(tmp_path / name) for name in ("whole", "killed")]
    assert runs[0].status == runs[1].status == "finished"
    np.testing.assert_array_equal(runs[0].columns["loss"], runs[1].columns["loss"])


@pytest.mark.parametrize("estimator", sampled(list(ESTIMATORS), 5))
def test_an_interrupted_and_resumed_training_ends_with_identical_weights(estimator, tmp_path):
    def die(step):
        if step.index == 2:
            raise InterruptedError

    whole, _ = learn(str(tmp_path / "whole"), 4, None, estimator)
    with pytest.raises(InterruptedError):
        learn(str(tmp_path / "killed"), 4, die, estimator)
    resumed, training = learn(str(tmp_path / "killed"), 4, None, estimator)
    assert len(training.loss) == 4 and load(tmp_path / "killed").status == "finished"
    jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(resumed), jax.tree.leaves(whole))


def test_a_finished_training_is_returned_again_and_others_are_refused(tmp_path):
    folder = str(tmp_path / "run")
    trained, training = learn(folder, 3)
    again, same = learn(folder, 3)
    np.testing.assert_array_equal(again.head.skip, trained.head.skip)
    np.testing.assert_array_equal(same.loss, training.loss)
    settings = {"num_steps": 3, "key": jax.random.key(5), "tasks_per_step": 4}
    with pytest.raises(FileExistsError):
        train(Span(width=2, key=jax.random.key(0)), Quadratics(dim=4), Antithetic(6, pairs=2), optax.adam(1e-2), record=folder, **settings)
    with pytest.raises(ValueError, match=r"something else: rule.head.hidden was .*\[2, 13\]"):
        wider, recording = Span(width=3, key=jax.random.key(0)), Recording(folder, resume=True)
        train(wider, Quadratics(dim=4), Antithetic(6, pairs=2), optax.adam(1e-2), record=recording, **settings)
