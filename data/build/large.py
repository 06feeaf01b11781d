"""Build data/held-out/large/*.xyz: closed-shell drugs, peptides and other organics, spread over 150 to 400 def2-SVP functions.

pip install rdkit==2026.9.1
python data/build/large.py
"""

from files import write_set

# name: (SMILES, charge, spin), by size: 152, 180, 200, 222, 238, 270, 297, 309, 338, 349, 379 and 400 functions.
LARGE = {
    "anisole": ("COc1ccccc1", 0, 0),
    "naphthalene": ("c1ccc2ccccc2c1", 0, 0),
    "alanine_dipeptide": ("CC(=O)N[C@@H](C)C(=O)NC", 0, 0),
    "aspirin": ("CC(=O)Oc1ccccc1C(=O)O", 0, 0),
    "nicotine": ("CN1CCC[C@H]1c1cccnc1", 0, 0),
    "tryptophan": ("N[C@@H](Cc1c[nH]c2ccccc12)C(=O)O", 0, 0),
    "sulfamethoxazole": ("Cc1cc(NS(=O)(=O)c2ccc(N)cc2)no1", 0, 0),
    "trialanine": ("C[C@H](N)C(=O)N[C@@H](C)C(=O)N[C@@H](C)C(=O)O", 0, 0),
    "procaine": ("CCN(CC)CCOC(=O)c1ccc(N)cc1", 0, 0),
    "diazepam": ("CN1c2ccc(Cl)cc2C(=NCC1=O)c1ccccc1", 0, 0),
    "tyrosylglycylglycine": ("N[C@@H](Cc1ccc(O)cc1)C(=O)NCC(=O)NCC(=O)O", 0, 0),
    "estradiol": ("C[C@]12CC[C@H]3[C@@H](CCc4cc(O)ccc34)[C@@H]1CC[C@@H]2O", 0, 0),
}

if __name__ == "__main__":
    write_set("held-out/large", LARGE, {})
