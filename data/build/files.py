"""From SMILES or a typed geometry to an XYZ file whose second line says what it is and where it is from.

RDKit (BSD-3) embeds with ETKDGv3 and a fixed seed, and relaxes with MMFF94, or UFF for ions and radicals that MMFF94 has no types for.
"""

from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem import AllChem

SEED = 20
DATA = Path(__file__).parents[1]


def embed(smiles):
    """Symbols, positions and the force field's name of a molecule given as SMILES."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = AllChem.ETKDGv3()
    parameters.randomSeed = SEED
    if AllChem.EmbedMolecule(molecule, parameters) != 0:
        raise RuntimeError(f"RDKit could not embed {smiles}")
    mmff = AllChem.MMFFHasAllMoleculeParams(molecule) and not any(a.GetNumRadicalElectrons() for a in molecule.GetAtoms())
    relax = AllChem.MMFFOptimizeMolecule if mmff else AllChem.UFFOptimizeMolecule
    if relax(molecule, maxIters=5000) != 0:
        raise RuntimeError(f"the force field did not converge on {smiles}")
    symbols = [a.GetSymbol() for a in molecule.GetAtoms()]
    return symbols, molecule.GetConformer().GetPositions(), "MMFF94" if mmff else "UFF"


def block(name, symbols, coords, charge, spin, source, level=""):
    """One frame of an XYZ file, centered on the mean position; `level` names functional and basis where the case has its own."""
    coords = np.asarray(coords) - np.mean(coords, axis=0)
    head = [str(len(symbols)), f"charge={charge} spin={spin} {level}{' ' if level else ''}name={name} source={source}"]
    # Adding zero turns -0.00000 into 0.00000.
    rows = [f"{s:2s} {x:10.5f} {y:10.5f} {z:10.5f}" for s, (x, y, z) in zip(symbols, np.round(coords, 5) + 0.0, strict=True)]
    return "\n".join(head + rows) + "\n"


def write_set(folder, from_smiles, typed):
    """Write one file for each `name: (SMILES, charge, spin)` and each `name: (charge, spin, (symbols, positions)[, level])`."""
    folder = DATA / folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, (smiles, charge, spin) in from_smiles.items():
        symbols, coords, field = embed(smiles)
        (folder / f"{name}.xyz").write_text(block(name, symbols, coords, charge, spin, f"ETKDGv3+{field}:{smiles}"))
    for name, (charge, spin, (symbols, coords), *level) in typed.items():
        (folder / f"{name}.xyz").write_text(block(name, symbols, coords, charge, spin, "typed", *level))
    print(f"{len(from_smiles) + len(typed)} molecules in {folder}")
