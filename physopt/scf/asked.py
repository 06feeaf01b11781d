"""A description of a mean field, so that a record can check that it is resumed with the same one."""

import json
from typing import Any

import numpy as np
from pyscf.data.nist import BOHR

from physopt.core.described import describe, hashed, sketch

from .oracle import Oracle

# What settles the energy surface and how it is evaluated; not how a run on it starts, goes and ends.
MOLE = ("charge", "spin", "cart", "basis", "ecp", "nucmod", "magmom", "symmetry")
FIELD = ("xc", "nlc", "omega", "disp", "small_rho_cutoff", "direct_scf", "direct_scf_tol", "irrep_nelec")
GRID = ("level", "atom_grid", "prune", "radi_method", "becke_scheme", "radii_adjust", "cutoff", "alignment")
FIT = ("auxbasis",)
SOLVENT = (
    "method", "eps", "solvent", "lebedev_order", "lmax", "eta", "r_probe", "radii_table", "vdw_scale", "state_id", "sasa_ng", "frozen",
    "equilibrium_solvation",
)  # fmt: skip


def described_field(oracle: Oracle) -> dict[str, Any]:
    """Return molecule, basis, functional, grids, fitting and environment of a mean field, by PySCF's names; atoms in angstrom.

    Everything else that acts on the electrons (effective potentials, point charges, a user's own Hamiltonian) is in the core
    Hamiltonian and overlap matrices, which are compared to six digits.
    """
    mf, mol = oracle.mf, oracle.mf.mol
    # Not what dresses it: it may be resumed as a scanner, say.
    foreign = (kind.__name__ for kind in type(mf).__mro__ if not kind.__module__.startswith("physopt."))
    kinds = (name for name in foreign if not name.startswith(("_", "Accelerated")) and "Scanner" not in name)
    found: dict[str, Any] = {"field": next(kinds), "atoms": atoms(mol)}
    found |= {**_some(mol, MOLE), **_some(mf, FIELD)}
    found["functions"] = {symbol: hashed(json.dumps(describe(shells)).encode()) for symbol, shells in mol._basis.items()}
    for name in ("grids", "nlcgrids"):
        found[name] = _some(vars(mf).get(name), GRID)
    found["with_df"] = _some(vars(mf).get("with_df"), FIT)
    solvent = vars(mf).get("with_solvent")
    found["with_solvent"] = None if solvent is None else {"class": type(solvent).__name__, **_some(solvent, SOLVENT)}
    found["hcore"], found["overlap"] = sketch(np.asarray(oracle.hcore)), sketch(np.asarray(oracle.overlap))
    if not mol.natm and mf._eri is not None:
        found["eri"] = sketch(np.asarray(mf._eri))
    if oracle.kernel is not None:
        found["response"] = sketch(np.asarray(oracle.kernel.charges.auxmol._env))
    return found


def atoms(mol: Any) -> list[str]:
    """Return one line for each atom, such as "H 0.0 0.757 0.587", in angstrom; ten digits, so that it does not depend on the last bit."""
    coords = mol.atom_coords() * BOHR
    return [" ".join([mol.atom_symbol(a), *(f"{x:.10g}" for x in xyz.round(10) + 0.0)]) for a, xyz in enumerate(coords)]


def _some(owner: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return those of the named attributes that an object has: not all versions and kinds have all."""
    # Not hasattr(owner, name): PySCF answers an unknown name by importing every method it has.
    known = [] if owner is None else [name for name in names if name in vars(owner) or hasattr(type(owner), name)]
    return {name: describe(getattr(owner, name)) for name in known}
