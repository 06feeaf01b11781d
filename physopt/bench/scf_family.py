"""A molecule in all its shapes: Hartree-Fock's energy of hydrogen peroxide."""

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float
from numpy import ndarray

from physopt.meta.families.physics import AbstractPhysics, Ask, OwnRule
from physopt.scf.incore.field import energy, fock, occupied, rotation
from physopt.scf.incore.integrals import Integrals

BASIS, KEPT = "6-31g", 256  # geometries whose integrals are remembered, two megabytes each


class Molecule(AbstractPhysics):
    r"""The energy of the determinant with orbitals $C = S^{-1/2} U_0 e^{K(x)}$, hydrogen peroxide in 6-31G, in hartree.

    The task is its shape: three bond lengths in angstrom, two angles and the dihedral angle in degrees. $S$ is the overlap at that shape.
    $U_0$ are the natural orbitals, in Löwdin's basis, of the superposed atoms in the middle of the ranges, and $x$ the rotations
    of occupied into virtual ones (Cayley's form stands for the exponential); so $x = 0$ is the guess of somebody who knows the atoms.
    A call is one Fock matrix with its energy.

    **Arguments:** `field`: an electric field along the oxygens' bond, in atomic units.

    ??? cite "Reference"
        Helgaker, Jørgensen, Olsen, *Molecular Electronic-Structure Theory* (2000), section 10.1 (the energy as a function of rotations).
    """

    field: float = eqx.field(default=0.0, static=True)
    traceable: bool = eqx.field(default=True, static=True)
    ranges: ClassVar = {
        "oo": (1.30, 1.60),
        "first_oh": (0.90, 1.05),
        "second_oh": (0.90, 1.05),
        "first_angle": (95.0, 110.0),
        "second_angle": (95.0, 110.0),
        "dihedral": (70.0, 170.0),
    }
    frame: ClassVar = "rotations of orbitals in Löwdin's basis"

    @property
    def unknowns(self) -> int:
        """Nine occupied orbitals mix with thirteen."""
        return 9 * 13

    def prepared(self, mu: Float[Array, " mu"] | Float[ndarray, " mu"]) -> Any:
        """Return the integrals at a shape, and the orbitals $S^{-1/2} U_0$."""
        return _prepared(np.asarray(mu, float).tobytes(), self.field)

    def value(self, x: Float[Array, " n"], mu: Any) -> Float[Array, ""]:
        """Return the energy."""
        integrals, frame = mu
        density, built = _field(integrals, frame, x)
        return energy(integrals, density[None], built[None])

    def own_rules(self) -> Mapping[str, OwnRule]:
        """Return DIIS."""
        return {"diis": _diis}

    def cold(self) -> Float[ndarray, " n"]:
        """Return no rotation."""
        return np.zeros(self.unknowns)

    def novel(self) -> "Molecule":
        """Return the molecule in a strong field."""
        return Molecule(field=0.1)


def shaped(mu: Float[ndarray, " 6"]) -> Any:
    """Return the molecule in a shape, its oxygens on the z axis, in PySCF's form."""
    from pyscf import gto

    half, first, second = mu[0] / 2.0, *mu[1:3]
    a, b, turn = np.deg2rad(mu[3:] / [1.0, 1.0, 2.0])
    atoms = [
        ("O", (0.0, 0.0, -half)),
        ("O", (0.0, 0.0, half)),
        ("H", (first * np.sin(a) * np.cos(turn), -first * np.sin(a) * np.sin(turn), -half + first * np.cos(a))),
        ("H", (second * np.sin(b) * np.cos(turn), second * np.sin(b) * np.sin(turn), half - second * np.cos(b))),
    ]
    return gto.M(atom=atoms, basis=BASIS, verbose=0)


def _diis(ask: Ask, known: Any, point: Float[ndarray, " n"]) -> None:
    """Run PySCF's DIIS; each Fock matrix is that of the point that was asked for."""
    from pyscf import scf

    integrals, frame = known
    overlap, count, diis = np.asarray(integrals.overlap), integrals.electrons[0], scf.diis.CDIIS()
    diis.space = 8
    while True:
        ask(point)
        density, built = (np.asarray(each) for each in _field(integrals, frame, point))
        orbitals = scipy.linalg.eigh(diis.update(overlap, 2.0 * density, built), overlap)[1]
        turned = np.asarray(frame).T @ overlap @ orbitals[:, :count]
        left, tangents, right = np.linalg.svd(turned[count:] @ np.linalg.inv(turned[:count]), full_matrices=False)
        point = ((left * (2.0 * np.tan(np.arctan(tangents) / 2.0))) @ right).ravel()


@jax.jit
def _field(integrals: Integrals, frame: Float[Array, "n n"], x: Float[Array, " r"]) -> tuple[Float[Array, "n n"], Float[Array, "n n"]]:
    density = occupied((frame @ rotation(x.reshape(13, 9), integrals.size))[None], integrals.electrons)
    return density[0], fock(integrals, density)[0]


@functools.cache
def _middle() -> Float[ndarray, "n n"]:
    from pyscf.lo.orth import lowdin

    integrals = Integrals.of(shaped(np.array([sum(pair) / 2.0 for pair in Molecule.ranges.values()])))
    root = np.linalg.inv(lowdin(np.asarray(integrals.overlap)))
    return np.linalg.eigh(-root @ np.asarray(integrals.guess) @ root)[1]


@functools.lru_cache(KEPT)
def _prepared(mu: bytes, field: float) -> tuple[Integrals, Float[Array, "n n"]]:
    from pyscf.lo.orth import lowdin

    mol = shaped(np.frombuffer(mu))
    integrals = Integrals.of(mol)
    if field:
        integrals = eqx.tree_at(lambda one: one.core, integrals, integrals.core + field * jnp.asarray(mol.intor("int1e_r")[2]))
    return integrals, jnp.asarray(lowdin(np.asarray(integrals.overlap)) @ _middle())
