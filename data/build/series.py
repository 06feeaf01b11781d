"""Build data/held-out/series/*.xyz: a torsion scan, an optimization path and a trajectory, of three molecules.

    pip install rdkit==2026.9.1 pyscf==2.14.0 pyberny==0.7.0
    python data/build/series.py

The scan is relaxed by MMFF94 at each angle; the path and the trajectory follow the gradients of HF/STO-3G. The last digits of the latter
two may differ between machines.
"""

import numpy as np
from files import DATA, SEED, block, embed
from pyscf import gto, scf
from pyscf.data.elements import MASSES
from pyscf.data.nist import AMU2AU, BOHR
from pyscf.geomopt import berny_solver
from rdkit import Chem
from rdkit.Chem import AllChem

FOLDER = DATA / "held-out" / "series"
FEMTOSECOND = 41.341373335  # atomic units of time
KELVIN = 3.166811563e-6  # hartree


def torsion_scan(smiles, atoms, angles):
    """Yield symbols and positions, relaxed in MMFF94 with the dihedral of four atoms held at each angle."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = AllChem.ETKDGv3()
    parameters.randomSeed = SEED
    AllChem.EmbedMolecule(molecule, parameters)
    for angle in angles:
        field = AllChem.MMFFGetMoleculeForceField(molecule, AllChem.MMFFGetMoleculeProperties(molecule))
        field.MMFFAddTorsionConstraint(*atoms, False, float(angle), float(angle), 1e4)
        if field.Minimize(maxIts=10_000) != 0:
            raise RuntimeError(f"MMFF94 did not converge at {angle} degrees")
        yield [a.GetSymbol() for a in molecule.GetAtoms()], molecule.GetConformer().GetPositions()


def small_basis(symbols, coords):
    """HF/STO-3G of positions in angstrom."""
    return scf.RHF(gto.M(atom=list(zip(symbols, coords, strict=True)), basis="sto-3g", verbose=0)).set(conv_tol=1e-11)


def optimization(symbols, coords):
    """Yield symbols and positions from the force field's minimum to the one of HF/STO-3G, as a geometry optimizer visits them."""
    frames = []

    def keep(state):
        frames.append(state["mol"].atom_coords() * BOHR)

    mf = small_basis(symbols, coords)
    berny_solver.kernel(mf, assert_convergence=True, callback=keep)
    for frame in frames:
        yield symbols, frame


def trajectory(symbols, coords, steps, timestep, temperature):
    """Yield symbols and positions of velocity Verlet; `timestep` in fs, `temperature` in K of the velocities at the start."""
    rng = np.random.default_rng(SEED)
    masses = np.array([MASSES[gto.charge(s)] * AMU2AU for s in symbols])[:, None]
    velocities = rng.normal(size=(len(symbols), 3)) * np.sqrt(temperature * KELVIN / masses)
    velocities -= np.sum(masses * velocities, axis=0) / np.sum(masses)
    gradients = small_basis(symbols, coords).run().nuc_grad_method().as_scanner()
    positions, dt = coords / BOHR, timestep * FEMTOSECOND
    mol = gradients.mol
    forces = -gradients(mol.set_geom_(positions, unit="Bohr", inplace=False))[1]
    yield symbols, positions * BOHR
    for _ in range(steps):
        velocities = velocities + 0.5 * dt * forces / masses
        positions = positions + dt * velocities
        forces = -gradients(mol.set_geom_(positions, unit="Bohr", inplace=False))[1]
        velocities = velocities + 0.5 * dt * forces / masses
        yield symbols, positions * BOHR


def write_frames(name, frames, source):
    """Write the frames of one closed-shell molecule."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    blocks = [block(name, symbols, coords, 0, 0, f"{source} frame={index}") for index, (symbols, coords) in enumerate(frames)]
    (FOLDER / f"{name}.xyz").write_text("".join(blocks))
    print(f"{len(blocks)} frames of {name}")


if __name__ == "__main__":
    write_frames("glycolaldehyde_torsion", torsion_scan("OCC=O", (0, 1, 2, 3), range(0, 360, 10)), "MMFF94:OCC=O")
    write_frames("methylacetamide_optimization", optimization(*embed("CNC(C)=O")[:2]), "HF/STO-3G:CNC(C)=O")
    write_frames("glycol_dynamics", trajectory(*embed("OCCO")[:2], 100, 0.5, 300.0), "HF/STO-3G:OCCO")
