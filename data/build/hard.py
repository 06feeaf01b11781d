"""Build data/held-out/hard/*.xyz: cases on which the usual methods fail, crawl or end in the wrong state, each at its own level of theory.

    pip install rdkit==2026.9.1
    python data/build/hard.py

Those that PySCF's and Psi4's users reported as failing are at the level of the report; geometries are our own.
"""

import numpy as np
from files import write_set
from ligands import CARBONYL, WATER, around, complexed, ring
from shapes import OCTAHEDRAL, bent, chain, internal, joined, methyl, pyramid, star

HF, PBE, B3LYP = "xc=hf basis=def2-svp", "xc=pbe basis=def2-svp", "xc=b3lyp basis=def2-svp"
DIFFUSE = "xc=hf basis=aug-cc-pvdz"

ALLENE = (
    ["C", "C", "C", "H", "H", "H", "H"],
    np.array([[0, 0, z] for z in (0, 1.31, -1.31)] + [[x, 0, z] for x in (0.93, -0.93) for z in (1.88, -1.88)]),
)
BENZYNE = ring(6, 1.40)
BUTYNE = joined(methyl(["C", "C", "C"], [1.47, 1.21, 1.47]), methyl("C", 4.15))


def cadmium_imidazole():
    """Cadmium 2.2 from the bare nitrogen of a planar pentagon with bonds of 1.37, on its axis."""
    symbols, points = ring(5, 1.37)
    return ["N", "C", "N", "C", "C", "H", "H", "H", "H", "Cd"], np.vstack([np.delete(points, 5, axis=0), points[0] + [2.2, 0, 0]])


# name: (charge, spin, geometry, level)
REPORTED = {
    "hydrotrioxyl_cis": (
        0,
        1,
        internal([("O",), ("O", 0, 1.52), ("O", 1, 1.25, 0, 111.6), ("H", 0, 0.97, 1, 97.5, 2, 0)]),
        "xc=hf basis=pcseg-0",
    ),
    "magnesium_fluoride_2.8": (0, 1, chain(["Mg", "F"], [2.80]), "xc=hf basis=cc-pvdz"),
    "magnesium_fluoride_3.0": (0, 1, chain(["Mg", "F"], [3.00]), "xc=hf basis=cc-pvdz"),
    "chromium_carbide": (0, 2, chain(["Cr", "C"], [2.00]), "xc=hf basis=6-31g"),
    "chromium_dimer": (0, 0, chain(["Cr", "Cr"], [1.68]), HF),
    "nitric_oxide_lda": (0, 1, chain(["N", "O"], [1.15]), "xc=lda,vwn basis=6-31g"),
    "nickel_tricarbonyl": (0, 0, complexed("Ni", (CARBONYL, around(3, 90), 1.84)), "xc=pbe basis=sto-3g"),
    "iron_atom": (0, 4, (["Fe"], np.zeros((1, 3))), f"{HF} rohf=1"),
    "chromium_atom": (0, 6, (["Cr"], np.zeros((1, 3))), f"{HF} rohf=1"),
    "vanadium_atom": (0, 3, (["V"], np.zeros((1, 3))), f"{HF} rohf=1"),
    "ammonia_dimer_cation": (1, 1, joined(methyl("N", 2.20, "N", 1.02, 104.0), methyl("N", 2.20, "N", 1.02, 104.0)), B3LYP),
    "butyne": (0, 0, BUTYNE, "xc=bp86 basis=6-311+g(3df,2p)"),
    "carbon_monoxide_cation": (1, 1, chain(["C", "O"], [1.12]), "xc=hf basis=cc-pvdz"),
    "nickel_oxide": (0, 2, chain(["Ni", "O"], [1.63]), HF),
}

