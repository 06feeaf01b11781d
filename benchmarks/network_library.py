"""Count steps of Levenberg and Marquardt's method to errors of 1e-3 and 1e-4: cold, and from a library of 1 to 8 neighbours.

    OMP_NUM_THREADS=1 python benchmarks/network_library.py burgers nu --library 0.03 0.02 0.0135 0.009 --tasks 0.025 0.0165 0.0115 0.01

With `--easy beta=5` each task is also begun by a march from there, without a library. A step is one linearization with its solve; what
costs less counts by its measured share. Errors are those of the network alone, against the reference, on a grid without training points.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import numpy as np

from physopt.bench.pinn import Judge
from physopt.pinn.answer import Answer
from physopt.pinn.equations import EQUATIONS
from physopt.pinn.method.levenberg import levenberg
from physopt.pinn.method.train import begun, solved
from physopt.pinn.method.trained import Trained
from physopt.pinn.network import Network

jax.config.update("jax_enable_x64", True)
ERRORS = (1e-2, 1e-3, 1e-4)


def trained(problem, seed, near, easy, most, until):
    """Return the record of one training, and its network as a neighbour for others."""
    network, judge = Network.of(problem, seed=seed), Judge(problem)
    fresh, before = network.init(jax.random.key(seed)), time.process_time()
    start, point, spent = begun(problem, network, fresh, [solved(problem, network, one) for one in near], easy, seed)
    reached, error, count = {}, judge.network(network, point), 0
    for count, step in enumerate(levenberg(problem, network, point, seed), 1):
        reached |= {f"{bound:g}": spent + count - 1 for bound in ERRORS if error <= bound and f"{bound:g}" not in reached}
        if error <= until or count > most:
            break
        point, error = step.point, judge.network(network, step.point)
    record = {"parameters": problem.parameters, "seed": seed, "start": start, "begin_steps": spent, "steps": spent + count - 1}
    record |= {"steps_to": reached, "final_rel_l2": error, "seconds": time.process_time() - before}
    return record, Answer(problem, (Trained(problem.time, network, point),), error, False, "", {}, {}, count, 0)


def main():
    """Run the comparison and print one line for each training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("equation", choices=sorted(EQUATIONS))
    parser.add_argument("parameter")
    parser.add_argument("--library", type=float, nargs="*", default=[], help="parameters of the neighbours, in the order of their training")
    parser.add_argument("--tasks", type=float, nargs="+")
    parser.add_argument("--easy", type=float, help="parameter from which to march")
    parser.add_argument("--no-cold", action="store_true", help="leave the cold starts out")
    parser.add_argument("--steps", type=int, default=200, help="at most, of a cold training; a third of it from a start")
    parser.add_argument("--anchors", type=int, nargs="*", help="numbers of neighbours to use; by default all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--json")
    asked = parser.parse_args()
    build, records = EQUATIONS[asked.equation], []

    def run(method, value, seed, near=(), easy=None, most=asked.steps, until=ERRORS[-1]):
        easy = {} if easy is None else {asked.parameter: easy}
        record, answer = trained(build(**{asked.parameter: value}), seed, near, easy, most, until)
        records.append({"equation": asked.equation, "method": method, "neighbours": len(near), **record})
        to = " ".join(f"{bound}@{steps:.1f}" for bound, steps in record["steps_to"].items())
        begin, end = f"{record['start']} ({record['begin_steps']:.1f})", f"{record['final_rel_l2']:.1e} after {record['steps']:.0f}"
        print(f"{value:g} seed {seed} {method} of {len(near)}: {begin} {to} | {end}, {record['seconds']:.0f} s", flush=True)
        return answer

    for seed in asked.seeds:
        shelf = []
        for value in asked.library:
            shelf.append(run("recorded", value, seed, shelf, most=asked.steps if not shelf else asked.steps // 3, until=2e-5))
        for value in asked.tasks:
            if not asked.no_cold:
                run("cold", value, seed + 100)
            for number in asked.anchors or ([len(shelf)] if shelf else []):
                chosen = [shelf[i] for i in np.unique(np.linspace(0, len(shelf) - 1, number).round().astype(int))]
                run("library", value, seed + 100, chosen, most=asked.steps // 3)
            if asked.easy is not None:
                run("march", value, seed + 100, easy=asked.easy)
        if asked.json:
            Path(asked.json).write_text(json.dumps({"records": records}, indent=1))


if __name__ == "__main__":
    main()
