"""The mean fields that the response model supports, and what to write instead for the others."""

from typing import Any

import numpy as np
from numpy import ndarray
from pyscf import scf

from .auxiliary import real_symbols

DRESS = "Accelerated"  # what the dressing puts into the name of a class
PLAIN = "Run it without physopt (an accelerated one by mf.undo_accelerate().kernel())"


def user_class(mf: Any) -> str:
    """Return the name of the class of a mean field as its user wrote it, without the prefix of `accelerate`."""
    return type(mf).__name__.replace(DRESS, "")


def objection(mf: Any) -> str | None:
    """Return why `mf` is not supported, and what to write instead; `None` if it is restricted or unrestricted with plain occupations."""
    hint = f"{PLAIN}, or give the molecule's mean field as RHF, UHF, ROHF, RKS, UKS or ROKS."
    name = user_class(mf)
    if not isinstance(mf, scf.hf.SCF):
        return f"accelerate() takes a PySCF mean field such as scf.RHF(mol), not {name}. {hint}"
    # Not hasattr(mf, ...): PySCF answers an unknown name by importing every method it has.
    if hasattr(type(mf.mol), "lattice_vectors"):
        return f"{name} is periodic; only molecules are supported. {PLAIN}."
    if not (mf.istype("RHF") or mf.istype("UHF")):
        return f"{name} is not supported: restricted and unrestricted real orbitals are. {hint}"
    instead = f"{PLAIN}."
    if not mf.istype("ROHF"):  # PySCF hands DIIS no spin densities there
        instead = "Set mf.DIIS = physopt.scf.ResponseDIIS, which leaves diagonalization and occupations to PySCF's own kernel."
    if getattr(mf.mol, "symmetry", False):
        return (
            f"{name} with point-group symmetry: the model would mix irreps. Build the molecule with symmetry=False, or keep it: {instead}"
        )
    if {"eig", "_eigh"} & set(vars(mf)):
        return f"{name} has its own diagonalization (such as remove_linear_dep_), which the model does not know. {instead}"
    if "get_occ" in vars(mf) or hasattr(type(mf), "smearing_method") or vars(mf).get("smearing_method") is not None:
        rule = "occupation rule (smearing, fractional or maximum-overlap occupations)"
        return f"{name} has its own {rule}, which the model does not know. {instead}"
    if not (mf.istype("UHF") or mf.istype("ROHF")) and mf.mol.spin:
        return f"{name} is restricted closed-shell, but the molecule has spin={mf.mol.spin}. Use ROHF, UHF, ROKS or UKS."
    if mf.istype("ROHF") and mf.nelec[0] < mf.nelec[1]:
        return f"{name} with {mf.nelec} alpha and beta electrons: the open shell must be alpha. Set mol.spin to {-mf.mol.spin}."
    return None


def check_supported(mf: Any) -> None:
    """Raise `TypeError` if there is an `objection` to `mf`."""
    if sentence := objection(mf):
        raise TypeError(sentence)


def real(mf: Any, what: str, matrix: Any) -> ndarray:
    """Return a matrix, or several, of real numbers; raise `TypeError` if it has imaginary parts, which the model does not support."""
    matrix = np.asarray(matrix)
    if not np.iscomplexobj(matrix):
        return matrix
    largest = float(abs(matrix.imag).max(initial=0.0))
    if largest > 1e-12:
        raise TypeError(
            f"{user_class(mf)} has a complex {what} (imaginary parts up to {largest:.3g}), and the model's orbitals are real. "
            "PySCF's own kernel keeps it complex: mf.undo_accelerate().kernel(dm0); or give real numbers."
        )
    return matrix.real.copy()


def is_molecular(mf: Any, overlap: ndarray) -> bool:
    """Say whether the orbitals use the functions of `mf.mol` and there are nuclei; a Hamiltonian given as arrays has neither."""
    mol = mf.mol
    if not real_symbols(mol) or not mol.nao or np.shape(overlap) != (mol.nao, mol.nao):
        return False
    return np.allclose(overlap, mol.intor_symmetric("int1e_ovlp"), rtol=0.0, atol=1e-8)
