# %% A scan with a scanner: the earlier geometries predict the next start, and most steps need two exact Fock builds.
import numpy as np
from pyscf import gto, scf

import physopt


def peroxide(angle):
    """Hydrogen peroxide with a dihedral angle in degrees."""
    x, z = 0.94 * np.sin(np.deg2rad(angle)), 0.94 * np.cos(np.deg2rad(angle))
    return gto.M(atom=f"O 0 0.73 -0.05; O 0 -0.73 -0.05; H {x} 0.9 {z}; H 0 -0.9 0.94", basis="6-31g", verbose=0)


scanner = physopt.accelerate(scf.RHF(peroxide(180))).as_scanner()
for angle in range(180, 89, -10):
    energy = scanner(peroxide(angle))
    print(f"{angle:4d} degrees: {energy:.8f} hartree after {scanner.cycles} builds")
