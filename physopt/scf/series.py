"""Predict the Fock matrix and density of the next geometry of a molecule from earlier ones, before the first build."""

from typing import Any

import equinox as eqx
import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray

from .frames import Body, Frame, overlap
from .model import Anchor, Orbitals, Response
from .oracle import Oracle
from .secants import credible_share

MEMORY = 24  # frames kept
SPACE = 12  # frames combined
CAUTIONS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)  # per hartree


class Prediction(eqx.Module):
    """A start for a new geometry, a determinant, the converged frame nearest to it, and the density that the model was taken at."""

    orbitals: Orbitals
    nearest: Frame
    body: Body = eqx.field(static=True)
    density: Float[ndarray, "spin mo mo"]

    def overlap(self, point: Orbitals) -> float:
        """Return the smallest cosine between the occupied spaces of a determinant at the new geometry and of the nearest frame."""
        return overlap(self.nearest.occupied, self.body.occupied(point))


class Series:
    r"""The converged frames of one molecule, and their prediction for the next geometry.

    With weights $c$, $\sum_k c_k = 1$, that reproduce the new core Hamiltonian from the old ones, $h \approx \sum_k c_k h_k$ (least
    squares with a ridge, over the nearest frames), the model of the new geometry is anchored at
    $F_0 = h + \sum_k c_k (F_k - h_k)$, $P_0 = \sum_k c_k P_k$, $G[P_0] = \sum_k c_k G_k[P_k]$: only the part that the new
    integrals and the response model do not contain is extrapolated. The model's self-consistent field is the start. It is a determinant, so
    its exact build is the first evaluation. The ridge is the one that would have predicted the newest frame best.

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
        """Store an exact, converged evaluation; drop the oldest if the memory is full, and all if the molecule is another one."""
        if not self._knows(model.oracle):
            self.forget()
            self._molecule = _molecule(model.oracle)
        frame = Frame.of(model, self._body(model.oracle))
        self._frames = [*self._frames[1 - MEMORY :], frame]
        return frame

    def forget(self) -> None:
        """Drop all frames."""
        self._frames, self._molecule = [], ()

    def predict(self, oracle: Oracle, accuracy: float) -> Prediction | None:
        """Return the start for the oracle's geometry, without an exact build; `None` if there are no frames.

        **Arguments:**

        - `accuracy`: converge the model to this norm of its gradient (PySCF's), in hartree.
        """
        if not self._knows(oracle):
            return None
        body = self._body(oracle)
        near = nearest(self._frames, body.core)
        caution, local = self._settings()
        coefficients = weights(near, body.core, caution)
        columns = zip(*((f.potential, f.density, f.induced, f.local) for f in near), strict=True)
        potential, density, induced, known = (body.to_oracle(np.tensordot(coefficients, np.stack(column), 1)) for column in columns)
        share = credible_share(potential, induced)
        unexplained = body.to_oracle(body.core) + potential - share * induced - (known if local else 0.0)
        point = Orbitals(tuple(np.eye(p.shape[-1]) for p in potential))
        here = density
        for _ in range(2 if local else 1):  # the potential on the grid is not linear in the density
            here = density
            oracle = oracle.at(here)
            induced = oracle.induced_by_density(density)
            fock = unexplained + share * (induced - oracle.induced_semilocally(density))
            fock = fock + body.coarse_potential(density) if local else fock
            point = Response(Anchor(fock, density, induced), point, oracle, share).target(accuracy=accuracy).point
            density = oracle.density(point.coeff)
        return Prediction(point, near[0], body, here)

    def _body(self, oracle: Oracle) -> Body:
        return Body(oracle, [frame.coords for frame in self._frames])

    def _knows(self, oracle: Oracle) -> bool:
        return bool(self._frames) and self._molecule == _molecule(oracle)

    def _settings(self) -> tuple[float, bool]:
        r"""Return the $\rho$ of `weights`, and whether to leave the functional to the coarse grid, as would have been best last time."""
        *known, newest = self._frames
        if not known:
            return CAUTIONS[0], bool(newest.local.any())
        near = nearest(known, newest.core)
        share = credible_share(newest.potential, newest.induced)
        candidates = np.stack([weights(near, newest.core, caution) for caution in CAUTIONS])
        norms = []
        for local in (False, True)[: 1 + bool(newest.local.any())]:
            # The block between occupied and virtual orbitals is the gradient that the run would have started with.
            *blocks, wanted = (
                _virtual_occupied(f.potential - share * f.induced - local * f.local, newest.density) for f in (*near, newest)
            )
            norms.append([np.linalg.norm(miss) for miss in np.tensordot(candidates, np.stack(blocks), 1) - wanted])
        # Of those that do about as well, the most cautious: the next geometry may be further away.
        errors = np.stack(norms, axis=1)
        good = errors <= 1.1 * errors.min()
        row = int(np.argmax(good.any(axis=1)))
        return CAUTIONS[row], not good[row, 0]


def nearest(frames: list[Frame], core: Float[ndarray, "ao ao"]) -> list[Frame]:
    """Return the frames whose core Hamiltonian is closest to `core`, closest first."""
    return sorted(frames, key=lambda frame: float(np.linalg.norm(frame.core - core)))[:SPACE]


def weights(frames: list[Frame], core: Float[ndarray, "ao ao"], caution: float) -> Float[ndarray, " k"]:
    r"""Return the $c$ that minimizes $|\sum_k c_k h_k - h|^2 + \rho^2 \sum_k c_k^2 |h_k - h|^4$, $\sum_k c_k = 1$.

    The first term is the error of the linear extrapolation, the second one estimates the effect of curvature: large weights of opposite
    sign help only if the frames are near.

    **Arguments:**

    - `core`: $h$. `caution`: $\rho$, in 1 / hartree.
    """
    if len(frames) == 1:
        return np.ones(1)
    reference = frames[0].core
    differences = np.stack([(f.core - reference).ravel() for f in frames[1:]])
    u, s, vt = scipy.linalg.svd(differences, full_matrices=False)
    curvature = caution * np.array([np.linalg.norm(f.core - core) ** 2 for f in frames])
    # The first weight is one less the others.
    matrix = np.vstack([s[:, None] * u.T, np.diag(curvature[1:]), np.full(len(s), -curvature[0])])
    wanted = np.concatenate([vt @ (core - reference).ravel(), np.zeros(len(s)), [-curvature[0]]])
    others = scipy.linalg.lstsq(matrix, wanted)[0]
    return np.concatenate([[1.0 - others.sum()], others])


def _molecule(oracle: Oracle) -> tuple[Any, ...]:
    """Return what must not change within a series: spin treatment, functional, atoms, basis sets and occupation."""
    mf, mol = oracle.mf, oracle.mf.mol
    functions = (repr(mol._basis), repr(mol._ecp), mol.cart)  # nothing public tells two basis sets of one size apart
    fitted = 0 if oracle.kernel is None else oracle.kernel.num_functions
    spins = (oracle.restricted, oracle.rotations.shared)
    return (*spins, getattr(mf, "xc", None), tuple(mol.elements), oracle.nocc, fitted, *functions)


def _virtual_occupied(matrices: Float[ndarray, "spin ao ao"], density: Float[ndarray, "spin ao ao"]) -> Float[ndarray, "spin ao ao"]:
    right = matrices @ density
    return right - density @ right
