"""`physopt bench`: compare methods on your own cases."""

import importlib.util
import re
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter

from .bench_report import report
from .bench_tables import judge_lowest, print_cases, print_ratios, print_solves, print_summary, read_lowest
from .outputs import check_outputs, write_report
from .progress import Progress

app = cyclopts.App(name="bench", help="Compare methods on your own cases; nothing is dropped, failures are records.")

app.command(report)

Methods = Annotated[str | None, Parameter(help="Comma-separated; all that are installed if left out.")]


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
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
    stability: bool = True,
) -> int:
    """Count exact Fock builds of SCF methods over a folder of molecules.

    Line 2 of each `*.xyz` carries `charge=0 spin=0` (spin = 2S). Closed shells run restricted, others unrestricted, unless line 2
    says `rohf=1`. A case of its own level of theory names it there: `xc=pbe basis=sto-3g`.

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
        Weight file of `physopt train scf`; adds the method physopt-own, which has them.
    lowest
        CSV file of known lowest energies (case,energy,...); adds whether each run reached them.
    json_file
        Where to write the records.
    stability
        Judge whether each converged state is internally stable.
    """
    from physopt.faces import scf_bench, scf_methods
    from physopt.xyz import read_xyz

    check_outputs(json_file)
    files = [directory] if directory.is_file() else sorted(directory.glob("*.xyz"))
    if not files:
        raise ValueError(f"{directory}: holds no *.xyz. Give a folder of XYZ files, such as data/molecules.")
    available = scf_methods.METHODS if weights is None else scf_methods.with_weights(weights)
    chosen = _chosen(methods, available, {"ooo": "openorbitaloptimizer"})
    known = None if lowest is None else read_lowest(lowest)
    molecules = [(file, read_xyz(file)) for file in files]
    cases = [(file.stem, molecule, *_level(file, molecule, xc, basis)) for file, molecule in molecules]
    records = []
    with Progress(str(directory), total=len(cases) * len(chosen)) as progress:
        for case, molecule, its_xc, its_basis in cases:
            judge = scf_bench.Judge(molecule, its_xc, its_basis, rohf=rohf)
            for method in chosen:
                records.append(
                    scf_bench.compare(case, molecule, its_xc, its_basis, method, judge, stability=stability, rohf=rohf, methods=available)
                )
                progress.update(len(records), case=case, method=method, builds=records[-1]["exact_builds"])
    if known is not None:
        judge_lowest(records, known)
    print_cases(records, chosen)
    print_summary(records, chosen)
    print_ratios(records, chosen)
    write_report(json_file, records)
    return 0


@app.command
def series(
    file: Path,
    *,
    xc: str | None = None,
    basis: str | None = None,
    methods: Methods = None,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
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
    json_file
        Where to write the records.
    """
    from physopt.faces import scf_bench, scf_methods
    from physopt.xyz import read_frames

    check_outputs(json_file)
    frames = read_frames(file)
    chosen = _chosen(methods, scf_methods.SERIES_METHODS, {})
    xc, basis = _level(file, frames[0], xc, basis)
    records = []
    with Progress(f"{file.stem}, {xc}/{basis}", total=len(frames) * len(chosen)) as progress:
        for method in chosen:
            for record in scf_bench.compare_series(file.stem, frames, xc, basis, method):
                records.append(record)
                progress.update(len(records), case=record["case"], method=method, builds=record["exact_builds"])
    print_summary(records, chosen)
    print_ratios(records, chosen)
    write_report(json_file, records)
    return 0


@app.command
def fe(
    *,
    shape: str = "1000x500",
    iterates: str = "1,10,40",
    direct: bool = True,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
) -> int:
    """Time one finite-element solution of a high-contrast design: multigrid against SciPy's direct solver.

    The designs are iterates of the optimality criteria on half an MBB beam of this shape.

    Parameters
    ----------
    shape
        Elements along the beam and across it.
    iterates
        Which iterates to solve for; 1 is the uniform design.
    direct
        Factorize the last one, too; minutes above a million unknowns.
    json_file
        Where to write the records.
    """
    from physopt.faces.fe_bench import compare_solvers
    from physopt.topopt import half_mbb

    from .topopt import read_shape

    check_outputs(json_file)
    if not re.fullmatch(r"[1-9]\d{0,3}(,[1-9]\d{0,3})*", iterates, re.ASCII):
        raise ValueError(f"--iterates {iterates!r} names no iterates; write numbers from 1 on, such as 1,10,40.")
    numbers = tuple(sorted({int(text) for text in iterates.split(",")}))
    records = []
    with Progress(f"MBB {shape}") as progress:
        for record in compare_solvers(half_mbb(read_shape(shape)), numbers, direct=direct):
            records.append(record)
            progress.update(len(records), **record)
    print_solves(records)
    write_report(json_file, records)
    return 0


def _level(file: Path, molecule: Any, xc: str | None, basis: str | None) -> tuple[str, str]:
    """Return functional and basis set of a case, after a look whether PySCF knows them: before the work."""
    from physopt.faces.scf_bench import mean_field

    level = xc or molecule.xc or "hf", basis or molecule.basis or "def2-svp"
    try:
        mean_field(molecule, *level)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return level


def _chosen(methods: str | None, known: Any, packages: dict[str, str]) -> list[str]:
    """Return the methods asked for, by default all whose package is installed."""
    if methods is None:
        return [m for m in known if m not in packages or importlib.util.find_spec(packages[m])]
    names = [name.strip() for name in methods.split(",") if name.strip()]
    if not names or (unknown := [name for name in names if name not in known]):
        raise ValueError(f"--methods {methods!r}: {', '.join(unknown) if names else 'nothing'} is not one of {', '.join(known)}.")
    if missing := [m for m in names if m in packages and not importlib.util.find_spec(packages[m])]:
        raise ImportError(f"--methods {methods!r}: {', '.join(missing)} needs pip install 'physopt[bench]'")
    return names
