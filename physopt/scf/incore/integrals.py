"""The integrals of a molecule as arrays, all that a self-consistent field needs to know of it."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

MOST = 2**32  # bytes of the two-electron integrals


class Integrals(eqx.Module):
    r"""Integrals over real basis functions $\phi_i$, in hartree; a leading axis on each array makes a batch, for `jax.vmap`.

    - `overlap`, `core`: $\langle i | j \rangle$ and $\langle i | h | j \rangle$, kinetic energy and nuclei, shape `(n, n)`.
    - `two`: $(ij|kl)$ in chemists' order, shape `(n, n, n, n)`. `constant`: the repulsion of the nuclei.
    - `guess`: the density of one spin that a field begins with; zero begins with the core's orbitals.
    - `electrons`: with spin up and down.
    """

    overlap: Float[Array, "*batch n n"]
    core: Float[Array, "*batch n n"]
    two: Float[Array, "*batch n n n n"]
    constant: Float[Array, "*batch"]
    guess: Float[Array, "*batch n n"]
    electrons: tuple[int, int] = eqx.field(static=True)

    @classmethod
    def of(cls, mol: Any) -> "Integrals":
        """Compute the integrals of a `pyscf.gto.Mole`, effective core potentials included; the guess is PySCF's `minao`.

        **Raises:** `TypeError` for anything but a built molecule, `ValueError` for integrals of more than 4 GiB.
        """
        from pyscf import gto, scf

        if not isinstance(mol, gto.Mole) or not mol.nao:
            raise TypeError(
                f"Integrals are those of a built pyscf.gto.Mole, and this is {type(mol).__name__}: write gto.M(...), or mf.mol."
            )
        refuse_large(mol.nao)
        arrays = mol.intor("int1e_ovlp"), scf.hf.get_hcore(mol), mol.intor("int2e"), mol.energy_nuc(), scf.hf.init_guess_by_minao(mol) / 2
        up, down = mol.nelec
        with jax.enable_x64(True):
            return cls(*(jnp.asarray(array, float) for array in arrays), electrons=(int(up), int(down)))

    @property
    def size(self) -> int:
        """The number of basis functions."""
        return self.core.shape[-1]


def stacked(many: Sequence[Integrals]) -> Integrals:
    """Return a batch of integrals that have the same shapes and electrons, such as those of one molecule in many geometries."""
    shapes = {(one.size, one.electrons) for one in many}
    if len(shapes) != 1:
        raise ValueError(f"A batch needs the same basis functions and electrons in each molecule, and has (functions, electrons) {shapes}.")
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *many)


def refuse_large(size: int) -> None:
    """Raise a `ValueError` where $n^4$ integrals do not fit."""
    if 8 * size**4 > MOST:
        raise ValueError(
            f"{size} basis functions have {8 * size**4 / 2**30:.0f} GiB of integrals, and {MOST // 2**30} are stored at most; "
            "use physopt.accelerate, which stores none."
        )
