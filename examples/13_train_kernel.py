# %% [markdown]
# Specialize the response model to your own molecules: here silanes, whose silicon the shipped weights have never seen.

# %%
import math

import jax
import numpy as np
from pyscf import gto, scf

import physopt

jax.config.update("jax_enable_x64", True)


def silane(ligands: str, stretch: float = 1.0) -> scf.hf.RHF:
    """Return RHF of Si with four ligands at the corners of a tetrahedron."""
    lengths = {"H": 1.48, "F": 1.57, "C": 2.03}
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / math.sqrt(3)
    atoms = [("Si", (0.0, 0.0, 0.0))]
    for ligand, corner in zip(ligands, corners, strict=True):
        atoms.append(("Cl" if ligand == "C" else ligand, tuple(stretch * lengths[ligand] * corner)))
    return scf.RHF(gto.M(atom=atoms, basis="6-31g", verbose=0))


# %% Lessons: the exact response of the Fock matrix to changes of the density, for two small members of the family.
meter = physopt.scf.Meter()
lessons = [lesson for ligands in ("HHHC", "HHHF") if (lesson := physopt.scf.harvest(meter.watch(silane(ligands))))]

# %% Start from the shipped weights; `physopt train scf --family DIR --out FILE` does the same for a folder of XYZ files.
shipped = physopt.scf.load_kernel(physopt.scf.SHIPPED)
own = physopt.scf.fit(lessons, shipped, evaluations=10)
before, after = (10 ** physopt.scf.loss(lessons, weights) for weights in (shipped, own))
print(f"error of the response {before:.4f} -> {after:.4f}, {meter.builds} exact builds")

# %% Other molecules of the family; accelerate(mf, weights=...) takes the file, or own.auxiliary().
others = [(ligands, stretch) for ligands in ("HHCC", "HHFF", "HHCF", "HHHH") for stretch in (1.1,)]
before, after = ([physopt.scf.score(silane(*other), weights.auxiliary()) for other in others] for weights in (shipped, own))
for name, results in {"shipped": before, "own": after}.items():
    builds = np.mean([r["exact_builds"] for r in results])
    norms = 10 ** np.log10([r["grad_norms"] for r in results]).mean(axis=0)
    print(f"{name:8s} {builds:.2f} builds a run, |g| after two {norms[1]:.1e}, after three {norms[2]:.1e}")
saved = np.mean([b["exact_builds"] - a["exact_builds"] for a, b in zip(after, before, strict=True)])
print(f"pays for itself after {meter.builds / saved:.0f} runs" if saved > 0 else "saves no build here: the shipped weights do as well")
