"""Exact responses of the Fock matrix to changes of the density, collected once; and the error of a kernel on them."""

import dataclasses
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray
from pyscf import gto

from physopt.scf.auxiliary import Auxiliary, auxiliary_mol, real_symbols
from physopt.scf.kernel import Coulomb, Density, ResponseKernel
from physopt.scf.kernel.terms import exchange_factors, exchange_potential
from physopt.scf.method.accelerate import accelerate

LENGTH = 0.01  # of a finite difference: norm of the change of the spin densities
RANDOM = 2  # random rotations of each molecule


@dataclasses.dataclass(frozen=True)
class Lesson:
    r"""Changes $\Delta_k$ of a molecule's spin densities and the exact exchange response to them.

    - `mol`: the molecule. `exchange`: its functional's terms of exact exchange.
    - `virtual`, `occupied`: orbitals of each spin, `(ao, virt)` and `(ao, occ)`.
    - `gaps`: $\varepsilon_v - \varepsilon_o$, in hartree, at least 0.1.
    - `halves`: for each change and spin the columns and signs of $\Delta_k = \sum_i s_i c_i c_i^T$.
    - `wanted`: the exact response minus the kernel's Coulomb and local parts, as rotations; `norms` of the whole exact response.
    """

    mol: gto.Mole
    exchange: list[tuple[float, float]]
    virtual: list[ndarray]
    occupied: list[ndarray]
    gaps: list[ndarray]
    halves: list[list[tuple[ndarray, ndarray]]]
    wanted: list[ndarray]
    norms: list[float]

    @property
    def symbols(self) -> frozenset[str]:
        """The elements of the molecule."""
        return frozenset(self.mol.elements)

    def errors(self, auxiliary: Auxiliary) -> Float[ndarray, " k"]:
        r"""Return $|G \Delta_k - F' \Delta_k| / |F' \Delta_k|$ over virtual-occupied blocks divided by gaps."""
        small = auxiliary_mol(self.mol, {symbol: auxiliary.exchange_shells(symbol) for symbol in real_symbols(self.mol)})
        factors = [(fraction, exchange_factors(self.mol, small, omega)) for fraction, omega in self.exchange]
        errors = []
        for halves, wanted, norm in zip(self.halves, self.wanted, self.norms, strict=True):
            fitted = np.sum([[a * exchange_potential(each, c, sign) for c, sign in halves] for a, each in factors], axis=0)
            errors.append(np.linalg.norm(self.rotation(-fitted) - wanted) / norm)
        return np.array(errors)

    def rotation(self, response: Float[ndarray, "spin ao ao"]) -> Float[ndarray, " rotation"]:
        """Return the first-order rotation that a change of the AO Fock matrices causes."""
        parts = zip(response, self.virtual, self.occupied, self.gaps, strict=True)
        return np.concatenate([(v.T @ f @ o / gaps).ravel() for f, v, o, gaps in parts])


def harvest(mf: Any, *, seed: int = 0) -> Lesson | None:
    r"""Converge a mean field and compute the exact response of its Fock matrix to changes of the density.

    The changes are the errors of the first densities of an accelerated run, and rotations with random coefficients divided by the gaps.
    The responses are central differences of exact builds.

    **Arguments:** `mf`: an unbuilt mean field that `accelerate` takes. `seed`: of the random rotations.

    **Returns:** `None` if the run does not converge.

    **Raises:** `ValueError` for a functional without exact exchange.
    """
    visited: list[ndarray] = []
    # Untrained, so that the lessons do not depend on what was learned from them.
    mf = accelerate(mf, weights=Auxiliary(), start="fitted")
    mf.callback = lambda envs: visited.append(np.asarray(envs["dm"])) if len(visited) < 3 else None
    mf.conv_tol, mf.conv_tol_grad = 1e-10, 1e-6
    mf.kernel()
    mf = mf.undo_accelerate()
    if not mf.converged:
        return None
    kernel = ResponseKernel.of(mf, Auxiliary())
    if not kernel.exchange:
        raise ValueError(f"{mf.xc} has no exact exchange, and nothing else of the kernel is learned. Train with hf or a hybrid functional.")
    dm, spins = np.asarray(mf.make_rdm1()), 2 if mf.istype("UHF") else 1
    electrons, nao = 3.0 - spins, mf.mol.nao
    kernel = kernel.at(mf, visited[0])
    coeff, energy, occ = (np.reshape(x, (spins, *np.shape(x)[-k:])) for x, k in ((mf.mo_coeff, 2), (mf.mo_energy, 1), (mf.mo_occ, 1)))
    virtual, occupied = ([c[:, (n > 0) == filled] for c, n in zip(coeff, occ, strict=True)] for filled in (False, True))
    gaps = [np.maximum(e[n == 0][:, None] - e[n > 0], 0.1) for e, n in zip(energy, occ, strict=True)]
    lesson = Lesson(mf.mol, kernel.exchange, virtual, occupied, gaps, [], [], [])
    for change in _changes([(d - dm).reshape(spins, nao, nao) for d in visited], lesson, seed):
        step = LENGTH * electrons * change.reshape(dm.shape)
        exact = (np.asarray(mf.get_veff(mf.mol, dm + step)) - np.asarray(mf.get_veff(mf.mol, dm - step))) / (2.0 * LENGTH)
        exact = exact.reshape(spins, nao, nao)
        fitted = Density([], [electrons * kernel.charges.moments(p) for p in change])
        rest = exact - Coulomb(kernel.charges).of(fitted) - (0.0 if kernel.semilocal is None else kernel.semilocal.of(fitted))
        lesson.halves.append([_half(p) for p in change])
        lesson.wanted.append(lesson.rotation(rest))
        lesson.norms.append(float(np.linalg.norm(lesson.rotation(exact))))
    return lesson


def _changes(visited: list[ndarray], lesson: Lesson, seed: int) -> list[Float[ndarray, "spin ao ao"]]:
    """Return changes of the spin densities, each of norm 1."""
    rng = np.random.default_rng(seed)
    changes = [d for d in visited if np.linalg.norm(d) > 1e-5]  # below that it is rounding
    for _ in range(RANDOM):
        pairs = zip(lesson.virtual, lesson.gaps, lesson.occupied, strict=True)
        halves = np.stack([v @ (rng.normal(size=g.shape) / g) @ o.T for v, g, o in pairs])
        changes.append(halves + halves.transpose(0, 2, 1))
    return [d / np.linalg.norm(d) for d in changes]


def _half(change: Float[ndarray, "ao ao"]) -> tuple[ndarray, ndarray]:
    weights, vectors = scipy.linalg.eigh(change)
    kept = abs(weights) > 1e-8
    return vectors[:, kept] * np.sqrt(abs(weights[kept])), np.sign(weights[kept])
