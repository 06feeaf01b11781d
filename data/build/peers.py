"""Time half an MBB beam from the first import to a good design, with physopt and with packages that can be installed beside it.

    pip install pymoto==2.0.1 tooppy==2.8.3                      # into an environment of their own
    python data/build/peers.py run physopt 300x100 physopt.npz   # or pymoto-mma, pymoto-oc, tooppy
    python data/build/peers.py judge 300x100 *.npz

The same problem for all: plane stress, exponent 3, modulus of void 1e-9, half the volume, a density filter of hat weights whose radius is
0.04 of the length, a uniform start. Every design on the way is judged by one direct solver; those of more than 0.1 % above half the volume
do not count. Clocks start before anything but the standard library is imported and include all set-up.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

START = time.perf_counter()
BUDGET = {"physopt": 20, "pymoto-mma": 60, "pymoto-oc": 60, "tooppy": 60}  # solutions on the finest grid
PERCENTS = (5.0, 2.0, 1.0, 0.5)


def main() -> None:
    """Run one package, or judge the designs of several."""
    if len(sys.argv) < 4 or sys.argv[1] not in ("run", "judge") or (sys.argv[1] == "run" and len(sys.argv) < 5):
        sys.exit(__doc__)
    shape = tuple(int(side) for side in sys.argv[3 if sys.argv[1] == "run" else 2].split("x"))
    if sys.argv[1] == "judge":
        judge(shape, sys.argv[3:])
        return
    name, out = sys.argv[2], sys.argv[4]
    seconds, designs = RUNS[name](*shape, BUDGET[name])
    import numpy as np

    np.savez_compressed(out, seconds=seconds, densities=np.array(designs, np.float32))
    print(f"{name}: {len(seconds)} designs in {seconds[-1]:.1f} s")


def physopt(nx: int, ny: int, solutions: int) -> tuple[list, list]:
    """Run the default method; the time of a design is when its value is known."""
    from physopt.topopt import SIMP, DensityFilter, half_mbb
    from physopt.topopt.method.methods import METHODS
    from physopt.topopt.method.stages import optimize

    problem = SIMP(half_mbb((nx, ny)), 0.5, DensityFilter(0.04 * nx))
    seconds, designs = [], []

    def tell(step):
        seconds.append(time.perf_counter() - START)
        designs.append(step.design)

    optimize(METHODS["physopt"](problem, solutions), change=None, callback=tell)
    return seconds, [problem.density(design) for design in designs]


def pymoto(nx: int, ny: int, solutions: int, *, mma: bool) -> tuple[list, list]:
    """Run pyMOTO with its own optimizers and the solver that it chooses."""
    import numpy as np
    import pymoto as pym

    domain = pym.VoxelDomain(nx, ny)
    left = np.array([domain.get_nodenumber(0, j) for j in range(ny + 1)])
    held = np.concatenate([2 * left, [2 * domain.get_nodenumber(nx, 0) + 1]])
    force = np.zeros(2 * domain.nnodes)
    force[2 * domain.get_nodenumber(0, ny) + 1] = -1.0
    design = pym.Signal("x", state=np.full(domain.nel, 0.5))
    seconds, designs = [], []

    class Watch(pym.Module):
        def __call__(self, density, value):
            seconds.append(time.perf_counter() - START)
            designs.append(np.array(density, copy=True))
            return value

        def _sensitivity(self, slope):
            return None, slope

    with pym.Network() as network:
        density = pym.DensityFilter(domain, radius=0.04 * nx)(design)
        young = pym.MathExpression("1e-9 + (1-1e-9)*inp0^3")(density)
        stiffness = pym.AssembleStiffness(domain, bc=held, plane="stress")(young)
        field = pym.LinSolve(symmetric=True, positive_definite=True)(stiffness, force)
        value = Watch()(density, pym.EinSum("i,i->")(field, force))
        over = pym.MathExpression(f"10*(inp0/{domain.nel} - 0.5)")(pym.EinSum("i->")(density))
        scaled = pym.Scaling(scaling=100.0)(value)
    if mma:
        pym.minimize_mma(design, [scaled, over], function=network, maxit=solutions, tolx=0, tolf=0)
    else:
        pym.minimize_oc(design, scaled, function=network, maxit=solutions, tolx=0, tolf=0)
    places = np.array([[domain.get_elemnumber(i, j) for j in range(ny)] for i in range(nx)])
    return seconds, [each[places] for each in designs]


def tooppy(nx: int, ny: int, solutions: int) -> tuple[list, list]:
    """Run tooppy's optimality criteria; its filter matrix, built in a Python loop, comes from the vectorised copy below."""
    import numpy as np
    import tooppy as peer

    def held(shape, count, places):
        left, corner = np.where(places[0] == 0)[0], np.where((places[0] == nx) & (places[1] == 0))[0]
        return np.concatenate([2 * left, 2 * corner + 1])

    def force(shape, count, places):
        loads = np.zeros((count, 1))
        loads[2 * np.where((places[0] == 0) & (places[1] == ny))[0] + 1, 0] = -1.0
        return loads

    seconds, designs = [], [np.full((nx, ny), 0.5)]

    def watch(*words, **options):
        if str(words[0]).startswith("iteration"):
            seconds.append(time.perf_counter() - START)

    peer.get_smoothen_kernel, peer.print = hat_weights, watch
    with tempfile.TemporaryDirectory() as folder:
        options = {"element_stiffness_matrix_file_dir": folder + os.sep, "linalg_solver": "scipy", "change_threshold": 0}
        options |= {"intermediate_results_saving_path": folder + os.sep, "iterations": solutions, "rmin": 0.04 * nx}
        peer.solve(held, force, [nx, ny], 0.5, penal=3.0, ft=1, E=1, nu=0.3, **options)
        designs += [np.load(Path(folder) / f"result_2d_{k + 1}.npy") for k in range(len(seconds) - 1)]
    return seconds, designs


