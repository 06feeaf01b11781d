"""`physopt scf`: converge the self-consistent field of a molecule."""

from pathlib import Path
from typing import Any, Literal

import cyclopts
import numpy as np
from rich.table import Table

from .exits import NotConverged
from .outputs import Outputs, Recorded
from .progress import Progress, screen

app = cyclopts.App(name="scf", help="Converge the self-consistent field of a molecule in few exact Fock builds.")


@app.default
def scf(
    file: Path,
    *,
    basis: str | None = None,
    xc: str | None = None,
    charge: int | None = None,
    spin: int | None = None,
    compare: bool = False,
    target: Literal["nearest", "stable", "lowest"] = "nearest",
    outputs: Outputs = Outputs(),
) -> None:
    """Converge the self-consistent field of the molecule in an XYZ file.

    Parameters
    ----------
    file
        XYZ file; its second line may carry charge=0 spin=0, and xc=..., basis=..., rohf=1.
    basis
        Basis set of all atoms; otherwise the file's, or def2-svp.
    xc
        "hf" or a functional that PySCF knows, such as b3lyp; otherwise the file's, or hf.
    charge
        Total charge, instead of the file's.
    spin
        Number of unpaired electrons (2S), instead of the file's.
    compare
        Run PySCF's default, too.
    target
        The state: the one nearest to the start, a minimum, or the lowest of several starts.
    """
    from physopt.scf.xyz import read_xyz

    outputs.check(read=[file])
    molecule = read_xyz(file, charge=charge, spin=spin)
    xc, basis = xc or molecule.xc or "hf", basis or molecule.basis or "def2-svp"
    traces = run(molecule, file.stem, xc, basis, compare=compare, target=target, recorded=outputs)
    level = {"atoms": molecule.atoms, "charge": molecule.charge, "spin": molecule.spin, "xc": xc, "basis": basis}
    outputs.write([_record(file.stem, t) for t in traces], **level)
    show(traces)
    if outputs.plot is not None:
        from physopt.plot.scf import plot_traces

        plot_traces(outputs.plot, file.stem, molecule, {label(xc, basis, molecule.spin): traces})
        screen().print(f"drawn in {outputs.plot}")
    if traces[-1].interrupted is not None:
        raise traces[-1].interrupted  # after all was written that was asked for
    if not traces[-1].converged:
        raise NotConverged(f"{file}: not converged in {traces[-1].total_builds} builds; `physopt scf --compare` shows what PySCF does")


def run(
    molecule: Any,
    name: str,
    xc: str,
    basis: str,
    *,
    compare: bool,
    target: str = "nearest",
    recorded: Recorded = Recorded(),
) -> list[Any]:
    """Run physopt, and PySCF before it if asked, with live progress; returns their traces."""
    from physopt.scf.method.accelerate import accelerate
    from physopt.scf.molecule import mean_field
    from physopt.scf.trace import trace

    spec = {"molecule": name, "atoms": molecule.atoms, "charge": molecule.charge, "spin": molecule.spin, "xc": xc, "basis": basis}
    wanted = recorded.recording(spec, {"charge": molecule.charge, "spin": molecule.spin, "xc": xc, "basis": basis})
    if wanted is not None:
        wanted.check()  # before PySCF's run, not after it
    contenders = [("pyscf", lambda mf: mf)] if compare else []
    contenders.append(("physopt", lambda mf: accelerate(mf, record=wanted, target=target)))
    traces = []
    for method, dress in contenders:
        with Progress(f"{name}, {label(xc, basis, molecule.spin)}, {method}", interval=0.0) as progress:

            def tell(cycle: int, energy: float, grad_norm: float, progress: Progress = progress) -> None:
                progress.update(cycle, energy=energy, gradient=grad_norm)

            mf = dress(mean_field(molecule, xc, basis))
            traces.append(trace(method, mf, tell))
        if traces[-1].interrupted is not None:
            return traces
    if target != "nearest":
        screen().print(str(mf.state))
    return traces


def label(xc: str, basis: str, spin: int) -> str:
    """Return the name of a level of theory, such as RHF/def2-svp."""
    kind = "U" if spin else "R"
    return f"{kind}HF/{basis}" if xc.lower() == "hf" else f"{kind}KS {xc.upper()}/{basis}"


def show(traces: list[Any]) -> None:
    """Print one row per method."""
    table = Table()
    for name in ("method", "exact builds", "seconds", "energy / hartree", "difference / hartree", "converged"):
        table.add_column(name, justify="left" if name == "method" else "right")
    for t in traces:
        difference = f"{t.energy - traces[0].energy:.1e}" if len(traces) > 1 else "-"
        table.add_row(t.method, str(t.total_builds), f"{t.seconds:.2f}", f"{t.energy:.9f}", difference, "yes" if t.converged else "no")
    screen(120).print(table)


def _record(case: str, trace: Any) -> dict[str, Any]:
    return {
        "case": case,
        "method": trace.method,
        "converged": trace.converged,
        "energy": trace.energy if np.isfinite(trace.energy) else None,
        "exact_builds": trace.total_builds,
        "wall_s": trace.seconds,
        "grad_norms": [g if np.isfinite(g) else None for g in trace.grad_norms],
    }
