"""Bias and noise of every estimator of meta-gradients over truncations: `python benchmarks/estimators.py [--json FILE] [--cycles N]`.

A rule of two weights (the model's step times a length, and a momentum) makes 40 moves on eight wells of four unknowns. The true gradient
of the meta-loss, `LogArea()`, is that of full backpropagation; central differences of the loss, printed first, agree with it. Each line
is one estimator with one window: the difference of its mean from the truth and its standard error, both as a fraction of the gradient's
norm, the standard error after a sixteenth and a quarter of the cycles, which has to be four and two times as large, and the standard
deviation of one pair of runs. A cycle is as many calls as a run has windows, after a first one that is left out, with 256 particles.
A line ends as soon as its standard error is below 0.5 %, or after so many cycles. Ten minutes on one core.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import physopt
from physopt import meta

STEPS, PARTICLES, ENOUGH = 40, 256, 0.005
WINDOWS = (1, 2, 5, 10, STEPS)
FAMILY = meta.Quadratics(dim=4, log_condition=(0.5, 1.0), log_spread=(0.3, 0.6), log_bias=(0.4, 0.5))


class HeavyBall(physopt.AbstractRule):
    """The model's step times a length, plus the last step times a momentum: smooth in both, as every step is accepted."""

    weights: jax.Array

    def init(self, evaluation: physopt.Evaluation) -> Any:
        """Return the step before the first: none."""
        return 0.0 * evaluation.grad

    def step(self, evaluation: physopt.Evaluation, state: Any) -> tuple[physopt.Move, Any]:
        """Make one step."""
        step = jnp.exp(self.weights[0]) * evaluation.model.minimize() + self.weights[1] * state
        return physopt.Move(step, accept=evaluation.value == evaluation.value), step


RULE, LOSS = HeavyBall(jnp.array([-1.0, 0.3])), meta.LogArea()


def estimators(window: int) -> dict[str, Any]:
    """Return all estimators with one window; of whole runs, those that have none."""
    whole = {
        "Backprop": meta.Backprop(STEPS),
        "Backprop(every=6)": meta.Backprop(STEPS, every=6),
        "Antithetic": meta.Antithetic(STEPS, sigma=1e-3, pairs=2),
    }
    online = {
        "TruncatedBackprop": meta.TruncatedBackprop(STEPS, window),
        "TruncatedAntithetic": meta.TruncatedAntithetic(STEPS, window, sigma=1e-3),
        "Persistent": meta.Persistent(STEPS, window, sigma=1e-3),
        "NoiseReuse": meta.NoiseReuse(STEPS, window, sigma=1e-3),
    }
    return whole | online if window == STEPS else online


def tasks() -> meta.Tasks:
    """Return eight tasks, each for many particles, so that only the estimators draw."""
    return jax.tree.map(lambda leaf: jnp.repeat(leaf, PARTICLES // 8, axis=0), meta.draw(FAMILY, jax.random.key(1), 8))


def differences() -> np.ndarray:
    """Return the gradient by central differences of the loss."""
    given = meta.draw(FAMILY, jax.random.key(1), 8)

    @jax.jit
    def loss(weights: Any) -> Any:
        def one(mu: Any, key: Any) -> Any:
            problem = FAMILY.problem(mu)
            return LOSS(physopt.unroll(problem, HeavyBall(weights), problem.init(key), STEPS)[1])

        return jax.vmap(one)(given.mus, given.keys).mean()

    shifts = 1e-5 * jnp.eye(2)
    return np.array([float(loss(RULE.weights + h) - loss(RULE.weights - h)) / 2e-5 for h in shifts])


def cycles(estimator: Any, most: int, truth: np.ndarray) -> np.ndarray:
    """Return the mean estimate of each cycle."""
    windows, batch = STEPS // getattr(estimator, "window", STEPS), tasks()

    @eqx.filter_jit
    def cycle(state: Any, key: Any) -> tuple[Any, Any]:
        def call(state: Any, key: Any) -> tuple[Any, Any]:
            estimate, state = estimator(LOSS, RULE, FAMILY, batch, key, state)
            return state, estimate.grad.weights

        return jax.lax.scan(call, state, jax.random.split(key, windows))

    state, found = estimator.init(RULE, FAMILY, PARTICLES), []
    for index in range(most + 1):
        state, grads = cycle(state, jax.random.key(index))
        if index:  # the first runs are shorter
            found.append(np.asarray(grads).mean(axis=0))
        if len(found) >= 64 and std_error(np.array(found)) < ENOUGH * np.linalg.norm(truth):
            break
        if len(found) == 3 and float(np.ptp(found, axis=0).max()) < 1e-12 * np.linalg.norm(truth):
            break  # there is nothing that it draws
    return np.array(found)


def std_error(found: np.ndarray) -> float:
    """Return the standard error of the mean's length; a run may lie in two cycles, so that neighbours are correlated."""
    if len(found) < 4:
        return 0.0
    off = found - found.mean(axis=0)
    variance = (off * off).sum() / (len(off) - 1) + 2.0 * (off[1:] * off[:-1]).sum() / (len(off) - 1)
    return math.sqrt(max(variance, 0.0) / len(off))


def measured(name: str, estimator: Any, window: int, most: int, truth: np.ndarray) -> dict[str, Any]:
    """Return what one line says."""
    found, size = cycles(estimator, most, truth), float(np.linalg.norm(truth))
    parts = [std_error(found[: len(found) // k]) / size for k in (16, 4, 1)]
    pairs = PARTICLES * getattr(estimator, "pairs", 1) * len(found)
    return {
        "estimator": name,
        "window": window,
        "cycles": len(found),
        "bias": float(np.linalg.norm(found.mean(axis=0) - truth)) / size,
        "std_error": parts[-1],
        "std_error_sixteenth": parts[0],
        "std_error_quarter": parts[1],
        "deviation_of_a_pair": parts[-1] * math.sqrt(pairs),
    }


def main() -> None:
    """Measure all, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--cycles", type=int, default=4096, help="at most so many for each line")
    parser.add_argument("--windows", type=int, nargs="*", default=list(WINDOWS))
    asked, records = parser.parse_args(), []
    jax.config.update("jax_enable_x64", True)
    given, key = meta.draw(FAMILY, jax.random.key(1), 8), jax.random.key(0)
    truth = np.asarray(eqx.filter_jit(meta.Backprop(STEPS))(LOSS, RULE, FAMILY, given, key)[0].grad.weights)
    print(f"true gradient {truth}, by differences {differences()}\n")
    print("| estimator | window | off the truth | standard error | after 1/16, 1/4 of the cycles | deviation of a pair | cycles |")
    print("|---|---|---|---|---|---|---|")
    for window in asked.windows:
        for name, estimator in estimators(window).items():
            records.append(r := measured(name, estimator, window, asked.cycles, truth))
            bias, error, first, quarter = (
                f"{100.0 * r[k]:.2f} %" for k in ("bias", "std_error", "std_error_sixteenth", "std_error_quarter")
            )
            cells = (f"`{name}`", str(window), bias, error, f"{first}, {quarter}", f"{r['deviation_of_a_pair']:.2g}", str(r["cycles"]))
            print("|", " | ".join(cells), "|", flush=True)
            if asked.json is not None:
                asked.json.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
