"""The trace of an SCF run: the orbital gradient after each exact Fock build."""

import dataclasses
import time
from typing import Any

from physopt.core.recording import Recording
from physopt.core.trajectory import load

from .meter import Meter


@dataclasses.dataclass(frozen=True)
class Trace:
    """The trace of a run.

    - `builds`, `grad_norms`: exact builds so far and the gradient norm (PySCF's, hartree) after each cycle.
    - `total_builds`: those after the last cycle included. `energy`: in hartree. `seconds`: wall time. For a resumed run all three include
      the earlier part, but not the build or two that a resume repeats.
    - `interrupted`: what ended the run early; then the energy is the lowest so far.
    """

    method: str
    builds: tuple[int, ...]
    grad_norms: tuple[float, ...]
    total_builds: int
    energy: float
    converged: bool
    seconds: float
    interrupted: KeyboardInterrupt | None = None


def trace(method: str, mf: Any, progress: Any = None) -> Trace:
    """Run `mf.kernel()` and return its `Trace`, also if it is interrupted; the mean field's own callback is replaced.

    **Arguments:**

    - `method`: the name to show. `mf`: a mean field, plain or accelerated.
    - `progress`: called with `(cycle, energy, grad_norm)` after each cycle.
    """
    meter = Meter()
    builds, grad_norms, energies, cycles = [], [], [], []

    def watch(envs: dict[str, Any]) -> None:
        builds.append(meter.builds)
        energies.append(float(envs["e_tot"]))
        cycles.append(int(envs["cycle"]))
        grad_norms.append(float(envs["norm_gorb"]))
        if progress is not None:
            progress(envs["cycle"] + 1, float(envs["e_tot"]), grad_norms[-1])

    mf.callback = watch
    meter.watch(mf)
    started = time.perf_counter()
    interrupted = None
    try:
        mf.kernel()
    except KeyboardInterrupt as signal:
        if not cycles:
            raise
        interrupted = signal
    seconds = time.perf_counter() - started
    energy = float(mf.e_tot) if interrupted is None else min(energies)
    found = Trace(
        method, tuple(builds), tuple(grad_norms), meter.builds, energy, bool(mf.converged) and interrupted is None, seconds, interrupted
    )
    return _whole(found, mf, cycles[0]) if cycles and cycles[0] else found


def _whole(trace: Trace, mf: Any, before: int) -> Trace:
    """Return the trace of a resumed run with the cycles that an earlier process had made, from the record."""
    record = mf.record
    columns = load(record.folder if isinstance(record, Recording) else record).columns
    repeated = 0 if mf.solution is None else mf.solution.repeated
    start = trace.builds[0] - 1 - repeated
    return dataclasses.replace(
        trace,
        builds=(*range(start + 1, start + before + 1), *(count + before - repeated for count in trace.builds)),
        grad_norms=(*(0.5 * columns["grad_norm"][:before]).tolist(), *trace.grad_norms),
        total_builds=trace.total_builds + before - repeated,
        seconds=trace.seconds + float(columns["seconds"][before - 1]),
    )
