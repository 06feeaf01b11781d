"""A self-consistent field as a problem of the core."""

import gc
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float, PRNGKeyArray
from numpy import ndarray
from pyscf import lib, scf
from pyscf.lib import logger

from physopt.core.problem import AbstractProblem, Evaluation

from .asked import described_field
from .auxiliary import AbstractAuxiliary
from .clock import timed
from .kernel import ResponseKernel, exchange_terms
from .learned import trained
from .model import Anchor, Orbitals, Response
from .oracle import Oracle
from .secants import credible_share
from .semicanonical import Rotation
from .stability import exact_curve
from .supported import check_supported, is_molecular


class SCF(AbstractProblem):
    r"""The energy of a Slater determinant, $E(C)$, over rotations of occupied into virtual orbitals.

    A point is `Orbitals`; a tangent is a tuple of $\kappa$, shape `(virt, occ)`, one for each spin, in radians (restricted open shells:
    three, see `Rotations`);
    $\mathrm{retract}(C, \kappa) = C \exp\begin{pmatrix} 0 & -\kappa^T \\ \kappa & 0 \end{pmatrix}$. One evaluation is one exact
    Fock build. The gradient is $dE/d\kappa$, twice PySCF's `get_grad`.

    **Arguments:**

    - `mf`: a PySCF mean field: RHF, UHF, ROHF, RKS, UKS or ROKS, density-fitted or not, with or without solvent; or an `Oracle`.
    - `kernel`: the model's response; `None` freezes the Fock matrix. `SCF.of(mf)` makes the standard one.

    **Raises:** `TypeError` for a mean field of another kind, with what to use instead.

    ??? cite "Reference"
        Edelman, Arias, Smith, SIAM J. Matrix Anal. Appl. 20 (1998) 303, section 2.5.
    """

    oracle: Oracle = eqx.field(static=True)
    traceable: bool = eqx.field(default=False, static=True)
    unit: str = eqx.field(default="hartree", static=True)

    def __init__(self, mf: scf.hf.SCF | Oracle, kernel: ResponseKernel | None = None):
        if not isinstance(mf, Oracle):
            check_supported(mf)
        self.oracle = mf if isinstance(mf, Oracle) else Oracle(mf, kernel)
        self.traceable = False
        self.unit = "hartree"

    @classmethod
    def of(cls, mf: scf.hf.SCF, auxiliary: AbstractAuxiliary | None = None) -> "SCF":
        """Return the problem with a kernel on the given functions, else on the trained ones, else with none, as `mf.max_memory` allows.

        A Hamiltonian that is not the molecule's has no basis functions for a kernel.
        """
        started = time.perf_counter()
        problem = cls(mf, cls._kernel(mf, auxiliary))
        with problem.oracle.clock.working(time.perf_counter() - started):
            return problem

    @staticmethod
    def _kernel(mf: scf.hf.SCF, auxiliary: AbstractAuxiliary | None) -> ResponseKernel | None:
        check_supported(mf)
        if not is_molecular(mf, mf.get_ovlp()):
            logger.info(mf, "The Hamiltonian is not on the functions of this molecule's atoms: no response model, classical rules.")
            return None
        needed = free = 0.0
        for each in [trained()] if auxiliary is None else [auxiliary, trained()]:
            needed, free = ResponseKernel.megabytes(mf.mol, exchange_terms(mf), each), mf.max_memory - lib.current_memory()[0]
            if needed > free:
                gc.collect()  # mean fields refer to themselves, so that those a script has dropped may still be there
                free = mf.max_memory - lib.current_memory()[0]
            if needed <= free:
                return ResponseKernel.of(mf, each)
        advice = "this run goes without it. Raise mf.max_memory."
        logger.warn(mf, "The response model needs %.0f MB and max_memory leaves %.0f: %s", needed, free, advice)
        return None

    def init(self, key: Array | PRNGKeyArray | None = None) -> Orbitals:
        """Return `start` from PySCF's own initial guess; the key is not used."""
        return self.start(self.oracle.mf.get_init_guess(self.oracle.mf.mol, self.oracle.mf.init_guess))

    def at(self, where: ndarray | Orbitals) -> "SCF":
        """Return the problem whose kernel has the functional's response at an AO density in PySCF's shape, or at a determinant.

        Without this it is the response at PySCF's initial guess. Hartree-Fock has none.
        """
        oracle = self.oracle
        density = oracle.density(where.coeff) if isinstance(where, Orbitals) else oracle.density_of_ao(oracle.in_shape(where))
        return SCF(oracle.at(density))

    def on(self, mf: scf.hf.SCF) -> "SCF":
        """Return the problem of another mean field of the same molecule, in this one's basis and with its kernel."""
        other = SCF(mf, self.oracle.kernel)
        other.oracle.basis, other.oracle.inverse = self.oracle.basis, self.oracle.inverse
        return other

    @timed
    def start(self, dm: ndarray) -> Orbitals:
        """Return the stationary point of the model anchored at an AO density (not idempotent in general); one exact build."""
        return self.stationary(self.anchored(dm))

    @timed
    def anchored(self, dm: ndarray) -> Response:
        """Return the model at an AO density in PySCF's shape, by one exact build; only its `anchor` is meaningful, not its point."""
        dm = self.oracle.in_shape(dm)
        density, fock = self.oracle.density_of_ao(dm), self.oracle.build(dm)[1]
        identity = Orbitals(tuple(np.eye(fock.shape[-1]) for _ in fock))
        return self._model(Anchor(fock, density, self.oracle.induced_by_density(density)), identity)

    @timed
    def stationary(self, model: Response) -> Orbitals:
        """Return the stationary point of a model, to 2 % of its residual; the model is not more accurate.

        If the model finds no such point, or one where the potential would change by more than the whole potential, it is not reliable.
        Then the orbitals of its Fock matrix are returned, as in a classical method.
        """
        residual = float(np.linalg.norm(model.error()))
        point = model.target(accuracy=0.02 * residual).point
        there = model.carried(point)
        potential = model.anchor.fock - self.oracle.to_orthonormal(self.oracle.hcore)
        change = float(np.linalg.norm(there.anchor.fock - model.anchor.fock))
        if np.linalg.norm(there.error()) < residual and change < np.linalg.norm(potential):
            return point
        return model.target(respond=False).point

    def solved(self, model: Response) -> Orbitals | None:
        """Return the density of an anchor as a determinant if it is one, and nearly stationary; else `None`."""
        density = model.anchor.density
        if max(float(abs(n * (1.0 - n)).max()) for n in map(scipy.linalg.eigvalsh, density)) > 0.05:
            return None
        if np.linalg.norm(model.error()) > 0.1 * np.sqrt(sum(self.oracle.nocc)):
            return None
        return Orbitals(self.oracle.rotations.natural(density))

    @timed
    def evaluate(self, point: Orbitals) -> Evaluation:
        """Build the exact Fock matrix of the determinant. The cost is measured; the work of the model since the last answer is in it."""
        energy, fock = self.oracle.build(self.oracle.dm(point.coeff))
        model = self._model(Anchor(fock, self.oracle.density(point.coeff), self.oracle.induced(self.oracle.occupied(point.coeff))), point)
        gradient = model.gradient()
        return Evaluation(np.float64(energy), gradient, model, np.float64(self.oracle.clock.due()))

    def curve(self, point: Orbitals, evaluation: Evaluation) -> Callable[[Rotation], Rotation]:
        """Return PySCF's exact Hessian, each product the price of one exact build. See `AbstractProblem.curve`."""
        assert isinstance(evaluation.model, Response)
        return exact_curve(evaluation.model)

    def _model(self, anchor: Anchor, point: Orbitals) -> Response:
        # The response to the whole density is known for nothing: what the Fock matrix has beyond the core Hamiltonian. A kernel that
        # misses even that is not believed, so broken weights do no harm.
        core = self.oracle.to_orthonormal(self.oracle.hcore)
        share = credible_share(anchor.fock - core, anchor.induced)
        return Response(anchor, point, self.oracle, share)

    def asked(self) -> dict[str, Any]:
        """Return what defines the field, by name; see `described_field`."""
        return described_field(self.oracle)

    def shown(self, point: Orbitals) -> dict[str, ndarray]:
        """Return orbitals and occupations in PySCF's shape."""
        return {"mo_coeff": self.oracle.mo_coeff(point.coeff), "mo_occ": self.oracle.mo_occ()}

    @timed
    def retract(self, point: Orbitals, step: tuple[Float[ndarray | Array, "_rows _columns"], ...]) -> Orbitals:
        """Rotate occupied into virtual orbitals."""
        return Orbitals(self.oracle.rotations.turn(point.coeff, step))
