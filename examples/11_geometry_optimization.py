# %% An optimizer (PyBerny) uses an accelerated scanner; each geometry starts from a prediction by the earlier ones.
from pyscf import gto, scf
from pyscf.geomopt.berny_solver import optimize

import physopt

mol = gto.M(atom="O 0 0 0; H 0 0.80 0.60; H 0 -0.80 0.60", basis="6-31g", verbose=0)
cycles = []
mf = physopt.accelerate(scf.RHF(mol))
mf.callback = lambda envs: cycles.append(envs["cycle"])
relaxed = optimize(mf, maxsteps=20)
frames = cycles.count(0)
print(f"{frames} geometries, {len(cycles) / frames:.1f} cycles each")
print(relaxed.atom_coords(unit="Angstrom").round(4))
