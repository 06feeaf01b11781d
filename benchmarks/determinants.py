"""Determinants to be judged: what they are, how plain PySCF converges them, and what their exact Hessian says."""

import dataclasses
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from numpy import ndarray
from pyscf import dft, gto, scf
from pyscf.soscf import newton_ah

CORE = {"Br", "I", "Zn", "Cu", "Ni", "Co", "Fe", "Mn", "Cr", "V", "Ti", "Sc", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd"}
RARE = {"La", "Ce", "Pr", "Nd", "Sm", "Eu", "Gd", "Tb", "Yb", "Lu"}
DENSE = 400  # rotations: up to here all eigenvalues, above it the lowest ones by iteration
FREE = 1e-6  # bohr: nuclei this near to an axis are on it


@dataclasses.dataclass(frozen=True)
class System:
    """A molecule and its mean fields: `kinds` of R, U, RO, each with a functional or none; `spin` counts unpaired electrons."""

    group: str
    name: str
    atoms: str
    kinds: str
    spin: int = 0
    charge: int = 0
    basis: str = "6-31g"

    def mean_field(self, kind: str) -> Any:
        """Return an unbuilt mean field; `kind` is such as `U` or `RO/pbe`."""
        shell, _, xc = kind.partition("/")
        symbols = {line.split()[0] for line in self.atoms.split(";")}
        basis = {s: "lanl2dz" if s in CORE else "stuttgartrsc" if s in RARE else self.basis for s in symbols}
        ecp = {s: b for s, b in basis.items() if b != self.basis}
        mol = gto.M(atom=self.atoms, basis=basis, ecp=ecp, spin=self.spin, charge=self.charge, verbose=0)
        if not xc:
            return {"R": scf.RHF, "U": scf.UHF, "RO": scf.ROHF}[shell](mol)
        mf = {"R": dft.RKS, "U": dft.UKS, "RO": dft.ROKS}[shell](mol, xc=xc)
        mf.grids.level = 2
        return mf


def _pair(a: str, b: str, distance: float) -> str:
    return f"{a} 0 0 0; {b} 0 0 {distance}"


TWIST = "C 0 0 0.67; C 0 0 -0.67; H 0 0.93 1.24; H 0 -0.93 1.24; H 0.93 0 -1.24; H -0.93 0 -1.24"
SQUARE = "; ".join(f"{s} {x * r} {y * r} 0" for s, r in (("C", 0.72), ("H", 1.49)) for x, y in ((1, 1), (1, -1), (-1, 1), (-1, -1)))
BENT = "{} 0 0 0; H 0 {} {}; H 0 -{} {}"

SYSTEMS = [
    System("halogen", "F2", _pair("F", "F", 1.41), "R U U/pbe0"),
    System("halogen", "F2 1.20", _pair("F", "F", 1.20), "U"),
    System("halogen", "F2 2.00", _pair("F", "F", 2.0), "U U/b3lyp"),
    System("halogen", "F2 in 6-31g*", _pair("F", "F", 1.41), "U", basis="6-31g*"),
    System("halogen", "Cl2", _pair("Cl", "Cl", 1.99), "R U"),
    System("halogen", "Br2", _pair("Br", "Br", 2.28), "U"),
    System("halogen", "I2", _pair("I", "I", 2.67), "R U U/pbe"),
    System("halogen", "F2-", _pair("F", "F", 1.9), "U", 1, -1),
    System("interhalogen", "ClF", _pair("Cl", "F", 1.63), "U"),
    System("interhalogen", "BrF", _pair("Br", "F", 1.76), "U"),
    System("interhalogen", "BrCl", _pair("Br", "Cl", 2.14), "U"),
    System("interhalogen", "ICl", _pair("I", "Cl", 2.32), "R U"),
    System("interhalogen", "ClF3", "Cl 0 0 0; F 0 0 1.60; F 0 1.69 0.08; F 0 -1.69 0.08", "U"),
    System("stretched", "H2 1.20", _pair("H", "H", 1.20), "R U"),
    System("stretched", "H2 1.22", _pair("H", "H", 1.22), "U"),
    System("stretched", "H2 2.00", _pair("H", "H", 2.0), "U U/pbe"),
    System("stretched", "N2 1.10", _pair("N", "N", 1.1), "R U"),
    System("stretched", "N2 2.00", _pair("N", "N", 2.0), "R U U/b3lyp"),
    System("stretched", "LiF 3.00", _pair("Li", "F", 3.0), "U"),
    System("stretched", "CO 1.80", _pair("C", "O", 1.8), "R U"),
    System("stretched", "HF 1.80", _pair("H", "F", 1.8), "U"),
    System("stretched", "C2", _pair("C", "C", 1.2425), "R U R/pbe0"),
    System("stretched", "BN", _pair("B", "N", 1.2745), "R U"),
    System("stretched", "water 1.6", BENT.format("O", 1.26, 0.98, 1.26, 0.98), "U"),
    System("biradical", "O3", "O 0 0 0; O 0 1.09 0.66; O 0 -1.09 0.66", "R U"),
    System("biradical", "methylene", BENT.format("C", 0.86, 0.70, 0.86, 0.70), "R U"),
    System("biradical", "methylene, triplet", BENT.format("C", 0.98, 0.44, 0.98, 0.44), "U RO", 2),
    System("biradical", "oxygen, triplet", _pair("O", "O", 1.2075), "U RO RO/pbe0", 2),
    System("biradical", "oxygen, singlet", _pair("O", "O", 1.2075), "R U"),
    System("biradical", "twisted ethylene", TWIST, "R U U/b3lyp"),
    System("biradical", "cyclobutadiene", SQUARE, "R U", basis="sto-3g"),
    System("radical", "OH", _pair("O", "H", 0.97), "U RO U/pbe", 1),
    System("radical", "NO", _pair("N", "O", 1.15), "U RO", 1),
    System("radical", "carbon atom", "C 0 0 0", "U RO", 2),
    System("3d", "Ti atom", "Ti 0 0 0", "U", 2),
    System("3d", "Cr atom", "Cr 0 0 0", "U RO", 6),
    System("3d", "Fe atom", "Fe 0 0 0", "U", 4),
    System("3d", "Ni atom", "Ni 0 0 0", "U", 2),
    System("3d", "TiO", _pair("Ti", "O", 1.62), "U", 2),
    System("3d", "VO", _pair("V", "O", 1.59), "U", 3),
    System("3d", "CrC", _pair("Cr", "C", 1.65), "U", 2),
    System("3d", "MnO", _pair("Mn", "O", 1.65), "U RO", 5),
    System("3d", "FeO", _pair("Fe", "O", 1.62), "U U/b3lyp", 4),
    System("3d", "CoO", _pair("Co", "O", 1.63), "U", 3),
    System("3d", "NiO", _pair("Ni", "O", 1.63), "U", 2),
    System("3d", "CuO", _pair("Cu", "O", 1.72), "U", 1),
    System("3d", "CuF", _pair("Cu", "F", 1.745), "R U U/pbe0"),
    System("3d", "Cr2", _pair("Cr", "Cr", 1.68), "R U"),
    System("4d", "Pd atom", "Pd 0 0 0", "R"),
    System("4d", "AgF", _pair("Ag", "F", 1.98), "U"),
    System("4d", "RhH", _pair("Rh", "H", 1.58), "U", 2),
    System("4d", "MoO", _pair("Mo", "O", 1.70), "U", 4),
    System("4d", "RuO", _pair("Ru", "O", 1.72), "U U/pbe", 4),
    System("4d", "ZrO", _pair("Zr", "O", 1.72), "R U"),
    System("4f", "CeO", _pair("Ce", "O", 1.82), "U", 2),
    System("4f", "NdO", _pair("Nd", "O", 1.80), "U", 4, basis="6-31g*"),
    System("4f", "GdO", _pair("Gd", "O", 1.81), "U", 8),
    System("4f", "YbF", _pair("Yb", "F", 2.02), "U", 1),
]


def determinants(system: System, kind: str) -> Iterator[tuple[str, Any]]:
    """Yield plain PySCF's own determinant, and the one that following its own stability analysis leads to, where that is another."""
    mf = tightly(system.mean_field(kind), None)
    if mf is None:
        return
    yield "first", mf
    lower = mf
    for _ in range(4):
        coeff, _, stable, _ = lower.stability(return_status=True)
        if stable:
            break
        new = tightly(system.mean_field(kind), lower.make_rdm1(coeff, lower.mo_occ))
        if new is None or new.e_tot > lower.e_tot - 1e-6:
            break
        lower = new
    if lower is not mf:
        yield "followed", lower


def tightly(mf: Any, dm: ndarray | None) -> Any:
    """Return `mf` converged to a stationary point, by DIIS or from where that fails by Newton's method; else `None`."""
    mf.conv_tol, mf.conv_tol_grad, mf.max_cycle = 1e-11, 1e-6, 100
    mf.kernel(dm)
    if not mf.converged:
        newton = mf.newton()
        newton.conv_tol, newton.conv_tol_grad, newton.max_cycle = 1e-11, 1e-6, 100
        newton.kernel(mf.mo_coeff, mf.mo_occ)
        mf.mo_coeff, mf.mo_occ, mf.e_tot, mf.mo_energy = newton.mo_coeff, newton.mo_occ, newton.e_tot, newton.mo_energy
        mf.converged = newton.converged
    return mf if mf.converged else None


def lowest_eigenvalue(mf: Any) -> tuple[float, float, int]:
    """Return the lowest exact curvature, its residual norm, in hartree per squared radian, and the number of rotations.

    Turning the molecule in space, where that costs nothing, is shifted away. PySCF's Hessian products are half of the second derivative;
    those of restricted open shells leave a part out, so that there the gradient is differentiated instead.
    """
    if mf.istype("ROHF"):
        matrix = _differentiated(mf)
        free = _free(mf, len(matrix))
        return float(scipy.linalg.eigvalsh(matrix + free.T @ free)[0]), 0.0, len(matrix)
    hessian = newton_ah.gen_g_hop_uhf if mf.istype("UHF") else newton_ah.gen_g_hop_rhf
    _, product, diagonal = hessian(mf, mf.mo_coeff, mf.mo_occ)
    size, free = len(diagonal), _free(mf, len(diagonal))

    def apply(x: ndarray) -> ndarray:
        return 2.0 * product(x.ravel()) + free.T @ (free @ x.ravel())

    if size <= DENSE:
        matrix = np.array([apply(e) for e in np.eye(size)])
        return float(scipy.linalg.eigvalsh(0.5 * (matrix + matrix.T))[0]), 0.0, size
    scale = 1.0 / np.maximum(abs(2.0 * diagonal), 0.2)
    start = np.random.default_rng(1).standard_normal((size, 12)) * scale[:, None]
    start[:, :6][np.argsort(diagonal)[:6], np.arange(6)] += 1.0
    operator = scipy.sparse.linalg.LinearOperator((size, size), matvec=apply, dtype=float)
    inverse = scipy.sparse.linalg.LinearOperator((size, size), matvec=lambda x: scale * x.ravel(), dtype=float)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # the last of the twelve need not converge
        values, vectors = scipy.sparse.linalg.lobpcg(operator, start, M=inverse, largest=False, tol=1e-4, maxiter=60)[:2]
    best = int(np.argmin(values))
    return float(values[best]), float(np.linalg.norm(apply(vectors[:, best]) - values[best] * vectors[:, best])), size


def _differentiated(mf: Any, step: float = 1e-3) -> ndarray:
    """Return the Hessian of a restricted open shell by central differences of PySCF's gradient, which is half of the derivative."""
    orbitals, mask = len(mf.mo_occ), _mask(mf)

    def gradient(x: ndarray) -> ndarray:
        kappa = np.zeros((orbitals, orbitals))
        kappa[mask] = x
        coeff = mf.mo_coeff @ scipy.linalg.expm(kappa - kappa.T)
        return 2.0 * mf.get_grad(coeff, mf.mo_occ, mf.get_fock(dm=mf.make_rdm1(coeff, mf.mo_occ)))

    rows = [(gradient(step * e) - gradient(-step * e)) / (2.0 * step) for e in np.eye(int(mask.sum()))]
    return 0.5 * (np.array(rows) + np.array(rows).T)


def _mask(mf: Any) -> ndarray:
    alpha, beta = mf.mo_occ > 0, mf.mo_occ == 2
    return np.outer(~alpha, alpha) | np.outer(~beta, beta)


def _free(mf: Any, size: int) -> ndarray:
    """Return orthonormal rotations, in the order of PySCF's packed ones, that turn an atom or a linear molecule as a whole."""
    mol = mf.mol
    coords = mol.atom_coords() - mol.atom_coords().mean(axis=0)
    _, lengths, axes = np.linalg.svd(np.vstack([coords, np.zeros((3, 3))]))
    kept = axes if lengths[0] < FREE else axes[:1] if lengths[1] < FREE else axes[:0]
    with mol.with_common_origin(mol.atom_coords().mean(axis=0)):
        moments = np.einsum("ax,xij->aij", kept, mol.intor("int1e_cg_irxp", comp=3))
    rows = []
    for moment in moments:
        if mf.istype("ROHF"):
            rows.append((mf.mo_coeff.T @ moment @ mf.mo_coeff)[_mask(mf)])
        else:
            spins = zip(mf.mo_coeff, mf.mo_occ, strict=True) if mf.istype("UHF") else [(mf.mo_coeff, mf.mo_occ)]
            rows.append(np.concatenate([(c[:, n == 0].T @ moment @ c[:, n > 0]).ravel() for c, n in spins]))
    if not rows:
        return np.zeros((0, size))
    _, lengths, basis = np.linalg.svd(np.array(rows), full_matrices=False)
    return basis[lengths > 0.02]