MULTIREFERENCE = {
    "allene_planar": (0, 0, ALLENE, HF),
    "boron_nitride": (0, 0, chain(["B", "N"], [1.28]), HF),
    "carbon_dimer": (0, 0, chain(["C", "C"], [1.24]), "xc=hf basis=cc-pvdz"),
    "carbon_dimer_pbe": (0, 0, chain(["C", "C"], [1.24]), PBE),
    "cyclobutadiene_square": (0, 0, ring(4, 1.45), HF),
    "disulfur_monoxide": (0, 0, bent("S", "SO", [1.88, 1.46], 118.0), HF),
    "fluorine_2.1": (0, 0, chain(["F", "F"], [2.10]), HF),
    "fluorine_2.8": (0, 0, chain(["F", "F"], [2.80]), B3LYP),
    "hydrogen_chain": (0, 0, chain(["H"] * 10, [1.80] * 9), "xc=hf basis=6-31g"),
    "hydrogen_square": (0, 0, star("H", "HHH", [[1, 0, 0], [0, 1, 0], [1, 1, 0]], [1.23, 1.23, 1.23 * 2**0.5]), "xc=hf basis=cc-pvdz"),
    "lithium_fluoride_3.0": (0, 0, chain(["Li", "F"], [3.00]), HF),
    "lithium_fluoride_6.0": (0, 0, chain(["Li", "F"], [6.00]), DIFFUSE),
    "nitrogen_2.0": (0, 0, chain(["N", "N"], [2.00]), HF),
    "nitrogen_3.0": (0, 0, chain(["N", "N"], [3.00]), B3LYP),
    "ozone_stretched": (0, 0, bent("O", "OO", [1.60, 1.60], 116.8), HF),
    "para_benzyne": (0, 0, tuple(np.delete(a, [6, 9], axis=0) for a in map(np.asarray, BENZYNE)), "xc=hf basis=6-31g*"),
    "sodium_tetramer": (0, 0, (["Na"] * 4, np.array([[1.55, 0, 0], [-1.55, 0, 0], [0, 3.1, 0], [0, -3.1, 0]])), PBE),
}

METALS = {
    "cadmium_imidazole": (2, 0, cadmium_imidazole(), "xc=hf basis=3-21g"),
    "chromium_oxide": (0, 4, chain(["Cr", "O"], [1.62]), B3LYP),
    "cobalt_oxide": (0, 3, chain(["Co", "O"], [1.63]), PBE),
    "copper_oxide": (0, 1, chain(["Cu", "O"], [1.72]), HF),
    "dicopper_dioxide": (2, 0, (["Cu", "Cu", "O", "O"], np.array([[1.78, 0, 0], [-1.78, 0, 0], [0, 0.71, 0], [0, -0.71, 0]])), HF),
    "hexaaquairon": (2, 4, complexed("Fe", (WATER, OCTAHEDRAL, 2.12)), HF),
    "hexaaquanickel": (2, 2, complexed("Ni", (WATER, OCTAHEDRAL, 2.06)), HF),
    "iron_dimer": (0, 6, chain(["Fe", "Fe"], [2.02]), PBE),
    "iron_oxide": (0, 4, chain(["Fe", "O"], [1.62]), HF),
    "iron_oxide_b3lyp": (0, 4, chain(["Fe", "O"], [1.62]), B3LYP),
    "iron_oxide_cation": (1, 5, chain(["Fe", "O"], [1.64]), HF),
    "nickel_carbide": (0, 0, chain(["Ni", "C"], [1.63]), HF),
    "vanadium_dimer": (0, 2, chain(["V", "V"], [1.77]), PBE),
}

RADICALS_AND_ANIONS = {
    "boron_dimer": (0, 2, chain(["B", "B"], [1.59]), "xc=hf basis=cc-pvdz"),
    "chlorine_dioxide": (0, 1, bent("Cl", "OO", [1.47, 1.47], 117.4), HF),
    "cyano_tzvp": (0, 1, chain(["C", "N"], [1.17]), "xc=hf basis=def2-tzvp"),
    "dicarbide_anion": (-1, 1, chain(["C", "C"], [1.27]), DIFFUSE),
    "difluoride_anion": (-1, 1, chain(["F", "F"], [1.92]), DIFFUSE),
    "methanide": (-1, 0, pyramid("C", "H", 1.10, 105.0), "xc=hf basis=6-31++g**"),
    "nitrate": (-1, 0, pyramid("N", "O", 1.25, 120), "xc=pbe0 basis=aug-cc-pvdz"),
    "nitrate_radical": (0, 1, pyramid("N", "O", 1.24, 120), HF),
    "nitric_oxide": (0, 1, chain(["N", "O"], [1.15]), HF),
    "nitric_oxide_b3lyp": (0, 1, chain(["N", "O"], [1.15]), B3LYP),
    "ozonide": (-1, 1, bent("O", "OO", [1.35, 1.35], 115.0), "xc=hf basis=6-31+g*"),
    "superoxide": (-1, 1, chain(["O", "O"], [1.35]), DIFFUSE),
    "water_dimer_cation": (
        1,
        1,
        internal(
            [
                ("O",),
                ("O", 0, 2.02),
                ("H", 0, 0.97, 1, 100),
                ("H", 0, 0.97, 1, 100, 2, 106),
                ("H", 1, 0.97, 0, 100, 2, 180),
                ("H", 1, 0.97, 0, 100, 2, 74),
            ]
        ),
        "xc=hf basis=6-31g*",
    ),
}

if __name__ == "__main__":
    write_set("held-out/hard", {}, REPORTED | MULTIREFERENCE | METALS | RADICALS_AND_ANIONS)
