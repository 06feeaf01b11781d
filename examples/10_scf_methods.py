# %% Count exact Fock builds of several methods on one molecule, judged from outside by a fresh build.
from pathlib import Path

from physopt.bench.scf import Judge, compare
from physopt.bench.scf_methods import METHODS
from physopt.scf.xyz import read_xyz

molecule = read_xyz(Path(__file__).parents[1] / "data" / "molecules" / "formamide.xyz")
judge = Judge(molecule, "hf", "def2-svp")
for method in METHODS:
    if method == "ooo":
        continue  # a peer's package, in the `bench` extra
    record = compare("formamide", molecule, "hf", "def2-svp", method, judge)
    print(f"{method:18s} {record['exact_builds']:3d} builds  converged {record['converged']}  E = {record['energy']:.9f}")
