# %% A series of problems with and without a library of earlier designs. Arguments: volume, filter, size, load or turn; elements along x.
import math
import sys
import tempfile

from physopt.topopt import Library, cantilever, changed, mbb, solve

short = len(sys.argv) <= 2
name, width = ("volume", 48) if short else (sys.argv[1], int(sys.argv[2]))
METHODS = {"mma-multilevel": 60, "physopt": 60} if short else {"mma-multilevel": 100, "physopt": 100, "mma": 200}
beam, block, middle = mbb((width, width // 3)), cantilever((width, 5 * width // 8)), 5 * width // 16


def loaded(y, degrees=0.0):
    """Return the cantilever with the load moved, or rotated."""
    force = [math.sin(math.radians(degrees)), -math.cos(math.radians(degrees))]
    return changed(block, {"load": [{"region": [[width, y], [width, y]], "force": force}]})


SERIES = {
    "volume": [changed(beam, {"volfrac": v}) for v in (0.50, 0.46, 0.42, 0.38, 0.34, 0.30)[: 3 if short else None]],
    "filter": [changed(beam, {"rmin": share * width}) for share in (0.05, 0.045, 0.04, 0.035, 0.03)],
    "size": [mbb((k * width // 20, k * width // 60)) for k in (16, 20, 24, 30)],
    "load": [loaded(middle - width * k // 48) for k in range(5)],
    "turn": [loaded(middle, 5.0 * k) for k in range(5)],
}


def first(steps, goal, volfrac):
    """Return the first solve, counted in solves of the finest grid, that is as low as the goal on that grid."""
    fine = [s for s in steps if s.own and s.volume <= 1.001 * volfrac]
    return next((f"{s.equivalents:5.1f}" for s in fine if s.value <= goal), "    -")


def lowest(steps, volfrac):
    """Return the lowest value on the finest grid at the right volume."""
    return min(s.value for s in steps if s.own and s.volume <= 1.001 * volfrac)


# %%
print(f"{'':24}{'solves to 1 %':>24}{'solves to 0.1 %':>27}{'lowest value, % above the best':>38}")
print(f"{'shape, volume, distance':24}" + "   cold physopt library  " * 2 + "      cold physopt library     long")
with tempfile.TemporaryDirectory() as folder:
    library = Library(folder)
    for definition in SERIES[name]:
        volfrac, start = definition.volfrac, library.start(definition)
        runs = [solve(definition, method, solutions=n, change=None, gain=0.0) for method, n in METHODS.items()]
        near = runs[0] if start is None else solve(definition, start=start, solutions=50, change=None, gain=0.0)
        library.add(definition, near.solution.point, float(near.solution.evaluation.value))
        traces = [run.steps for run in (*runs[:2], near, *runs[2:])]
        ends = [lowest(steps, volfrac) for steps in traces]
        label = f"{'x'.join(map(str, definition.shape))} {volfrac:.2f} " + ("first" if start is None else f"{start.distance:.3f}")
        counts = ["".join(f"{first(s, min(ends) * (1 + p), volfrac):>8}" for s in traces[:3]) for p in (0.01, 0.001)]
        print(f"{label:24}{counts[0]} {counts[1]}    " + "".join(f"{100 * (end / min(ends) - 1):8.2f}" for end in ends), flush=True)
