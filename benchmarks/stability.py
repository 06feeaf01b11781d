"""Verdicts on stability beside the exact Hessian's lowest eigenvalue: `python benchmarks/stability.py [--json OUT] [--cache FOLDER]`.

Plain PySCF converges each determinant of `determinants.py`, saddles and minima, and its own Hessian is diagonalized; then
`physopt.scf.stability.analyze` judges the same determinant. An hour on one core; with `--cache`, what PySCF found is kept in a folder
and taken from there the next time, so that only the verdicts are made again (two minutes).
"""

import argparse
import collections
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from determinants import SYSTEMS, System, determinants, lowest_eigenvalue

from physopt.scf.model import Orbitals
from physopt.scf.problem import SCF
from physopt.scf.stability import UNSTABLE, Stability, analyze


def judged(mf: Any) -> Stability:
    """Return the verdict on a determinant of PySCF, as it is."""
    problem = SCF.of(mf)
    density = problem.oracle.density_of_ao(np.asarray(mf.make_rdm1(mf.mo_coeff, mf.mo_occ)))
    point = Orbitals(problem.oracle.rotations.natural(density))
    problem = problem.at(point)
    model = problem.evaluate(point).model
    return analyze(model)


def exact(system: System, kind: str, cache: Path | None) -> Iterator[tuple[str, Any, float, float, int]]:
    """Yield name, mean field, lowest eigenvalue, its residual and the number of rotations of each determinant."""
    stem = "".join(c if c.isalnum() else "_" for c in f"{system.name} {kind}")
    known = sorted(cache.glob(f"{stem}-*.npz")) if cache else []
    for path in known:
        with np.load(path) as kept:
            mf = system.mean_field(kind).build()
            mf.mo_coeff, mf.mo_occ, mf.e_tot = kept["mo_coeff"], kept["mo_occ"], float(kept["energy"])
            yield path.stem.rpartition("-")[2], mf, float(kept["lowest"]), float(kept["residual"]), int(kept["size"])
    if known:
        return
    for which, mf in determinants(system, kind):
        lowest, residual, size = lowest_eigenvalue(mf)
        if cache:
            cache.mkdir(parents=True, exist_ok=True)
            found = {"mo_coeff": mf.mo_coeff, "mo_occ": mf.mo_occ, "energy": mf.e_tot}
            np.savez(cache / f"{stem}-{which}.npz", **found, lowest=lowest, residual=residual, size=size)
        yield which, mf, lowest, residual, size


def record(system: System, kind: str, which: str, mf: Any, lowest: float, residual: float, size: int) -> dict[str, Any]:
    """Return what both say of one determinant."""
    found = judged(mf)
    shown = {
        "stable": found.stable,
        "curvature": found.curvature,
        "floor": found.floor,
        "products": found.products,
        "external": found.external,
    }
    agrees = found.stable == (lowest >= -UNSTABLE) and found.curvature >= lowest - max(2.0 * residual, 1e-5)
    place = {"group": system.group, "system": system.name, "kind": kind, "determinant": which, "energy": float(mf.e_tot)}
    return place | {"rotations": size, "lowest": lowest, "residual": residual} | shown | {"agrees": agrees}


def summary(records: list[dict[str, Any]]) -> str:
    """Return the table by groups, in Markdown, and who disagrees."""
    lines = ["| group | determinants | unstable | verdicts that agree | products, median | largest |", "|---|---|---|---|---|---|"]
    groups = collections.defaultdict(list)
    for r in records:
        groups[r["group"]].append(r)
    for name, rows in [*groups.items(), ("all", records)]:
        products = [r["products"] for r in rows]
        cells = (name, len(rows), sum(r["lowest"] < -UNSTABLE for r in rows), sum(r["agrees"] for r in rows))
        lines.append("| " + " | ".join(map(str, (*cells, f"{statistics.median(products):g}", max(products)))) + " |")
    near = [r for r in records if abs(r["lowest"]) < 0.01]
    lines.append(f"\n{len(near)} of them have |lowest| < 0.01 hartree/rad^2, and {sum(r['agrees'] for r in near)} of these agree.")
    unrestricted = {(r["system"], round(r["energy"], 6)): r["lowest"] for r in records if r["kind"].startswith("U")}
    pairs = [(r["external"], unrestricted.get((r["system"], round(r["energy"], 6)))) for r in records if r["external"] is not None]
    same = [(ours < 0.0) == (theirs < -UNSTABLE) for ours, theirs in pairs if theirs is not None]
    lines.append(f"Closed shells looked at as UHF, too: {len(same)}; sign of `external` and of the UHF eigenvalue agree in {sum(same)}.")
    lines += [f"DISAGREES: {r}" for r in records if not r["agrees"]]
    return "\n".join(lines)


def main() -> None:
    """Judge all determinants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write the records")
    parser.add_argument("--cache", type=Path, help="folder for the determinants and their exact eigenvalues")
    parser.add_argument("--only", default="", help="systems whose name or group contains this")
    options = parser.parse_args()
    records = []
    for system in (s for s in SYSTEMS if options.only in f"{s.group} {s.name}"):
        for kind in system.kinds.split():
            for each in exact(system, kind, options.cache):
                records.append(row := record(system, kind, *each))
                span = f"[{row['floor']:9.5f}, {row['curvature']:9.5f}] {row['products']:3d} products"
                place = f"{row['system']:20s} {kind:8s} {row['determinant']:9s}"
                disagrees = "" if row["agrees"] else "  DISAGREES"
                print(f"{place} exact {row['lowest']:9.5f}  verdict {row['stable']!s:5s} {span}{disagrees}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1))
    print("\n" + summary(records))


if __name__ == "__main__":
    main()
