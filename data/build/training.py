"""Build data/training/*.xyz: small molecules that together hold each element from H to Kr, but for noble gases, Si and Br.

    pip install rdkit==2026.9.1
    python data/build/training.py

The families are those of data/README.md; nothing of the held-out sets' families may be added here.
"""

import numpy as np
from files import write_set
from shapes import bent, chain, joined, methyl, pyramid, star, tetrahedron

SIMPLE = {
    "acetylene": ("C#C", 0, 0),
    "dichloromethane": ("ClCCl", 0, 0),
    "difluoromethane": ("FCF", 0, 0),
    "ethane": ("CC", 0, 0),
    "ethylene": ("C=C", 0, 0),
    "fluoromethane": ("CF", 0, 0),
    "formaldehyde": ("C=O", 0, 0),
    "methane": ("C", 0, 0),
    "methanol": ("CO", 0, 0),
    "methoxy": ("C[O]", 0, 1),
    "methylamine": ("CN", 0, 0),
    "methanimine": ("C=N", 0, 0),
    "propene": ("CC=C", 0, 0),
    "propyne": ("CC#C", 0, 0),
    "vinyl_fluoride": ("C=CF", 0, 0),
}

DIBORANE = (
    ["B", "B", *["H"] * 6],
    np.array(
        [[s * 0.88, 0, 0] for s in (1, -1)]
        + [[0, 0, s * 0.98] for s in (1, -1)]
        + [[s * 1.48, t * 1.03, 0] for s in (1, -1) for t in (1, -1)]
    ),
)
DIMETHYLZINC = joined(methyl(["Zn", "C"], [1.93, 1.93]), methyl(["Zn", "C"], [1.93, 1.93]))

# name: (charge, spin, geometry)
MAIN_GROUP = {
    # Hydrides and their ions.
    "alane": (0, 0, pyramid("Al", "H", 1.58, 120)),
    "alanate": (-1, 0, tetrahedron("Al", "H", 1.64)),
    "amide": (-1, 0, bent("N", "HH", [1.03, 1.03], 102.0)),
    "ammonium": (1, 0, tetrahedron("N", "H", 1.02)),
    "arsine": (0, 0, pyramid("As", "H", 1.52, 91.8)),
    "beryllium_hydride": (0, 1, chain(["Be", "H"], [1.34])),
    "bifluoride": (-1, 0, chain(["F", "H", "F"], [1.14, 1.14])),
    "borohydride": (-1, 0, tetrahedron("B", "H", 1.24)),
    "calcium_dihydride": (0, 0, bent("Ca", "HH", [2.04, 2.04], 157.0)),
    "diborane": (0, 0, DIBORANE),
    "gallane": (0, 0, pyramid("Ga", "H", 1.56, 120)),
    "germane": (0, 0, tetrahedron("Ge", "H", 1.53)),
    "hydrogen_chloride": (0, 0, chain(["H", "Cl"], [1.27])),
    "hydrogen_selenide": (0, 0, bent("Se", "HH", [1.46, 1.46], 90.6)),
    "hydrogen_sulfide": (0, 0, bent("S", "HH", [1.34, 1.34], 92.1)),
    "hydronium": (1, 0, pyramid("O", "H", 0.98, 111.3)),
    "hydroxide": (-1, 0, chain(["O", "H"], [0.96])),
    "imidogen": (0, 2, chain(["N", "H"], [1.04])),
    "lithium_hydride_dimer": (0, 0, (["Li", "Li", "H", "H"], np.array([[1.14, 0, 0], [-1.14, 0, 0], [0, 1.34, 0], [0, -1.34, 0]]))),
    "magnesium_dihydride": (0, 0, chain(["H", "Mg", "H"], [1.70, 1.70])),
    "phosphino": (0, 1, bent("P", "HH", [1.42, 1.42], 91.7)),
    "potassium_hydride": (0, 0, chain(["K", "H"], [2.24])),
    # Fluorides and chlorides.
    "aluminium_fluoride": (0, 0, chain(["Al", "F"], [1.65])),
    "aluminium_trichloride": (0, 0, pyramid("Al", "Cl", 2.07, 120)),
    "arsenic_trifluoride": (0, 0, pyramid("As", "F", 1.71, 96.0)),
    "beryllium_dichloride": (0, 0, chain(["Cl", "Be", "Cl"], [1.79, 1.79])),
    "boron_trichloride": (0, 0, pyramid("B", "Cl", 1.74, 120)),
    "calcium_difluoride": (0, 0, chain(["F", "Ca", "F"], [2.02, 2.02])),
    "chlorine": (0, 0, chain(["Cl", "Cl"], [1.99])),
    "difluorocarbene": (0, 0, bent("C", "FF", [1.30, 1.30], 104.9)),
    "gallium_chloride": (0, 0, chain(["Ga", "Cl"], [2.20])),
    "germanium_difluoride": (0, 0, bent("Ge", "FF", [1.73, 1.73], 97.2)),
    "lithium_chloride": (0, 0, chain(["Li", "Cl"], [2.02])),
    "magnesium_dichloride": (0, 0, chain(["Cl", "Mg", "Cl"], [2.18, 2.18])),
    "nitrogen_trifluoride": (0, 0, pyramid("N", "F", 1.37, 102.4)),
    "phosphorus_trifluoride": (0, 0, pyramid("P", "F", 1.57, 97.8)),
    "potassium_fluoride": (0, 0, chain(["K", "F"], [2.17])),
    "sodium_chloride": (0, 0, chain(["Na", "Cl"], [2.36])),
    "sulfur_dichloride": (0, 0, bent("S", ["Cl", "Cl"], [2.01, 2.01], 103.0)),
    # Oxides, sulfides, nitrides and phosphides of two elements.
    "calcium_oxide": (0, 0, chain(["Ca", "O"], [1.82])),
    "carbon_disulfide": (0, 0, chain(["S", "C", "S"], [1.55, 1.55])),
    "carbon_monoselenide": (0, 0, chain(["C", "Se"], [1.68])),
    "chlorine_monoxide": (0, 1, chain(["Cl", "O"], [1.57])),
    "germanium_monoxide": (0, 0, chain(["Ge", "O"], [1.62])),
    "chloramine": (0, 0, star("N", ["H", "H", "Cl"], pyramid("N", "H", 1.0, 104.0)[1][1:], [1.02, 1.02, 1.75])),
    "lithium_oxide": (0, 0, chain(["Li", "O", "Li"], [1.61, 1.61])),
    "nitrosyl_chloride": (0, 0, bent("N", ["O", "Cl"], [1.14, 1.98], 113.3)),
    "phosphorus_nitride": (0, 0, chain(["P", "N"], [1.49])),
    "phosphorus_oxide": (0, 1, chain(["P", "O"], [1.48])),
    "selenium_dioxide": (0, 0, bent("Se", "OO", [1.61, 1.61], 113.8)),
    "sulfur_monoxide": (0, 2, chain(["S", "O"], [1.48])),
    "sulfur_trioxide": (0, 0, pyramid("S", "O", 1.42, 120)),
    # Hydroxides, cyanide, methyls on metals and semimetals.
    "cyanide": (-1, 0, chain(["C", "N"], [1.18])),
    "hypochlorous_acid": (0, 0, bent("O", ["H", "Cl"], [0.96, 1.69], 103.0)),
    "methylgermane": (0, 0, joined(methyl("Ge", 1.95), methyl("C", 1.95, "Ge", 1.53))),
    "methyllithium": (0, 0, methyl("Li", 1.96)),
    "methylmagnesium_chloride": (0, 0, methyl(["Mg", "Cl"], [2.09, 2.20])),
    "sodium_hydroxide": (0, 0, chain(["Na", "O", "H"], [1.95, 0.95])),
    # Bonds of the above, stretched to about 1.4 lengths.
    "ethane_stretched": (0, 0, joined(methyl("C", 2.15), methyl("C", 2.15))),
    "hydrogen_chloride_stretched": (0, 0, chain(["H", "Cl"], [1.80])),
    "hydrogen_sulfide_stretched": (0, 0, bent("S", "HH", [1.34, 1.95], 92.1)),
}

