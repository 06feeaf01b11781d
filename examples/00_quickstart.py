# %% Converge a molecule as usual, in fewer exact Fock builds.
from pyscf import gto, scf

import physopt

mol = gto.M(atom="O 0 0 0.1173; H 0 0.7572 -0.4692; H 0 -0.7572 -0.4692", basis="def2-svp")
mf = physopt.accelerate(scf.RHF(mol))
mf.callback = lambda envs: print(f"cycle {envs['cycle'] + 1}  E = {envs['e_tot']:.9f}  |g| = {envs['norm_gorb']:.1e}")
mf.kernel()

# %% The rest of PySCF works as before.
print("cycles", mf.cycles, " stable", mf.stability(return_status=True)[2])
mf.nuc_grad_method().kernel()
