"""End a run after one exact build, where a corrected cheap surface says that the next build would only confirm the answer."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from pyscf.lib import logger

from physopt.core.problem import Evaluation
from physopt.core.run import Progress, Solution, minimize
from physopt.core.stop import Stop
from physopt.scf.calibration import Calibration, shipped
from physopt.scf.corrected import CorrectedSCF, Surface
from physopt.scf.model import Anchor, Response

from .start import default_rule
from .state import State

LONGEST = 8  # builds of the cheap surface: an ordinary molecule needs one
SAME = 1e-9  # of densities
SHARPEST = 1e-9  # hartree: what is asked of the energy, by default, and what a prediction keeps with room to spare


def calibration_of(confirm: str | Calibration, rule: Any, target: str, start: str | None) -> Calibration | None:
    """Return the calibration of a predicted end, `None` for an exact one; `ValueError` if none is possible."""
    if isinstance(confirm, str) and confirm == "exact":
        return None
    if not isinstance(confirm, Calibration) and confirm != "predicted":
        raise ValueError(f"confirm={confirm!r} is none of 'exact', 'predicted' and a Calibration.")
    if rule is not None or target != "nearest":
        what = f"target={target!r}" if rule is None else f"rule={type(rule).__name__}(...)"
        raise ValueError(f"{what} needs exact answers to the end: leave it out, or write confirm='exact'.")
    if start == "exact":
        raise ValueError("start='exact' leaves nothing to predict an end on: leave it out, or write confirm='exact'.")
    return confirm if isinstance(confirm, Calibration) else shipped()


def seen_ahead(mf: Any, surface: Surface | None) -> Surface | None:
    """Return the cheap surface if the end of this run may be predicted on it; else say why not, if a prediction is asked for."""
    if mf.calibration is None:
        return None
    why = _objection(mf, surface)
    if why is not None:
        logger.note(mf, "The end will be confirmed by an exact build: %s.", why)
    return surface if why is None else None


def _objection(mf: Any, surface: Surface | None) -> str | None:
    if surface is None:
        return "this run has no cheap surface"
    if callable(mf.check_convergence):
        return "check_convergence asks for exact answers"
    if vars(mf).get("conv_check"):
        return "conv_check asks for one more build"
    if mf.conv_tol < SHARPEST:
        return f"conv_tol={mf.conv_tol:.3g} asks for more than a predicted energy is good for, {SHARPEST:.3g}"
    return mf.calibration.unknown(mf)


class Foresight:
    """The callback of a run that looks at its first exact answer and ends it where the end is certain enough.

    **Arguments:**

    - `report`: the callback that it adds to. `surface`: the cheap one of the start. `stop`: the run's own criteria.
    """

    def __init__(self, mf: Any, report: Callable[[Progress], bool], surface: Surface, stop: Stop, calibration: Calibration):
        self._mf, self._report, self._stop = mf, report, stop
        self._surface: Surface | None = surface  # until it was looked at: it holds integrals
        self._calibration = calibration
        self.found: tuple[Solution, float] | None = None  # the end on the corrected surface, and the bound of |g| there

    def __call__(self, progress: Progress) -> bool:
        """Report an evaluation, and say whether to stop."""
        finished = self._report(progress)
        surface, self._surface = self._surface, None
        if finished or progress.converged or surface is None:
            return finished
        self.found = self._look(surface, progress.carry.evaluation)
        return self.found is not None

    def _look(self, cheap: Surface, exact: Evaluation) -> tuple[Solution, float] | None:
        """Go on from the model's step on the corrected surface; return the end if it meets the criteria with room for an error."""
        model, tolerance = exact.model, 0.5 * float(self._stop.grad_norm or 0.0)
        if not (isinstance(model, Response) and model.believed() and np.isfinite(exact.value)):
            logger.note(self._mf, "The response model is not believed: the end is not predicted.")
            return None
        surface = CorrectedSCF(cheap=_at(cheap, model), exact=exact)
        point = model.target(accuracy=0.02 * float(np.linalg.norm(model.error()))).point
        first = _norm(exact)
        room = tolerance - self._calibration.margin(first, surface.moved(point))
        if room > 0.0:
            stop = Stop(grad_norm=2.0 * room, decrease=self._stop.decrease, max_evaluations=LONGEST)
            solution = minimize(surface, default_rule(self._mf), point, stop=stop)
            bound = _norm(solution.evaluation) + self._calibration.margin(first, surface.moved(solution.point))
            if solution.converged and bound <= tolerance:
                return solution, bound
        logger.note(self._mf, "One exact build is not enough to predict |g| below %.3g: the run goes on.", tolerance)
        return None

    def ended(self, run: Solution, state: State) -> tuple[Solution, State]:
        """Return the result with the predicted end, if there is one, in place of the last exact answer."""
        if self.found is None:
            return run, state
        end, bound = self.found
        energy = float(end.evaluation.value)
        logger.note(
            self._mf, "predicted E= %.15g  |g| < %.3g, by a corrected cheap surface; mf.confirm() makes the exact build.", energy, bound
        )
        run = dataclasses.replace(run, point=end.point, evaluation=end.evaluation, converged=True, reason="predicted")
        return run, dataclasses.replace(state, converged=True, confirmed=False, bound=bound)


def _at(surface: Surface, model: Response) -> Surface:
    """Return the cheap answer at the density of an exact one; it is built again if the start was another, as in a resumed run."""
    if np.abs(surface.anchor.density - model.anchor.density).max() < SAME:
        return surface
    oracle = surface.problem.oracle
    energy, fock = oracle.build(oracle.dm(model.orbitals.coeff))
    return Surface(surface.problem, energy, Anchor(fock, model.anchor.density, model.anchor.induced))


def _norm(evaluation: Evaluation) -> float:
    """Return PySCF's norm of the gradient."""
    return 0.5 * float(np.sqrt(sum(np.vdot(g, g) for g in evaluation.grad)))
