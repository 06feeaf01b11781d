"""What earlier geometries of a molecule say about the next: an exact Fock matrix and a density, predicted before the first build."""

import dataclasses
from typing import Any

import equinox as eqx
import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray

from .model import Anchor, Orbitals, Response
from .oracle import Oracle
from .secants import credible_share

MEMORY = 24  # frames kept
SPACE = 12  # frames combined
RIDGES = 10.0 ** -np.arange(2, 9)


class Frame(eqx.Module):
    r"""A solved geometry in its own Löwdin basis, $S^{1/2} C$, which is smooth in the geometry and free of gauge.

    - `core`: the core Hamiltonian $h$. `potential`: $F - h$. `density`, `induced`: as in `Anchor`, the latter
      without the functional's response. `occupied`: $C_o$ of each spin.
    """

    core: Float[ndarray, "ao ao"]
    potential: Float[ndarray, "spin ao ao"]
    density: Float[ndarray, "spin ao ao"]
    induced: Float[ndarray, "spin ao ao"]
    occupied: tuple[Float[ndarray, "ao _occ"], ...]

    @classmethod
    def of(cls, model: Response) -> "Frame":
        """Return the frame of an exact evaluation."""
        oracle, anchor = model.oracle, model.anchor
        to = _loewdin(oracle)
        core = _root(oracle.overlap, -0.5)
        core = core @ oracle.hcore @ core
        # The functional's response comes from a grid, whose noise does not extrapolate.
        smooth = anchor.induced - oracle.induced_semilocally(anchor.density)
        fock, density, induced = (to @ a @ to.T for a in (anchor.fock, anchor.density, smooth))
        occupied = tuple(to @ c for c in oracle.occupied(model.orbitals.coeff))
        return cls(core, fock - core, density, induced, occupied)

    def overlap(self, model: Response) -> float:
        """Return the smallest cosine of the angles between the occupied spaces here and there: 1 is the same state, 0 another one."""
        to = _loewdin(model.oracle)
        pairs = zip(self.occupied, (to @ c for c in model.oracle.occupied(model.orbitals.coeff)), strict=True)
        return min((float(scipy.linalg.svdvals(a.T @ b)[-1]) for a, b in pairs if a.shape[1]), default=1.0)


class Prediction(eqx.Module):
    """A start for a new geometry: the determinant, and its `overlap` with the nearest solved frame (see `Frame.overlap`)."""

    orbitals: Orbitals
    overlap: float
    nearest: Frame


class Series:
    r"""The solved frames of one molecule, and what they predict for the next geometry.

    With weights $c$, $\sum_k c_k = 1$, that reproduce the new core Hamiltonian from the old ones, $h \approx \sum_k c_k h_k$ (least
    squares with a ridge, nearest frames first), the model of the new geometry is anchored at
    $F_0 = h + \sum_k c_k (F_k - h_k)$, $P_0 = \sum_k c_k P_k$, $G[P_0] = \sum_k c_k G_k[P_k]$: what is extrapolated is only what the new
    integrals and the response model do not know. Its self-consistent field is the start, a determinant, so its exact build is the first
    evaluation. The ridge is the one that would have predicted the newest frame best.

    ??? cite "Reference"
        Least-squares weights from a descriptor: Polack, Mikhalev, Dusson, Stamm, Lipparini, Mol. Phys. 118 (2020) e1779834; there
        the weights extrapolate the orbitals on the Grassmann manifold.
    """

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._molecule: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self._frames)

    def remember(self, model: Response) -> Frame:
        """Keep an exact, converged evaluation; the oldest goes where the memory is full."""
        frame = Frame.of(model)
        self._frames = [*(self._known(model.oracle)[1 - MEMORY :]), frame]
        self._molecule = _molecule(model.oracle)
        return frame

    def _known(self, oracle: Oracle) -> list[Frame]:
        """Return the frames of the oracle's molecule: none if it is another one than before."""
        return self._frames if self._molecule == _molecule(oracle) else []

    def predict(self, oracle: Oracle, accuracy: float) -> Prediction | None:
        """Return the start for the oracle's geometry, without an exact build; `None` if nothing is known.

        **Arguments:**

        - `accuracy`: converge the model to this norm of its gradient (PySCF's), in hartree.
        """
        if not (frames := self._known(oracle)):
            return None
        root = _root(oracle.overlap, -0.5)
        core = root @ oracle.hcore @ root
        near = nearest(frames, core)
        potential, density, induced = _combine(near, weights(near, core)[self._best_ridge()])
        back = _loewdin(oracle).T
        fock, density, induced = (back @ a @ back.T for a in (core + potential, density, induced))
        share = credible_share(fock - back @ core @ back.T, induced)
        assert oracle.kernel is not None
        oracle.kernel.respond_locally(oracle.mf, oracle.dm_of(density))
        induced = induced + oracle.induced_semilocally(density)
        identity = Orbitals(tuple(np.eye(fock.shape[-1]) for _ in fock))
        model = Response(Anchor(fock, density, induced), identity, oracle, share)
        start = model.target(accuracy=accuracy).point
        return Prediction(start, near[0].overlap(dataclasses.replace(model, orbitals=start)), near[0])

    def _best_ridge(self) -> int:
        """Return the index of the ridge that would have predicted the newest frame best."""
        *known, newest = self._frames
        if len(known) < 2:
            return len(RIDGES) - 1
        near = nearest(known, newest.core)
        share = credible_share(newest.potential, newest.induced)
        # The block between occupied and virtual orbitals is the gradient that the run would have started with.
        blocks = np.stack([_virtual_occupied(f.potential - share * f.induced, newest.density) for f in near])
        wanted = _virtual_occupied(newest.potential - share * newest.induced, newest.density)
        misses = np.tensordot(weights(near, newest.core), blocks, 1) - wanted
        return int(np.argmin([np.linalg.norm(miss) for miss in misses]))


