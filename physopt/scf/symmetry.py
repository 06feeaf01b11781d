"""Symmetries of a determinant: reflections, inversions, exchange of the spins; and spatial rotations that cost no energy."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pyscf import symm

from physopt.core.tree import tree_combine, tree_dot, tree_norm

from .model import Response
from .supported import is_molecular

Rotation = tuple[ndarray, ...]
Involution = Callable[[Rotation], Rotation]
ROUND = ("SO3", "Dooh", "Coov")
ALIKE = 1e-4  # largest difference of density and Fock matrices: a determinant that is less symmetric has one block more


def involutions(model: Response) -> list[Involution]:
    r"""Return commuting maps of rotations, each its own inverse, that the Hessian commutes with: they generate its symmetry.

    Each is $\kappa_s \mapsto (C_v^T U C_v) \kappa_{s'} (C_o^T U^T C_o)$ with an operation $U$ of the largest group of reflections, half
    turns and inversion that the nuclei have, if density and Fock matrices have it, too; with or without exchange of the spins.
    """
    oracle, fock, density = model.oracle, model.anchor.fock, model.anchor.density
    operations, swaps = _operations(model), (False, True) if len(fock) == 2 and not oracle.rotations.shared else (False,)
    found: list[Involution] = []
    known = {(0, False)}
    for number, u in enumerate(operations):
        for swap in swaps:
            order = slice(None, None, -1) if swap else slice(None)
            if (number, swap) in known or any(abs(u @ m @ u.T - m[order]).max() > ALIKE for m in (density, fock)):
                continue
            known |= {(n ^ number, s != swap) for n, s in known}
            found.append(_on_rotations(model, u, swap))
    return found


def _operations(model: Response) -> list[Float[ndarray, "mo mo"]]:
    """Return the operations of the nuclei's group in the oracle's basis; the numbers of two have that of their product as exclusive or."""
    oracle = model.oracle
    mol, size = oracle.mf.mol, oracle.basis.shape[1]
    trivial = [np.eye(size)]
    if not is_molecular(oracle.mf, oracle.overlap):
        return trivial
    group, origin, axes = symm.detect_symm(mol._atom, mol._basis)
    group, axes = _upright(model, group, axes)
    if group == "C1":
        return trivial
    projectors = {}
    for functions, irrep in zip(*symm.symm_adapted_basis(mol, group, origin, axes), strict=True):
        q = np.linalg.qr(oracle.inverse @ functions)[0]
        projectors[irrep] = q @ q.T
    unity = np.sum(list(projectors.values()), axis=0)
    if abs(unity - np.eye(size)).max() > ALIKE:  # functions were left out for linear dependence, and not symmetrically
        return trivial
    signs = [[(-1) ** (number & irrep).bit_count() for irrep in projectors] for number in range(2 ** max(projectors).bit_length())]
    return list(np.tensordot(signs, list(projectors.values()), 1))


def _upright(model: Response, group: str, axes: ndarray) -> tuple[str, ndarray]:
    """Return the subgroup of reflections and half turns; about an axis of any order the determinant's own charges choose the directions."""
    if group in ROUND:
        mol, oracle = model.oracle.mf.mol, model.oracle
        dm = sum(oracle.basis @ p @ oracle.basis.T for p in model.anchor.density)
        with mol.with_common_origin(mol.atom_coords().mean(axis=0)):
            moments = np.einsum("xyij,ij->xy", mol.intor("int1e_rr", comp=9).reshape(3, 3, mol.nao, mol.nao), dm)
        free = np.asarray(axes) if group == "SO3" else np.asarray(axes)[:2]
        turn = np.linalg.eigh(free @ moments @ free.T)[1].T @ free
        axes = turn if group == "SO3" else np.vstack([turn, axes[2]])
        axes[0] *= np.sign(np.linalg.det(axes))
        return ("C2v" if group == "Coov" else "D2h"), axes
    return symm.as_subgroup(group, axes)


def _on_rotations(model: Response, u: ndarray, swap: bool) -> Involution:
    pairs = model.oracle.rotations.pairs(model.orbitals.coeff)
    order = list(reversed(range(len(pairs)))) if swap else list(range(len(pairs)))
    left = [to.T @ u @ pairs[other][0] for (to, _), other in zip(pairs, order, strict=True)]
    right = [pairs[other][1].T @ u.T @ to for (_, to), other in zip(pairs, order, strict=True)]
    return lambda rotation: tuple(a @ rotation[other] @ b for a, b, other in zip(left, right, order, strict=True))


def free_rotations(model: Response) -> list[Rotation]:
    """Return the spatial rotations of all orbitals that leave the Hamiltonian unchanged but not the determinant, orthonormal."""
    oracle = model.oracle
    if not is_molecular(oracle.mf, oracle.overlap):
        return []
    mol, hcore = oracle.mf.mol, oracle.to_orthonormal(oracle.hcore)[0]
    coords = mol.atom_coords()
    axes = np.linalg.svd(coords - coords.mean(axis=0))[2]
    with mol.with_common_origin(coords.mean(axis=0)):
        moments = np.einsum("ax,xij->aij", axes, mol.intor("int1e_cg_irxp", comp=3))
    found: list[Rotation] = []
    for moment in moments:
        generator = oracle.basis.T @ moment @ oracle.basis
        if np.linalg.norm(hcore @ generator - generator @ hcore) > 1e-6 * np.linalg.norm(hcore):
            continue
        rotation = tuple(rows.T @ generator @ columns for rows, columns in oracle.rotations.pairs(model.orbitals.coeff))
        for other in found:
            rotation = tree_combine([1.0, -tree_dot(rotation, other)], [rotation, other])
        if tree_norm(rotation) > 0.05:  # else a closed shell about that axis
            found.append(tree_combine([1.0 / tree_norm(rotation)], [rotation]))
    return found
