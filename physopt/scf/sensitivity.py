"""How a converged field answers a change of its molecule or Hamiltonian: the coupled-perturbed equations, by one linear solve each."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray
from pyscf import scf

from physopt.core.sensitivity import by_model, conjugate_gradients, differences, refuse_moving
from physopt.core.tree import tree_norm, tree_scale

from .model import Orbitals
from .problem import SCF
from .semicanonical import Rotation


class FieldSensitivity(NamedTuple):
    r"""How the field changes with one parameter.

    - `rotation`: $d\kappa / d\mu$ of occupied into empty orbitals, in radians per parameter. `dm`: $dD / d\mu$ of the AO density matrix, in
      PySCF's shape; where the basis functions move, they carry the density with them.
    """

    rotation: Rotation
    dm: Float[ndarray, "..."]


def sensitivity(
    mf: scf.hf.SCF,
    mf_of: Callable[[Any], scf.hf.SCF],
    mu: float | int | Float[ndarray, " d"],
    *,
    grad_norm: float = 1e-4,
    step: float | int | Float[ndarray, " d"] | None = None,
) -> list[FieldSensitivity]:
    r"""Return how a converged mean field changes with each parameter of its molecule or Hamiltonian.

    $dD / d\mu = d(X P X^T) / d\mu$, where $\kappa$ answers the change of the Fock matrix at a fixed determinant,
    $H \kappa = -\partial_\mu g$ with PySCF's exact response, preconditioned by the model. The functions stay orthonormal in the way that
    turns them least, $X(\mu) = X (X^T S(\mu) X)^{-1/2}$. With it go the derivatives of dipole moments, forces, ...:

    ```py
    found = physopt.scf.sensitivity(mf, lambda r: scf.RHF(gto.M(atom=f"H 0 0 0; F 0 0 {r}", basis="6-31g")), 0.92)
    ```

    **Arguments:**

    - `mf`: converged. `mf_of`: the mean field with given parameters, of the same method and number of basis functions; it is not run.
    - `grad_norm`: of $dE/d\kappa$, in hartree per radian; PySCF's default `conv_tol` reaches $6 \cdot 10^{-5}$.
    - `step`: of the differences of Fock matrices, in units of `mu`. See `physopt.sensitivity`.

    **Raises:** `ValueError` where `mf` is not converged, `numpy.linalg.LinAlgError` where it is no isolated minimum, such as an open shell
    that can turn at no cost.

    ??? cite "Reference"
        Gerratt, Mills, J. Chem. Phys. 49 (1968) 1719; Pople, Krishnan, Schlegel, Binkley, Int. J. Quantum Chem. S13 (1979) 225.
    """
    if mf.mo_coeff is None or mf.mo_occ is None:
        raise ValueError("The mean field has no orbitals yet; write mf.kernel() first.")
    here = SCF.of(mf)
    density = here.oracle.density_of_ao(np.asarray(mf.make_rdm1(mf.mo_coeff, mf.mo_occ)))
    point = Orbitals(here.oracle.rotations.natural(density))
    here = here.at(point)

    evaluation, basis = here.evaluate(point), here.oracle.basis
    refuse_moving(float(tree_norm(evaluation.grad)), grad_norm)

    def answered(other: Any) -> tuple[Rotation, ndarray]:
        problem = carried(here, mf_of(other))
        return problem.evaluate(point).grad, problem.oracle.basis

    found, curve, density = [], here.curve(point, evaluation), here.oracle.density(point.coeff)
    for change, shift in differences(answered, mu, step):
        rotation = conjugate_gradients(curve, tree_scale(-1.0, change), by_model(evaluation), 1e-10)
        half = shift @ density @ basis.T
        ao = here.oracle.electrons * (basis @ turned(here, point, rotation) @ basis.T + half + half.transpose(0, 2, 1))
        found.append(FieldSensitivity(rotation, ao[0] if here.oracle.restricted else ao))
    return found


def carried(here: SCF, mf: scf.hf.SCF) -> SCF:
    r"""Return the problem of another mean field, in this one's basis, made orthonormal again by $(X^T S X)^{-1/2}$."""
    other = here.on(mf)
    oracle = other.oracle
    basis, overlap = oracle.basis, oracle.overlap
    if overlap.shape[0] != basis.shape[0]:
        raise ValueError(
            f"{overlap.shape[0]} basis functions, where the converged field has {basis.shape[0]}: parameters may not change them."
        )
    values, vectors = scipy.linalg.eigh(basis.T @ overlap @ basis)
    oracle.basis = basis @ (vectors / np.sqrt(values)) @ vectors.T
    oracle.inverse = oracle.basis.T @ overlap
    return other


def turned(problem: SCF, point: Orbitals, rotation: Rotation) -> Float[ndarray, "spin mo mo"]:
    r"""Return the first-order change of each spin's density, $\delta P = [K, P]$ in the basis of the orbitals."""
    oracle, size = problem.oracle, len(point.coeff[0])
    change = []
    for spin, (c, n) in enumerate(zip(point.coeff, oracle.nocc, strict=True)):
        if oracle.rotations.shared:
            k = oracle.rotations.generator(rotation, size)
        else:
            k = np.zeros((size, size))
            k[n:, :n] = rotation[spin]
            k = k - k.T
        filled = np.diag((np.arange(size) < n).astype(float))
        change.append(c @ (k @ filled - filled @ k) @ c.T)
    return np.stack(change)
