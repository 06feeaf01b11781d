"""The model's Hessian in orbitals that diagonalize their own blocks of the Fock matrix."""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray

from .rotations import Coefficients, Rotations

Rotation = tuple[ndarray, ...]
# The potential that answers the change of each spin's density, C_v kappa C_o^T + h.c., given C_v kappa.
Respond = Callable[[Sequence[ndarray]], Float[ndarray, "spin mo mo"]]


class SemiCanonical:
    r"""Each spin's occupied and empty orbitals, and the Hessian $2m (F_{vv} \kappa - \kappa F_{oo} + G[\delta P]_{vo})$.

    **Arguments:**

    - `fock`, `coeff`: of each spin. `rotations`: the blocks. `electrons`: $m$, per spin orbital.
    """

    def __init__(self, fock: Float[ndarray, "spin mo mo"], coeff: Coefficients, rotations: Rotations, electrons: float):
        self._electrons = electrons
        self._frames = []
        for f, (v, o) in zip(fock, rotations.pairs(coeff), strict=True):
            (eo, uo), (ev, uv) = scipy.linalg.eigh(o.T @ f @ o), scipy.linalg.eigh(v.T @ f @ v)
            self._frames.append((o, v, uo, uv, ev[:, None] - eo))

    def gaps(self) -> list[tuple[ndarray, ndarray, ndarray]]:
        """Return the orbital-energy differences of each block, `(rows, columns)`, and the rotations of its rows and columns."""
        return [(gaps, uv, uo) for _, _, uo, uv, gaps in self._frames]

    def precondition(self, force: Rotation) -> Rotation:
        """Divide by the orbital-energy gaps, no smaller than 0.1 hartree."""
        return _divide(force, self.gaps(), 2.0 * self._electrons)

    def curve(self, rotation: Rotation, respond: Respond) -> Rotation:
        """Apply the Hessian to a rotation."""
        induced = respond([v @ k for k, (_, v, *_) in zip(rotation, self._frames, strict=True)])
        return tuple(
            2.0 * self._electrons * (uv @ (gaps * (uv.T @ k @ uo)) @ uo.T + v.T @ g @ o)
            for k, g, (o, v, uo, uv, gaps) in zip(rotation, induced, self._frames, strict=True)
        )


class OpenShell:
    r"""Closed, open and empty orbitals that both spins share, and the Hessian of their rotations.

    With the antisymmetric $X$ of the rotation, $\delta P_s = [X, P_s]$ and the Fock matrices in the basis of the orbitals, it is
    $-2 \sum_s M_s$ with $M_s = \tfrac12 [\delta P_s, F_s] + \tfrac12 [P_s, [F_s, X]] + [P_s, G_s[\delta P]]$, exact also
    away from stationary points.

    **Arguments:** as `SemiCanonical`; one electron per spin orbital.
    """

    def __init__(self, fock: Float[ndarray, "spin mo mo"], coeff: Coefficients, rotations: Rotations):
        self._coeff, self._rotations = coeff[0], rotations
        self._fock = [coeff[0].T @ f @ coeff[0] for f in fock]
        occupied = np.arange(len(coeff[0])) < np.reshape(rotations.nocc, (2, 1))
        self._filled = [occ.astype(float) - occ[:, None] for occ in occupied]
        mean, energies, turns = 0.5 * (self._fock[0] + self._fock[1]), [], []
        for space in (slice(0, rotations.nocc[1]), slice(rotations.nocc[1], rotations.nocc[0]), slice(rotations.nocc[0], None)):
            u = scipy.linalg.eigh(mean[space, space])[1]
            energies.append(np.stack([np.einsum("pi,pq,qi->i", u, f[space, space], u, optimize=True) for f in self._fock]))
            turns.append(u)
        self._gaps = []
        for block, (row, column) in zip(rotations.blocks, ((1, 0), (2, 0), (2, 1)), strict=True):
            gaps = sum(energies[row][s][:, None] - energies[column][s] for s in block.spins)
            self._gaps.append((gaps, turns[row], turns[column]))

    def gaps(self) -> list[tuple[ndarray, ndarray, ndarray]]:
        """Return the orbital-energy differences of each block, summed over its spins, and the rotations of its rows and columns."""
        return self._gaps

    def precondition(self, force: Rotation) -> Rotation:
        """Divide by the orbital-energy gaps, no smaller than 0.1 hartree."""
        return _divide(force, self._gaps, 2.0)

    def curve(self, rotation: Rotation, respond: Respond) -> Rotation:
        """Apply the Hessian to a rotation."""
        c, nocc = self._coeff, self._rotations.nocc
        x = self._rotations.generator(rotation, len(c))
        induced = respond([c[:, n:] @ x[n:, :n] for n in nocc])
        total = np.zeros_like(x)
        for f, g, filled in zip(self._fock, induced, self._filled, strict=True):
            change, drift = (x * filled) @ f, f @ x
            total += filled * (drift + drift.T + 2.0 * c.T @ g @ c) - (change - change.T)
        return tuple(total[b.rows, b.columns] for b in self._rotations.blocks)


def _divide(force: Rotation, frames: list[tuple[ndarray, ndarray, ndarray]], factor: float) -> Rotation:
    return tuple(
        uv @ ((uv.T @ k @ uo) / (factor * np.maximum(abs(gaps), 0.1))) @ uo.T for k, (gaps, uv, uo) in zip(force, frames, strict=True)
    )
