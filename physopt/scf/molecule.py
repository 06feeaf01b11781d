"""Make a PySCF mean field from a molecule of an XYZ file."""

import warnings
from collections.abc import Sequence
from typing import Any

from pyscf import dft, gto, scf

from .xyz import Molecule, check_basis_name


def mean_field(molecule: Molecule, xc: str, basis: str, *, rohf: bool = False) -> Any:
    """Return an unbuilt mean field: RHF or RKS for closed shells, UHF or UKS otherwise; quiet.

    **Arguments:**

    - `xc`: `"hf"` or a functional that PySCF knows. `basis`: the name of a basis set, for all atoms.
    - `rohf`: restricted open shells; the molecule may ask for them, too.

    **Raises:** `ValueError` for an unknown functional or basis set, or one without functions for an element.
    """
    try:
        # For a basis set it does not know, PySCF recommends a package before it raises.
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            mol = gto.M(
                atom=molecule.atoms,
                basis=check_basis_name(basis),
                ecp=core_potentials(molecule.symbols, basis),
                charge=molecule.charge,
                spin=molecule.spin,
                verbose=0,
                parse_arg=False,
            )
    # The runtime error is that of core potentials, for a name that PySCF does not know at all.
    except (KeyError, gto.basis.BasisNotFoundError, RuntimeError) as error:
        elements = ", ".join(sorted(set(molecule.symbols)))
        raise ValueError(f"basis {basis!r}: PySCF has none of that name for {elements} ({error}).") from error
    rohf = rohf or molecule.rohf
    if xc.lower() == "hf":
        return scf.RHF(mol) if rohf or not mol.spin else scf.UHF(mol)
    try:
        dft.libxc.parse_xc(xc)
    except (KeyError, ValueError) as error:
        raise ValueError(f"xc {xc!r}: not a functional that PySCF knows ({error}). Write hf, b3lyp, pbe0, ...") from error
    return dft.RKS(mol, xc=xc) if rohf or not mol.spin else dft.UKS(mol, xc=xc)


def core_potentials(symbols: Sequence[str], basis: str) -> dict[str, str]:
    """Return the effective core potentials that belong to a basis set: a valence basis alone gives wrong results for heavy elements."""
    # PySCF looks for a core potential under the whole name, but the functions in brackets are no part of it: 6-311+g(3df,2p).
    return {symbol: basis for symbol in sorted(set(symbols)) if gto.basis.load_ecp(basis.split("(")[0], symbol)}
