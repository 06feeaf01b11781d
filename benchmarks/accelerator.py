"""The same code on an accelerator and on the CPU beside it: `python benchmarks/accelerator.py [--small] [--json FILE]`, under four minutes.

Each row is computed twice, in a process of its own: once where JAX computes by default, and once with JAX_PLATFORMS=cpu. Where there is no
accelerator its columns stay empty. `first` is the first call, compilation included; `s` the quickest of up to three more. `memory` is the
peak of the device, or of the process on the CPU. `apart` is the relative difference of the results. Everything is float64.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Work = Callable[[], Any]
CPU = {"JAX_PLATFORMS": "cpu"}


def elements(shape: tuple[int, ...]) -> Work:
    """Return the finite-element solve of a clamped block with densities that vary by a factor of a million."""
    import jax
    import jax.numpy as jnp

    from physopt.topopt import cantilever, cantilever_3d
    from physopt.topopt.element import elastic_element
    from physopt.topopt.multigrid import Multigrid

    structure = (cantilever if len(shape) == 2 else cantilever_3d)(shape).structure()
    multigrid = Multigrid(elastic_element((1.0,) * len(shape), 0.3), structure.held)
    waves = np.prod(np.meshgrid(*(np.cos(6.0 * np.pi * np.arange(n) / n) for n in shape), indexing="ij"), axis=0)
    young, load = jnp.asarray(10.0 ** (-3.0 + 3.0 * np.tanh(4.0 * waves + 2.0))), jnp.asarray(structure.force[0])
    solve = jax.jit(lambda young, load: multigrid.solve(multigrid.hierarchy(young), load, tolerance=1e-8))

    def work() -> Any:
        found = solve(young, load)
        return [float(jnp.vdot(load, found.field)), float(found.residual <= 1e-8)]

    return work


def equation(points: int) -> tuple[Any, Any, Any]:
    """Return Burgers' equation, a network for it, and its first weights."""
    import jax

    from physopt.pinn import Network
    from physopt.pinn.equations import EQUATIONS

    problem = EQUATIONS["burgers"](nu=0.05)
    network = Network.of(problem, width=8 if points < 1000 else 48, depth=2, points=points)
    return problem, network, network.init(jax.random.key(0))


def gauss_newton(points: int) -> Work:
    """Return one step of Gauss and Newton for a network."""
    import equinox as eqx

    from physopt import unroll
    from physopt.rules import ModelStep

    _, network, point = equation(points)
    step = eqx.filter_jit(lambda network, point: unroll(network, ModelStep(), point, 1)[1])
    return lambda: np.asarray(step(network, point).value)


def training(steps: int) -> Work:
    """Return a whole training of a network on Burgers' equation."""
    from physopt.pinn import train

    problem = equation(100)[0]
    # Rounding grows on the way of a training: what both find are solutions, the same to the tolerance.
    return lambda: train(problem, 1e-2, steps=steps, width=8 if steps < 50 else 16, depth=2).answer([0.3, -0.5], [0.2, 0.6])


def fields(number: int) -> Work:
    """Return the self-consistent fields of water in many geometries, in one batch."""
    import jax
    from pyscf import gto

    from physopt.scf import incore

    shapes = [f"O 0 0 0; H 0 {0.76 + 0.001 * k} 0.59; H 0 -0.76 {0.59 - 0.0005 * k}" for k in range(number)]
    batch = incore.stacked([incore.Integrals.of(gto.M(atom=atoms, basis="6-31g", verbose=0)) for atoms in shapes])
    solve = jax.jit(jax.vmap(incore.solve))
    return lambda: np.asarray(solve(batch).energy)


def meta_training(particles: int) -> Work:
    """Return steps of a meta-training with as many unfinished runs."""
    import jax
    import optax

    from physopt import meta
    from physopt.rules import Span

    def work() -> Any:
        estimator, key = meta.Persistent(40, 8), jax.random.key(0)
        rule = Span(key=key)
        return meta.train(rule, meta.Quadratics(), estimator, optax.adam(1e-3), num_steps=5, key=key, tasks_per_step=particles)[1].loss

    return work


