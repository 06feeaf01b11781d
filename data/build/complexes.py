"""Build data/held-out/complexes/*.xyz: complexes of 3d metals, closed and open shell, as ideal geometries from textbook bond lengths.

pip install rdkit==2026.9.1
python data/build/complexes.py
"""

from files import write_set
from ligands import (
    AMMONIA,
    CARBONYL,
    CYANIDE,
    CYCLOBUTADIENE,
    CYCLOPENTADIENYL,
    ETHYLENE,
    METHYL,
    NITROSYL,
    PHOSPHINE,
    WATER,
    around,
    complexed,
)
from shapes import OCTAHEDRAL, TETRAHEDRAL, tetrahedron

UP, DOWN = [[0, 0, 1]], [[0, 0, -1]]
SQUARE = OCTAHEDRAL[:4]
LEGS = around(3, 109.47)

# name: (charge, spin, geometry)
COMPLEXES = {
    # Carbonyls, nitrosyls, phosphines.
    "chromium_hexacarbonyl": (0, 0, complexed("Cr", (CARBONYL, OCTAHEDRAL, 1.91))),
    "cobalt_tricarbonyl_nitrosyl": (0, 0, complexed("Co", (CARBONYL, LEGS, 1.83), (NITROSYL, UP, 1.66))),
    "iron_pentacarbonyl": (0, 0, complexed("Fe", (CARBONYL, UP + DOWN, 1.81), (CARBONYL, around(3, 90), 1.83))),
    "hydridotetracarbonylcobalt": (0, 0, complexed("Co", ("H", UP, 1.55), (CARBONYL, around(3, 100), 1.80), (CARBONYL, DOWN, 1.80))),
    "hydridopentacarbonylmanganese": (0, 0, complexed("Mn", ("H", UP, 1.60), (CARBONYL, around(4, 96), 1.85), (CARBONYL, DOWN, 1.85))),
    "nickel_tetracarbonyl": (0, 0, complexed("Ni", (CARBONYL, TETRAHEDRAL, 1.84))),
    "tetrakisphosphinenickel": (0, 0, complexed("Ni", (PHOSPHINE, TETRAHEDRAL, 2.15))),
    "vanadium_hexacarbonyl": (0, 1, complexed("V", (CARBONYL, OCTAHEDRAL, 2.00))),
    # Carbon rings, alkenes, alkyls.
    "cyclobutadiene_iron_tricarbonyl": (0, 0, complexed("Fe", (CYCLOBUTADIENE, UP, 1.77), (CARBONYL, around(3, 122), 1.80))),
    "cyclopentadienyl_nickel_nitrosyl": (0, 0, complexed("Ni", (CYCLOPENTADIENYL, UP, 1.73), (NITROSYL, DOWN, 1.63))),
    "ethylene_copper_chloride": (0, 0, complexed("Cu", (ETHYLENE, UP, 1.95), ("Cl", DOWN, 2.12))),
    "trichloromethyltitanium": (0, 0, complexed("Ti", (METHYL, UP, 2.05), ("Cl", LEGS, 2.19))),
    # Four oxides and halides, and their ions.
    "chromate": (-2, 0, tetrahedron("Cr", "O", 1.65)),
    "chromyl_chloride": (0, 0, complexed("Cr", ("O", TETRAHEDRAL[:2], 1.58), ("Cl", TETRAHEDRAL[2:], 2.13))),
    "hexafluorochromate": (-3, 3, complexed("Cr", ("F", OCTAHEDRAL, 1.90))),
    "manganate": (-2, 1, tetrahedron("Mn", "O", 1.66)),
    "permanganyl_fluoride": (0, 0, complexed("Mn", ("F", UP, 1.72), ("O", LEGS, 1.59))),
    "tetrachlorocobaltate": (-2, 3, tetrahedron("Co", "Cl", 2.27)),
    "tetrachlorocuprate": (-2, 1, complexed("Cu", ("Cl", SQUARE, 2.26))),
    "tetrachloroferrate": (-1, 5, tetrahedron("Fe", "Cl", 2.19)),
    "tetrachloronickelate": (-2, 2, tetrahedron("Ni", "Cl", 2.27)),
    "vanadium_tetrachloride": (0, 1, tetrahedron("V", "Cl", 2.14)),
    "vanadyl_trichloride": (0, 0, complexed("V", ("O", UP, 1.57), ("Cl", LEGS, 2.14))),
    # Water, ammonia, cyanide.
    "diamminecopper": (1, 0, complexed("Cu", (AMMONIA, UP + DOWN, 1.90))),
    "hexaamminecobalt": (3, 0, complexed("Co", (AMMONIA, OCTAHEDRAL, 1.97))),
    "hexaaquamanganese": (2, 5, complexed("Mn", (WATER, OCTAHEDRAL, 2.18))),
    "hexaaquatitanium": (3, 1, complexed("Ti", (WATER, OCTAHEDRAL, 2.03))),
    "tetraamminecopper": (2, 1, complexed("Cu", (AMMONIA, SQUARE, 2.03))),
    "tetraamminezinc": (2, 0, complexed("Zn", (AMMONIA, TETRAHEDRAL, 2.05))),
    "tetracyanonickelate": (-2, 0, complexed("Ni", (CYANIDE, SQUARE, 1.87))),
}

if __name__ == "__main__":
    write_set("held-out/complexes", {}, COMPLEXES)
