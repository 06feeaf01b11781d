# %% Count exact Fock builds of several methods on one molecule, checked independently by a fresh build.
from pathlib import Path

import physopt

molecule = physopt.scf.read_xyz(Path(__file__).parents[1] / "data" / "molecules" / "formamide.xyz")
judge = physopt.bench.scf.Judge(molecule, "hf", "def2-svp")
for method in physopt.bench.scf.METHODS:
    if method == "ooo":
        continue  # a peer's package, in the `bench` extra
    record = physopt.bench.scf.compare("formamide", molecule, "hf", "def2-svp", method, judge)
    print(f"{method:18s} {record['exact_builds']:3d} builds  converged {record['converged']}  E = {record['energy']:.9f}")