def nearest(frames: list[Frame], core: Float[ndarray, "ao ao"]) -> list[Frame]:
    """Return the frames whose core Hamiltonian is closest to `core`, closest first."""
    return sorted(frames, key=lambda frame: float(np.linalg.norm(frame.core - core)))[:SPACE]


def weights(frames: list[Frame], core: Float[ndarray, "ao ao"]) -> Float[ndarray, "ridge k"]:
    r"""Return for each ridge the $c$ that minimizes $|\sum_k c_k h_k - h|^2 + \rho^2 |H|^2 \sum_{k>1} c_k^2$, $\sum_k c_k = 1$.

    $H$ holds the differences $h_k - h_1$ from the first, nearest frame, to which a large ridge falls back.
    """
    reference = frames[0].core
    result = np.zeros((len(RIDGES), len(frames)))
    if len(frames) > 1:
        differences = np.stack([(f.core - reference).ravel() for f in frames[1:]])
        u, s, vt = scipy.linalg.svd(differences, full_matrices=False)
        along = vt @ (core - reference).ravel()
        scale = np.linalg.norm(s)
        for row, ridge in zip(result, RIDGES, strict=True):
            row[1:] = u @ (s / (s**2 + (ridge * scale) ** 2 + 1e-300) * along)
    result[:, 0] = 1.0 - result[:, 1:].sum(axis=1)
    return result


def _molecule(oracle: Oracle) -> tuple[Any, ...]:
    """Return what must not change within a series: spin treatment, functional, atoms, basis set and occupation."""
    mf, mol = oracle.mf, oracle.mf.mol
    functions = (repr(mol._basis), repr(mol._ecp), mol.cart)  # nothing public tells two basis sets of one size apart
    return (oracle.restricted, getattr(mf, "xc", None), tuple(mol.elements), oracle.nocc, *functions)


def _combine(frames: list[Frame], coefficients: Float[ndarray, " k"]) -> tuple[ndarray, ndarray, ndarray]:
    """Return potential, density and induced response of an affine combination."""
    columns = zip(*((f.potential, f.density, f.induced) for f in frames), strict=True)
    potential, density, induced = (np.tensordot(coefficients, np.stack(column), 1) for column in columns)
    return potential, density, induced


def _root(overlap: Float[ndarray, "ao ao"], power: float) -> Float[ndarray, "ao ao"]:
    w, v = scipy.linalg.eigh(overlap)
    return (v * w**power) @ v.T


def _loewdin(oracle: Oracle) -> Float[ndarray, "ao mo"]:
    """Return the oracle's orthonormal basis in the Löwdin basis, $S^{1/2} X$: orthonormal columns."""
    return _root(oracle.overlap, 0.5) @ oracle.basis


def _virtual_occupied(matrices: Float[ndarray, "spin ao ao"], density: Float[ndarray, "spin ao ao"]) -> Float[ndarray, "spin ao ao"]:
    right = matrices @ density
    return right - density @ right
