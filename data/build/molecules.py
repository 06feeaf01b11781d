"""Build data/molecules/*.xyz: organics from SMILES by RDKit, the rest from textbook bond lengths and angles typed in here.

    pip install rdkit==2026.9.1
    python data/build/molecules.py

Typed geometries are ideal ones: experimental gas-phase bond lengths rounded to 0.01 angstrom, full symmetry.
"""

from files import write_set
from shapes import bent, chain, pyramid, tetrahedron, zigzag

# name: (SMILES, charge, spin). For allyl and ethyl the SMILES is the cation's: RDKit sees a planar carbon there, as it is in the radical.
ORGANIC = {
    "acetaldehyde": ("CC=O", 0, 0),
    "acetic_acid": ("CC(=O)O", 0, 0),
    "acetone": ("CC(C)=O", 0, 0),
    "acetonitrile": ("CC#N", 0, 0),
    "acrolein": ("C=CC=O", 0, 0),
    "alanine": ("C[C@H](N)C(=O)O", 0, 0),
    "allene": ("C=C=C", 0, 0),
    "benzene": ("c1ccccc1", 0, 0),
    "butadiene": ("C=CC=C", 0, 0),
    "chloromethane": ("CCl", 0, 0),
    "cyclopropane": ("C1CC1", 0, 0),
    "dimethyl_sulfoxide": ("CS(C)=O", 0, 0),
    "ethanol": ("CCO", 0, 0),
    "formamide": ("NC=O", 0, 0),
    "furan": ("c1ccoc1", 0, 0),
    "glycine": ("NCC(=O)O", 0, 0),
    "hydrazine": ("NN", 0, 0),
    "imidazole": ("c1c[nH]cn1", 0, 0),
    "nitromethane": ("C[N+](=O)[O-]", 0, 0),
    "phenol": ("Oc1ccccc1", 0, 0),
    "pyridine": ("c1ccncc1", 0, 0),
    "thiophene": ("c1ccsc1", 0, 0),
    "trifluoroacetate": ("O=C([O-])C(F)(F)F", -1, 0),
    "uracil": ("O=c1cc[nH]c(=O)[nH]1", 0, 0),
    "urea": ("NC(N)=O", 0, 0),
    "allyl": ("C=C[CH2+]", 0, 1),
    "ethyl": ("C[CH2+]", 0, 1),
    "phenoxyl": ("[O]c1ccccc1", 0, 1),
    "vinyl": ("C=[CH]", 0, 1),
}

# name: (charge, spin, geometry)
TYPED = {
    "ammonia": (0, 0, pyramid("N", "H", 1.01, 106.7)),
    "boron_trifluoride": (0, 0, pyramid("B", "F", 1.31, 120)),
    "carbon_dioxide": (0, 0, chain(["O", "C", "O"], [1.16, 1.16])),
    "carbon_monoxide": (0, 0, chain(["C", "O"], [1.13])),
    "copper_chloride": (0, 0, chain(["Cu", "Cl"], [2.05])),
    "diimide": (0, 0, zigzag(["H", "N", "N", "H"], [1.03, 1.25, 1.03], [106.3, 106.3])),
    "hydrogen_cyanide": (0, 0, chain(["H", "C", "N"], [1.07, 1.15])),
    "lithium_fluoride": (0, 0, chain(["Li", "F"], [1.56])),
    "nitrous_oxide": (0, 0, chain(["N", "N", "O"], [1.13, 1.18])),
    "ozone": (0, 0, bent("O", "OO", [1.27, 1.27], 116.8)),
    "permanganate": (-1, 0, tetrahedron("Mn", "O", 1.63)),
    "phosphine": (0, 0, pyramid("P", "H", 1.42, 93.3)),
    "scandium_trifluoride": (0, 0, pyramid("Sc", "F", 1.85, 120)),
    "silane": (0, 0, tetrahedron("Si", "H", 1.48)),
    "sulfur_dioxide": (0, 0, bent("S", "OO", [1.43, 1.43], 119.3)),
    "titanium_tetrachloride": (0, 0, tetrahedron("Ti", "Cl", 2.17)),
    "water": (0, 0, bent("O", "HH", [0.96, 0.96], 104.5)),
    "amidogen": (0, 1, bent("N", "HH", [1.02, 1.02], 103.4)),
    "cyano": (0, 1, chain(["C", "N"], [1.17])),
    "difluoroamidogen": (0, 1, bent("N", "FF", [1.35, 1.35], 103.2)),
    "dioxygen": (0, 2, chain(["O", "O"], [1.21])),
    "formyl": (0, 1, bent("C", "HO", [1.12, 1.17], 124.4)),
    "hydroperoxyl": (0, 1, bent("O", "HO", [0.97, 1.33], 104.3)),
    "hydroxyl": (0, 1, chain(["O", "H"], [0.97])),
    "methyl": (0, 1, pyramid("C", "H", 1.08, 120)),
    "methylene": (0, 2, bent("C", "HH", [1.08, 1.08], 133.9)),
    "nitric_oxide": (0, 1, chain(["N", "O"], [1.15])),
    "nitrogen_dioxide": (0, 1, bent("N", "OO", [1.19, 1.19], 133.9)),
    "scandium_oxide": (0, 1, chain(["Sc", "O"], [1.67])),
    "superoxide": (-1, 1, chain(["O", "O"], [1.35])),
    "water_cation": (1, 1, bent("O", "HH", [1.00, 1.00], 109.3)),
}

if __name__ == "__main__":
    write_set("molecules", ORGANIC, TYPED)