# At most three ligands, all of them H, F, Cl, O, OH, CH3 or a single CO.
METALS = {
    "chromium_difluoride": (0, 4, chain(["F", "Cr", "F"], [1.80, 1.80])),
    "chromium_trioxide": (0, 0, pyramid("Cr", "O", 1.58, 115)),
    "cobalt_difluoride": (0, 3, chain(["F", "Co", "F"], [1.73, 1.73])),
    "cobalt_hydride": (0, 2, chain(["Co", "H"], [1.52])),
    "copper_carbonyl_chloride": (0, 0, chain(["Cl", "Cu", "C", "O"], [2.09, 1.80, 1.13])),
    "copper_fluoride": (0, 0, chain(["Cu", "F"], [1.75])),
    "copper_hydride": (0, 0, chain(["Cu", "H"], [1.46])),
    "copper_hydride_stretched": (0, 0, chain(["Cu", "H"], [2.05])),
    "dichlorocuprate": (-1, 0, chain(["Cl", "Cu", "Cl"], [2.09, 2.09])),
    "dimethylzinc": (0, 0, DIMETHYLZINC),
    "iron_difluoride": (0, 4, chain(["F", "Fe", "F"], [1.77, 1.77])),
    "iron_trifluoride": (0, 5, pyramid("Fe", "F", 1.76, 120)),
    "manganese_difluoride": (0, 5, chain(["F", "Mn", "F"], [1.81, 1.81])),
    "manganese_hydride": (0, 6, chain(["Mn", "H"], [1.73])),
    "nickel_difluoride": (0, 2, chain(["F", "Ni", "F"], [1.73, 1.73])),
    "nickel_hydride": (0, 1, chain(["Ni", "H"], [1.48])),
    "scandium_fluoride": (0, 0, chain(["Sc", "F"], [1.79])),
    "scandium_trichloride": (0, 0, pyramid("Sc", "Cl", 2.29, 120)),
    "titanium_difluoride": (0, 2, chain(["F", "Ti", "F"], [1.79, 1.79])),
    "titanium_dioxide": (0, 0, bent("Ti", "OO", [1.65, 1.65], 112.0)),
    "vanadium_dioxide": (0, 1, bent("V", "OO", [1.60, 1.60], 112.0)),
    "vanadium_trifluoride": (0, 2, pyramid("V", "F", 1.75, 120)),
    "zinc_dichloride": (0, 0, chain(["Cl", "Zn", "Cl"], [2.07, 2.07])),
    "zinc_dihydride": (0, 0, chain(["H", "Zn", "H"], [1.53, 1.53])),
}

if __name__ == "__main__":
    write_set("training", SIMPLE, MAIN_GROUP | METALS)
