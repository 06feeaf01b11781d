"""`physopt bench`: compare methods on your own cases."""

from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter

from .bench_l2o import l2o
from .bench_learn import learn
from .bench_methods import Methods, chosen
from .bench_pinn import pinn
from .bench_report import report
from .bench_tables import judge_lowest, print_cases, print_ratios, print_summary, read_lowest
from .bench_topopt import fe, topopt
from .outputs import Report
from .progress import Progress

app = cyclopts.App(name="bench", help="Compare methods on your own cases; nothing is dropped, failures are records.")

app.command(report)
app.command(fe)
app.command(topopt)
app.command(l2o)
app.command(learn)
app.command(pinn)


@app.command
def scf(
    directory: Path,
    *,
    xc: str | None = None,
    basis: str | None = None,
    methods: Methods = None,
    rohf: bool = False,
    weights: Path | None = None,
    lowest: Annotated[Path | None, Parameter(name="--lowest")] = None,
    outputs: Report = Report(),
    stability: bool = True,
) -> int:
    """Count exact Fock builds of SCF methods over a folder of molecules.

    Line 2 of each `*.xyz` carries `charge=0 spin=0` (spin = 2S). Closed shells run restricted, others unrestricted, unless line 2
    says `rohf=1`. A case with its own level of theory names it there: `xc=pbe basis=sto-3g`.

    Parameters
    ----------
    directory
        Folder of XYZ files, or one XYZ file.
    xc
        "hf" or a functional that PySCF knows, for all cases; otherwise the one of the file, or hf.
    basis
        Basis set of all atoms, for all cases; otherwise the one of the file, or def2-svp.
    rohf
        Run open shells restricted; methods that cannot are recorded as failures.
    weights
        Weight file of `physopt train scf`; adds the method physopt-own, which uses these weights.
    lowest
        CSV file of known lowest energies (case,energy,...); adds whether each run reached them.
    stability
        Test whether each converged state is internally stable.
    """
    from physopt.bench import scf, scf_methods
    from physopt.scf.xyz import read_xyz

    outputs.check(read=[directory])
    files = [directory] if directory.is_file() else sorted(directory.glob("*.xyz"))
    if not files:
        raise ValueError(f"{directory}: holds no *.xyz. Give a folder of XYZ files, such as data/molecules.")
    available = scf_methods.METHODS if weights is None else scf_methods.with_weights(weights)
    names = chosen(methods, available, {"ooo": "openorbitaloptimizer"})
    known = None if lowest is None else read_lowest(lowest)
    molecules = [(file, read_xyz(file)) for file in files]
    cases = [(file.stem, molecule, *_level(file, molecule, xc, basis)) for file, molecule in molecules]
    records = []
    with Progress(str(directory), total=len(cases) * len(names)) as progress:
        for case, molecule, its_xc, its_basis in cases:
            judge = scf.Judge(molecule, its_xc, its_basis, rohf=rohf)
            for method in names:
                records.append(
                    scf.compare(case, molecule, its_xc, its_basis, method, judge, stability=stability, rohf=rohf, methods=available)
                )
                progress.update(len(records), case=case, method=method, builds=records[-1]["exact_builds"])
            outputs.write(records)  # nothing is lost if the rest is stopped
    if known is not None:
        judge_lowest(records, known)
    print_cases(records, names)
    print_summary(records, names)
    print_ratios(records, names)
    outputs.write(records)
    return 0


@app.command
def series(
    file: Path,
    *,
    xc: str | None = None,
    basis: str | None = None,
    methods: Methods = None,
    outputs: Report = Report(),
) -> int:
    """Count exact Fock builds along the frames of one molecule: a scan, an optimization, a trajectory.

    Parameters
    ----------
    file
        XYZ file of several frames.
    xc
        "hf" or a functional that PySCF knows; otherwise the one of the first frame, or hf.
    basis
        Basis set of all atoms; otherwise the one of the first frame, or def2-svp.
    """
    from physopt.bench import scf, scf_methods
    from physopt.scf.xyz import read_frames

    outputs.check(read=[file])
    frames = read_frames(file)
    names = chosen(methods, scf_methods.SERIES_METHODS, {})
    xc, basis = _level(file, frames[0], xc, basis)
    records = []
    with Progress(f"{file.stem}, {xc}/{basis}", total=len(frames) * len(names)) as progress:
        for method in names:
            for record in scf.compare_series(file.stem, frames, xc, basis, method):
                records.append(record)
                progress.update(len(records), case=record["case"], method=method, builds=record["exact_builds"])
            outputs.write(records)
    print_summary(records, names)
    print_ratios(records, names)
    return 0


def _level(file: Path, molecule: Any, xc: str | None, basis: str | None) -> tuple[str, str]:
    """Return functional and basis set of a case, after a look whether PySCF knows them: before the work."""
    from physopt.scf.molecule import mean_field

    level = xc or molecule.xc or "hf", basis or molecule.basis or "def2-svp"
    try:
        mean_field(molecule, *level)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return level
