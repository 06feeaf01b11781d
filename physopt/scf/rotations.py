"""Rotations between orbital spaces: one pair of spaces for each spin, or three spaces for both spins."""

import equinox as eqx
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float
from numpy import ndarray

Coefficients = tuple[Float[ndarray, "mo mo"], ...]


class Block(eqx.Module):
    """Rotations of the orbitals `columns` into the orbitals `rows`, which change the densities of `spins` to first order."""

    rows: slice
    columns: slice
    spins: tuple[int, ...]


class Rotations(eqx.Module):
    r"""The tangents of a determinant: one $\kappa$ for each block, shape `(rows, columns)`, in radians.

    Each spin rotates its occupied into its empty orbitals. In a restricted open shell both spins have one matrix of closed, open and
    empty columns, and the blocks are closed into open, closed into empty and open into empty.

    **Arguments:**

    - `nocc`: occupied orbitals of each spin, alpha first. `shared`: a restricted open shell.
    """

    nocc: tuple[int, ...]
    shared: bool

    @property
    def blocks(self) -> list[Block]:
        """Return the blocks, in the order of a tangent's entries."""
        if not self.shared:
            return [Block(slice(n, None), slice(0, n), (spin,)) for spin, n in enumerate(self.nocc)]
        alpha, beta = self.nocc
        closed, half, empty = slice(0, beta), slice(beta, alpha), slice(alpha, None)
        return [Block(half, closed, (1,)), Block(empty, closed, (0, 1)), Block(empty, half, (0,))]

    @property
    def names(self) -> tuple[str, ...]:
        """Return what each block rotates into what."""
        if self.shared:
            return ("closed-open", "closed-empty", "open-empty")
        return ("occupied-empty",) if len(self.nocc) == 1 else ("alpha", "beta")

    def pairs(self, coeff: Coefficients) -> list[tuple[ndarray, ndarray]]:
        """Return the orbitals of each block's rows and columns."""
        return [(coeff[b.spins[0]][:, b.rows], coeff[b.spins[0]][:, b.columns]) for b in self.blocks]

    def shapes(self, size: int) -> list[tuple[int, int]]:
        """Return the shape of each entry of a tangent, for `size` orbitals."""
        orbitals = np.arange(size)
        return [(len(orbitals[b.rows]), len(orbitals[b.columns])) for b in self.blocks]

    def derivative(self, coeff: Coefficients, fock: Float[ndarray, "spin mo mo"]) -> tuple[ndarray, ...]:
        r"""Return $\sum_s C_\mathrm{rows}^T F_s C_\mathrm{columns}$ over each block's spins."""
        return tuple(
            rows.T @ sum(fock[s] for s in b.spins) @ columns for b, (rows, columns) in zip(self.blocks, self.pairs(coeff), strict=True)
        )

    def generator(self, step: tuple[Float[ndarray | Array, "_rows _columns"], ...], size: int) -> Float[ndarray, "size size"]:
        """Return the antisymmetric matrix of one orbital matrix's blocks."""
        result = np.zeros((size, size))
        for block, kappa in zip(self.blocks, step, strict=True):
            result[block.rows, block.columns] = np.asarray(kappa)  # a rule written in JAX hands JAX arrays
        return result - result.T

    def turn(self, coeff: Coefficients, step: tuple[Float[ndarray | Array, "_rows _columns"], ...]) -> Coefficients:
        r"""Return $C \exp(K)$ with the antisymmetric $K$ of the blocks."""
        if self.shared:
            turned = coeff[0] @ scipy.linalg.expm(self.generator(step, len(coeff[0])))
            return turned, turned
        each = (Rotations((n,), False).generator((kappa,), len(c)) for c, kappa, n in zip(coeff, step, self.nocc, strict=True))
        return tuple(c @ scipy.linalg.expm(k) for c, k in zip(coeff, each, strict=True))

    def residual(self, fock: Float[ndarray, "spin mo mo"], density: Float[ndarray, "spin mo mo"]) -> Float[ndarray, "k mo mo"]:
        r"""Return $(F_s P_s - P_s F_s) / \sqrt 2$ of each spin, or their sum for a restricted open shell."""
        each = (fock @ density - density @ fock) / np.sqrt(2.0)
        return each.sum(axis=0, keepdims=True) if self.shared else each

    def effective(self, fock: Float[ndarray, "spin mo mo"], density: Float[ndarray, "spin mo mo"]) -> Float[ndarray, "k mo mo"]:
        r"""Return what `aufbau` diagonalizes: the Fock matrices, or for shared orbitals Roothaan's one and that of alpha.

        $R = F_c + S + S^T$ with $F_c = \tfrac12 (F_\alpha + F_\beta)$ and
        $S = \tfrac12 (P_\alpha - P_\beta)(F_\alpha - F_\beta)(1 - P_\alpha - P_\beta)$: its block between closed and open orbitals is
        $F_\beta$, between open and empty ones $F_\alpha$, and $F_c$ elsewhere.

        ??? cite "Reference"
            Roothaan, Rev. Mod. Phys. 32 (1960) 179.
        """
        if not self.shared:
            return fock
        alpha, beta = density
        half = 0.5 * (alpha - beta) @ (fock[0] - fock[1]) @ (np.eye(len(alpha)) - alpha - beta)
        return np.stack([0.5 * (fock[0] + fock[1]) + half + half.T, fock[0]])

    def aufbau(self, effective: Float[ndarray, "k mo mo"]) -> Coefficients:
        """Return eigenvectors, lowest first; in an open shell the open orbitals are those of lowest alpha energy above the closed ones."""
        if not self.shared:
            return tuple(scipy.linalg.eigh(f, driver="evd", check_finite=False)[1] for f in effective)
        roothaan, fock = effective
        c = scipy.linalg.eigh(roothaan, driver="evd", check_finite=False)[1]
        upper = c[:, self.nocc[1] :]
        order = np.argsort((upper * (fock @ upper)).sum(axis=0), kind="stable")
        kept, rest = order[: self.nocc[0] - self.nocc[1]], np.sort(order[self.nocc[0] - self.nocc[1] :])
        c = np.hstack([c[:, : self.nocc[1]], upper[:, kept], upper[:, rest]])
        return c, c

    def natural(self, density: Float[ndarray, "spin mo mo"]) -> Coefficients:
        """Return natural orbitals, the most occupied first: of each spin, or of both together in a restricted open shell."""
        each = density.sum(axis=0, keepdims=True) if self.shared else density
        orbitals = tuple(scipy.linalg.eigh(p)[1][:, ::-1].copy() for p in each)
        return orbitals * 2 if self.shared else orbitals
