r"""The semilocal functional in the response model: its kernel and its potential, on grids as coarse as possible."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pyscf import dft, gto

KERNEL_GRID = (14, 26)  # radial and angular points of each atom
POTENTIAL_GRID = (30, 86)
FAINT = 1e-3  # electrons / bohr^3 below which the second derivative diverges and no grid this coarse integrates it


def coarse_grids(mol: gto.Mole, points: tuple[int, int]) -> dft.gen_grid.Grids:
    """Return an unpruned Becke grid with the given radial and angular points on each atom."""
    grids = dft.gen_grid.Grids(mol)
    grids.atom_grid, grids.prune, grids.verbose = points, None, 0
    return grids.build(with_non0tab=True)


def coarse_potential(mf: Any, grids: dft.gen_grid.Grids, dm: ndarray) -> Float[ndarray, "spin ao ao"]:
    """Return the functional's potential at an AO density in PySCF's shape, on any grid, in hartree."""
    evaluate = mf._numint.nr_rks if dm.ndim == 2 else mf._numint.nr_uks
    return np.asarray(evaluate(mf.mol, grids, mf.xc, dm, hermi=1)[2]).reshape(-1, *dm.shape[-2:])


def local_kernel(mf: Any, auxmol: gto.Mole, dm: ndarray) -> tuple[Float[ndarray, "spin spin aux aux"], Float[ndarray, "spin aux"]]:
    r"""Return $M^{ss'}_{PQ} = \sum_{xy} \int (D_x \chi_P) f_{sx,s'y}(\rho) (D_y \chi_Q)$, and with $\rho$ for $\chi_Q$; $D = (1, \nabla)$.

    $f$ is the second derivative of the functional's energy density with respect to the density and its gradient. That of a meta-GGA,
    which depends on the kinetic-energy density, is replaced by that of PBE with the same fraction of exact exchange.

    The second, the response to the density itself, is the reference for the first on a fitted density.

    **Arguments:** `dm`: AO density, of both spins together or a pair.
    """
    numint, mol = mf._numint, mf.mol
    grids = coarse_grids(mol, KERNEL_GRID)
    xc, kind = _kernel_functional(mf)
    spins = 1 if np.ndim(dm) == 2 else 2
    size = auxmol.nao
    result, own = np.zeros((spins, spins, size, size)), np.zeros((spins, size))
    if kind == "HF":
        return result, own
    derivatives = 0 if kind == "LDA" else 1
    for ao, _, weight, coords in numint.block_loop(mol, grids, mol.nao, derivatives, max_memory=2000):
        each = np.asarray(dm).reshape(spins, mol.nao, mol.nao)
        rho = np.stack([numint.eval_rho(mol, ao, d, xctype=kind, hermi=1).reshape(-1, len(weight)) for d in each])
        f = numint.eval_xc_eff(xc, rho[0] if spins == 1 else rho, deriv=2, xctype=kind)[2]
        f = f.reshape(spins, rho.shape[1], spins, rho.shape[1], -1)
        f = np.where(rho[:, 0].sum(axis=0) > FAINT, f * weight, 0.0).astype(np.float32)
        chi = numint.eval_ao(auxmol, coords, deriv=derivatives).reshape(-1, len(weight), size).astype(np.float32)
        own += np.einsum("sxg,xgp->sp", np.einsum("sxtyg,tyg->sxg", f, rho), chi, optimize=True)
        for s in range(spins):
            for t in range(s + 1):
                for x, left in enumerate(chi):
                    result[s, t] += left.T @ sum(f[s, x, t, y][:, None] * right for y, right in enumerate(chi))
    for s in range(spins):
        for t in range(s):
            result[t, s] = result[s, t].T
    return 0.5 * (result + result.transpose(1, 0, 3, 2)), own


def _kernel_functional(mf: Any) -> tuple[str, str]:
    """Return the functional whose kernel is used, and which variables it depends on."""
    kind = mf._numint._xc_type(mf.xc)
    if kind != "MGGA":
        return mf.xc, kind
    hybrid = mf._numint.rsh_and_hybrid_coeff(mf.xc, spin=mf.mol.spin)[2]
    return f"{1.0 - hybrid}*pbe,pbe", "GGA"