def hat_weights(radius, shape, mask=None, element_indices_flattened=None):
    """Return tooppy's own filter matrix, a hundred times faster."""
    import numpy as np
    from scipy.sparse import coo_matrix

    (n, m), reach = shape, int(np.ceil(radius)) - 1
    x, y = np.meshgrid(np.arange(n), np.arange(m), indexing="ij")
    rows, columns, weights = [], [], []
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            if (weight := radius - np.hypot(i, j)) >= 0.0:
                inside = (x + i >= 0) & (x + i < n) & (y + j >= 0) & (y + j < m)
                element = (x * m + y)[inside]
                rows.append(element)
                columns.append(element + i * m + j)
                weights.append(np.full(element.size, weight))
    place = np.concatenate(rows), np.concatenate(columns)
    matrix = coo_matrix((np.concatenate(weights), place), shape=(n * m, n * m)).tocsc()
    total = matrix.sum(1)
    total[total == 0] = 1
    matrix /= total
    return matrix


def judge(shape: tuple[int, ...], files: list[str]) -> None:
    """Print when each run first came near the best design of all."""
    import numpy as np

    from physopt.topopt import SIMP, DensityFilter, half_mbb

    problem = SIMP(half_mbb(shape), 0.5, DensityFilter(2.0), iterative=False)

    def value(density):
        return float(np.trace(problem.equilibrium.work(problem.young(np.clip(density.astype(float), 0.0, 1.0))).matrix))

    runs = {}
    for file in files:
        stored = np.load(file)
        allowed = [d.mean() <= 0.5 * 1.001 for d in stored["densities"]]
        runs[file] = [(s, value(d) if ok else np.inf) for s, d, ok in zip(stored["seconds"], stored["densities"], allowed, strict=True)]
    best = min(v for run in runs.values() for _, v in run)
    print(f"best {best:.6g}; seconds to {PERCENTS} % above it, and the lowest value of each")
    for file, run in runs.items():
        times = [next((f"{s:.1f}" for s, v in run if v <= best * (1.0 + 0.01 * percent)), "never") for percent in PERCENTS]
        print(f"{file}: {', '.join(times)}; {min(v for _, v in run):.6g}, {run[-1][0] / len(run):.3f} s per design")


RUNS = {
    "physopt": physopt,
    "pymoto-mma": lambda *sizes: pymoto(*sizes, mma=True),
    "pymoto-oc": lambda *sizes: pymoto(*sizes, mma=False),
    "tooppy": tooppy,
}

if __name__ == "__main__":
    main()
