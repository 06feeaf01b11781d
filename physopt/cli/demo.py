"""`physopt demo`: the main task on a real molecule, end to end."""

import time
from pathlib import Path

import cyclopts

from physopt.core.extras import need

from .outputs import Recorded
from .progress import screen
from .scf import label, run, show

app = cyclopts.App(name="demo", help="Converge a real molecule with PySCF and with physopt, record it and draw it.")


@app.default
def demo(*, folder: Path = Path("runs")) -> int:
    """Converge alanine (RHF and B3LYP, def2-SVP) with PySCF's default and with physopt; record the runs and draw them.

    Parameters
    ----------
    folder
        Where to put the run folders and the picture.
    """
    need("matplotlib")
    from physopt.plot.scf import plot_traces
    from physopt.scf.xyz import read_xyz

    console = screen()
    here = folder / time.strftime("demo-%Y%m%d-%H%M%S")
    here.mkdir(parents=True)
    molecule, basis = read_xyz(Path(__file__).with_name("alanine.xyz")), "def2-svp"
    panels = {}
    for xc in ("hf", "b3lyp"):
        traces = run(molecule, "alanine", xc, basis, compare=True, recorded=Recorded(record=here / xc))
        panels[label(xc, basis, 0)] = traces
        console.print(f"\nalanine, {label(xc, basis, 0)}")
        show(traces)
    picture = here / "alanine.png"
    plot_traces(picture, "alanine", molecule, panels)
    console.print(f"\nrecorded in {here / 'hf'} and {here / 'b3lyp'} (try: physopt runs show {here / 'hf'})", soft_wrap=True)
    console.print(f"drawn in    {picture}", soft_wrap=True)
    return 0 if all(t.converged for traces in panels.values() for t in traces) else 3
