"""One SCF run as a person would watch it: the orbital gradient after each exact Fock build."""

import dataclasses
import time
from typing import Any

from .scf_methods import Meter


@dataclasses.dataclass(frozen=True)
class Trace:
    """How a run went.

    - `builds`, `grad_norms`: exact builds so far and the gradient norm (PySCF's, hartree) after each cycle.
    - `total_builds`: those after the last cycle included. `energy`: in hartree. `seconds`: wall time.
    """

    method: str
    builds: tuple[int, ...]
    grad_norms: tuple[float, ...]
    total_builds: int
    energy: float
    converged: bool
    seconds: float


def trace(method: str, mf: Any, progress: Any = None) -> Trace:
    """Run `mf.kernel()` and return its `Trace`; the mean field's own callback is replaced.

    **Arguments:**

    - `method`: the name to show. `mf`: a mean field, plain or accelerated.
    - `progress`: called with `(cycle, energy, grad_norm)` after each cycle.
    """
    meter = Meter()
    builds, grad_norms = [], []

    def watch(envs: dict[str, Any]) -> None:
        builds.append(meter.builds)
        grad_norms.append(float(envs["norm_gorb"]))
        if progress is not None:
            progress(envs["cycle"] + 1, float(envs["e_tot"]), grad_norms[-1])

    mf.callback = watch
    meter.watch(mf)
    started = time.perf_counter()
    mf.kernel()
    seconds = time.perf_counter() - started
    return Trace(method, tuple(builds), tuple(grad_norms), meter.builds, float(mf.e_tot), bool(mf.converged), seconds)