# What is computed, at its size and small.
ROWS: dict[str, tuple[Callable[[Any], Work], Any, Any]] = {
    "finite elements in 2D, elements": (elements, (1000, 500), (32, 16)),
    "finite elements in 3D, elements": (elements, (100, 100, 100), (8, 8, 8)),
    "Gauss-Newton of a network, places": (gauss_newton, 20_000, 200),
    "training of a network, steps": (training, 200, 3),
    "fields of water, molecules": (fields, 256, 2),
    "meta-training, particles": (meta_training, 4096, 8),
}


def measured(name: str, small: bool) -> dict[str, Any]:
    """Return the seconds, memory and results of a row in this process."""
    import jax

    jax.config.update("jax_enable_x64", True)
    make, large, little = ROWS[name]
    work, seconds = make(little if small else large), []
    while len(seconds) < 2 or (len(seconds) < 4 and sum(seconds) < 10.0):
        began = time.perf_counter()
        found = np.asarray(work(), float)
        seconds.append(time.perf_counter() - began)
    device = jax.devices()[0]
    peak = (device.memory_stats() or {}).get("peak_bytes_in_use", 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    where = {"platform": device.platform, "device": device.device_kind}
    return {**where, "first_s": seconds[0], "s": min(seconds[1:]), "memory_mb": peak / 1e6, "numbers": found.ravel().tolist()}


def sized(name: str, small: bool) -> str:
    """Return how large a row is."""
    size = ROWS[name][2 if small else 1]
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)


def apart(one: list[float], other: list[float]) -> float:
    """Return the relative difference of two results."""
    return float(np.linalg.norm(np.subtract(one, other)) / np.linalg.norm(other))


def child(name: str, small: bool, **variables: str) -> dict[str, Any]:
    """Return a row from a process of its own, which holds no more of the device's memory than it needs; or what went wrong."""
    command = [sys.executable, __file__, "--one", name, *(["--small"] if small else [])]
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false", **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        return {"error": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:200]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Run all rows, print them, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script")
    parser.add_argument("--json", type=Path, help="file to write the rows in")
    parser.add_argument("--one", choices=ROWS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one is not None:
        print(json.dumps(measured(chosen.one, chosen.small)))
        return
    script = "import jax; print(jax.devices()[0].platform, jax.devices()[0].device_kind)"
    platform, _, kind = (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip().partition(" ")
    )
    found = platform != "cpu"
    print(f"accelerator: {kind if found else 'none found'}; CPU: {os.cpu_count()} cores")
    print(f"{'':44s} {'CPU first':>10s} {'s':>8s} {'MB':>7s} {'card first':>10s} {'s':>8s} {'MB':>7s} {'faster':>7s} {'apart':>8s}")
    rows = []
    for name in ROWS:
        row = {
            "name": name,
            "size": sized(name, chosen.small),
            "cpu": child(name, chosen.small, **CPU),
            "card": child(name, chosen.small) if found else None,
        }
        sides = [row["cpu"], row["card"]]
        texts = [
            f"{s['first_s']:10.2f} {s['s']:8.3f} {s['memory_mb']:7.0f}" if s and "error" not in s else f"{'-':>10s} {'-':>8s} {'-':>7s}"
            for s in sides
        ]
        if all(side and "error" not in side for side in sides):
            row |= {"faster": sides[0]["s"] / sides[1]["s"], "apart": apart(sides[1]["numbers"], sides[0]["numbers"])}
        last = f"{row['faster']:6.1f}x {row['apart']:8.1e}" if "faster" in row else f"{'-':>7s} {'-':>8s}"
        print(f"{name + ': ' + sized(name, chosen.small):44s} {texts[0]} {texts[1]} {last}", flush=True)
        for side in sides:
            if side and "error" in side:
                print(f"  {side['error']}")
        rows.append(row)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"accelerator": kind if found else None, "cores": os.cpu_count(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
