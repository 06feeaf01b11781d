"""Build data/held-out/ordinary/*.xyz: main-group molecules as they come, of families that no rule was trained on.

pip install rdkit==2026.9.1
python data/build/ordinary.py
"""

import numpy as np
from files import write_set
from shapes import OCTAHEDRAL, TETRAHEDRAL, joined, methyl, star, tetrahedron

# name: (SMILES, charge, spin). The SMILES of benzyl is the cation's: RDKit sees a planar carbon there, as it is in the radical.
ORGANIC = {
    "acetamide": ("CC(N)=O", 0, 0),
    "acetate": ("CC(=O)[O-]", -1, 0),
    "acetic_anhydride": ("CC(=O)OC(C)=O", 0, 0),
    "adenine": ("Nc1ncnc2[nH]cnc12", 0, 0),
    "aniline": ("Nc1ccccc1", 0, 0),
    "aziridine": ("C1CN1", 0, 0),
    "benzaldehyde": ("O=Cc1ccccc1", 0, 0),
    "benzonitrile": ("N#Cc1ccccc1", 0, 0),
    "benzoquinone": ("O=C1C=CC(=O)C=C1", 0, 0),
    "benzyl": ("[CH2+]c1ccccc1", 0, 1),
    "butatriene": ("C=C=C=C", 0, 0),
    "chlorobenzene": ("Clc1ccccc1", 0, 0),
    "cyclopentadiene": ("C1C=CC=C1", 0, 0),
    "cyclopropene": ("C1C=C1", 0, 0),
    "cytosine": ("Nc1cc[nH]c(=O)n1", 0, 0),
    "diazomethane": ("C=[N+]=[N-]", 0, 0),
    "dimethyl_disulfide": ("CSSC", 0, 0),
    "dimethyl_ether": ("COC", 0, 0),
    "dimethyl_nitroxide": ("CN(C)[O]", 0, 1),
    "dimethyl_sulfone": ("CS(C)(=O)=O", 0, 0),
    "ethanethiol": ("CCS", 0, 0),
    "formaldoxime": ("C=NO", 0, 0),
    "formic_acid": ("OC=O", 0, 0),
    "guanidine": ("NC(N)=N", 0, 0),
    "imidazolium": ("c1c[nH]c[nH+]1", 1, 0),
    "ketene": ("C=C=O", 0, 0),
    "maleic_anhydride": ("O=C1OC(=O)C=C1", 0, 0),
    "methanesulfonamide": ("CS(N)(=O)=O", 0, 0),
    "methyl_azide": ("CN=[N+]=[N-]", 0, 0),
    "methyl_isocyanate": ("CN=C=O", 0, 0),
    "methyl_isothiocyanate": ("CN=C=S", 0, 0),
    "methyl_nitrate": ("CO[N+](=O)[O-]", 0, 0),
    "methylboronic_acid": ("CB(O)O", 0, 0),
    "nitrobenzene": ("O=[N+]([O-])c1ccccc1", 0, 0),
    "nitrosodimethylamine": ("CN(C)N=O", 0, 0),
    "oxazole": ("c1cocn1", 0, 0),
    "oxirane": ("C1CO1", 0, 0),
    "peracetic_acid": ("CC(=O)OO", 0, 0),
    "phosgene": ("O=C(Cl)Cl", 0, 0),
    "phosphoric_acid": ("OP(O)(O)=O", 0, 0),
    "propiolactone": ("O=C1CCO1", 0, 0),
    "pyrazine": ("c1cnccn1", 0, 0),
    "pyrimidine": ("c1cncnc1", 0, 0),
    "pyrrole": ("c1cc[nH]c1", 0, 0),
    "sulfuric_acid": ("OS(O)(=O)=O", 0, 0),
    "tetrazole": ("c1nnn[nH]1", 0, 0),
    "thiazole": ("c1cscn1", 0, 0),
    "thiirane": ("C1CS1", 0, 0),
    "thioacetone": ("CC(C)=S", 0, 0),
    "toluene": ("Cc1ccccc1", 0, 0),
    "trimethylphosphine_oxide": ("CP(C)(C)=O", 0, 0),
    # The two elements that no rule was trained on.
    "bromobenzene": ("Brc1ccccc1", 0, 0),
    "bromoacetic_acid": ("OC(=O)CBr", 0, 0),
    "bromoform": ("BrC(Br)Br", 0, 0),
    "cyanogen_bromide": ("BrC#N", 0, 0),
    "dimethylsilane": ("C[SiH2]C", 0, 0),
    "silacyclobutane": ("C1C[SiH2]C1", 0, 0),
    "vinyl_bromide": ("C=CBr", 0, 0),
    "vinylsilane": ("C=C[SiH3]", 0, 0),
}


