"""Take one part after the other out of the solver of differential equations and of the training of networks, and see what it was for.

    OMP_NUM_THREADS=1 python benchmarks/ablation.py solver --equations wave:c=2 convection:beta=30
    OMP_NUM_THREADS=1 python benchmarks/ablation.py training --equations reaction:rho=5 burgers:nu=0.03

Errors are against the reference, on a grid without training points; the solver's without its correction, too. Seconds are the processor's,
those of compiling left out for the solver, which solves to 0.3 first, and included for trainings.
"""

import argparse
import contextlib
import json
import os
import time
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import numpy as np
import scipy.linalg

import physopt.pinn.bases as bases
import physopt.pinn.method.levenberg as levenberg
import physopt.pinn.method.newton as newton
import physopt.pinn.method.refine as refine
import physopt.pinn.method.window as window
from physopt.bench.pinn import Judge
from physopt.pinn import Problem, solve
from physopt.pinn.equations import EQUATIONS
from physopt.pinn.network import Network
from physopt.pinn.sampling import interior

jax.config.update("jax_enable_x64", True)


class Over(Exception):
    """The time of a run is over."""


class Normal:
    """Least squares by the normal equations, damped at their rounding; stands in for `Factor`."""

    def __init__(self, matrix):
        self._matrix, self._lengths = matrix, np.maximum(np.linalg.norm(matrix, axis=0), 1e-300)
        scaled = matrix / self._lengths
        gram = scaled.T @ scaled + 16.0 * np.finfo(float).eps * matrix.shape[1] * np.eye(matrix.shape[1])
        if not np.isfinite(gram).all():
            raise FloatingPointError("The linearized equation is not finite.")
        self._factor = scipy.linalg.cho_factor(gram)

    def solve(self, residual):
        return -scipy.linalg.cho_solve(self._factor, (self._matrix / self._lengths).T @ residual) / self._lengths

    def inverse(self, last):
        size = len(self._lengths)
        return scipy.linalg.cho_solve(self._factor, np.eye(size)[:, size - last :])[size - last :] / self._lengths[size - last :] ** 2


def normal_equations():
    return patch.object(newton, "Factor", Normal), patch.object(window, "Factor", Normal)


def polynomials():
    return patch.object(bases.Fourier, "most", 10**6), patch.object(bases.Chebyshev, "most", 10**6)


SOLVER = {
    "whole": lambda: (),
    "without QR: normal equations": normal_equations,
    "without windows: all times at once": lambda: (patch.object(Problem, "marches", property(lambda self: False)),),
    "without errors by coordinate: all grow": lambda: (patch.object(refine, "_error_along", lambda problem, made, before, axis: made.own),),
    "without splines": polynomials,
    "without moved knots: evenly spaced": lambda: (
        patch.object(bases, "knots", lambda profile, low, high, spans: np.linspace(low, high, spans + 1)),
    ),
}


def kept(places):
    """Return `places` that are drawn once for each number of them."""
    drawn = {}
    return lambda problem, network, point, rng, num: drawn.setdefault(num, places(problem, network, point, rng, num))


def uniform(problem, rng, num, size, power=1.0, floor=1.0):
    return interior(problem, rng, num)


TRAINING = {
    "whole": lambda: (),
    "without fresh places": lambda: (patch.object(levenberg, "places", kept(levenberg.places)),),
    "without the residual's weight: uniform places": lambda: (patch.object(levenberg, "weighted", uniform),),
    "without lengths: full steps": lambda: (patch.object(levenberg, "LENGTHS", np.ones(1)),),
    "without a damping by the residual": lambda: (patch.object(levenberg, "damped", lambda columns, r, damping: DAMPED(columns, r, 1e-6)),),
}
DAMPED = levenberg.damped


def solved(problem, tol, limit):
    """Return the record of one solution."""
    solve(problem, 0.3)
    judge, began, windows = Judge(problem), time.process_time(), []

    def watch(tried):
        windows.append(tried.taken)
        if time.process_time() - began > limit:
            raise Over

    try:
        answer = solve(problem, tol, callback=watch)
    except (Over, FloatingPointError) as error:
        return {"error": None, "converged": False, "seconds": time.process_time() - began, "ended": str(error) or "time is over"}
    seconds, value = time.process_time() - began, [(0,) * len(problem.coordinates)]
    plain = answer.looked(judge.points, lambda piece, there: piece.plain(there, value)[:, :, 0])
    return {
        "error": judge.of(answer.at(judge.points)),
        "plain": judge.of(plain),
        "estimated": answer.error,
        "converged": answer.converged,
        "seconds": seconds,
        "windows": len(answer.pieces),
        "columns": answer.size,
        "factors": answer.factors,
    }


def trained(problem, tol, limit, seed):
    """Return the record of one training by Levenberg's and Marquardt's method."""
    network, judge, began, least = Network.of(problem, seed=seed), Judge(problem), time.process_time(), np.inf
    count = 0
    for step in levenberg.levenberg(problem, network, network.init(jax.random.key(seed)), seed):
        count += 1
        least = min(least, judge.network(network, step.point))
        if least <= tol or time.process_time() - began > limit:
            break
    return {"seed": seed, "steps": count if least <= tol else None, "taken": count, "error": least, "seconds": time.process_time() - began}


def main():
    """Run the variants and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("solver", "training"))
    parser.add_argument("--equations", nargs="+", required=True, help="as in wave:c=2")
    parser.add_argument("--tol", type=float, help="by default 1e-5 for the solver and 1e-3 for a training")
    parser.add_argument("--limit", type=float, default=60.0, help="processor seconds of a run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json")
    asked = parser.parse_args()
    tol = asked.tol or {"solver": 1e-5, "training": 1e-3}[asked.part]
    records = []
    for text in asked.equations:
        name, _, choice = text.partition(":")
        parameter, _, value = choice.partition("=")
        problem = EQUATIONS[name](**{parameter: float(value)})
        for variant, patches in {"solver": SOLVER, "training": TRAINING}[asked.part].items():
            for seed in range(asked.seeds if asked.part == "training" else 1):
                jax.clear_caches()  # what was taken out may be compiled in
                with contextlib.ExitStack() as out:
                    for one in patches():
                        out.enter_context(one)
                    record = solved(problem, tol, asked.limit) if asked.part == "solver" else trained(problem, tol, asked.limit, seed)
                records.append({"equation": name, "parameters": problem.parameters, "part": asked.part, "variant": variant, **record})
                said = (f"{key} {value:.2g}" if isinstance(value, float) else f"{key} {value}" for key, value in record.items())
                print(f"{text} {variant}: {', '.join(said)}", flush=True)
        if asked.json:
            Path(asked.json).write_text(json.dumps({"records": records}, indent=1))


if __name__ == "__main__":
    main()