def borazine():
    """A ring of alternating B-H and N-H, 1.44 apart."""
    turns = np.radians(60 * np.arange(6))
    circle = np.stack([np.cos(turns), np.sin(turns), np.zeros(6)], 1)
    outer = 1.44 + np.array([1.20, 1.01] * 3)[:, None]
    return ["B", "N"] * 3 + ["H"] * 6, np.vstack([1.44 * circle, outer * circle])


def dialuminium_hexachloride():
    """Two Al 3.21 apart, two bridging Cl 2.25 from both, four terminal ones 2.07 away."""
    half, bridge = 1.605, np.sqrt(2.25**2 - 1.605**2)
    out, aside = 2.07 * np.cos(np.radians(61)), 2.07 * np.sin(np.radians(61))
    terminal = [[s * (half + out), 0, t * aside] for s in (1, -1) for t in (1, -1)]
    return ["Al", "Al", *["Cl"] * 6], np.array([[half, 0, 0], [-half, 0, 0], [0, bridge, 0], [0, -bridge, 0], *terminal])


def disiloxane():
    """H3Si-O-SiH3, 1.63 and 144 degrees, with ideal silyls."""
    symbols, silyl = methyl("O", 1.63, "Si", 1.49)
    silyl = silyl - silyl[1]
    points = [np.zeros((1, 3))]
    for side in (1, -1):
        turn = np.radians(side * 72)
        frame = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
        points.append(np.delete(silyl, 1, axis=0) @ frame)
    return ["O", *[s for s in symbols if s != "O"] * 2], np.vstack(points)


TYPED = {
    "ammonia_borane": (0, 0, joined(methyl("N", 1.66, "B", 1.21, 104.7), methyl("B", 1.66, "N", 1.02, 109.9))),
    "bromine_pentafluoride": (0, 0, star("Br", "FFFFF", OCTAHEDRAL[:5], [1.77] * 4 + [1.69])),
    "borazine": (0, 0, borazine()),
    "chlorine_trifluoride": (0, 0, star("Cl", "FFF", [[1, 0, 0], [0, 0.999, 0.05], [0, -0.999, 0.05]], [1.60, 1.70, 1.70])),
    "dialuminium_hexachloride": (0, 0, dialuminium_hexachloride()),
    "disiloxane": (0, 0, disiloxane()),
    "phosphorus_pentafluoride": (
        0,
        0,
        star("P", "FFFFF", [[0, 0, 1], [0, 0, -1], [2, 0, 0], [-1, 3**0.5, 0], [-1, -(3**0.5), 0]], [1.58] * 2 + [1.53] * 3),
    ),
    "phosphorus_tetramer": (0, 0, (["P"] * 4, 2.21 * np.sqrt(3 / 8) * TETRAHEDRAL)),
    "silicon_tetrafluoride": (0, 0, tetrahedron("Si", "F", 1.55)),
    "sulfur_hexafluoride": (0, 0, star("S", "F" * 6, OCTAHEDRAL, 1.56)),
}

if __name__ == "__main__":
    write_set("held-out/ordinary", ORGANIC, TYPED)
