"""Targets of `accelerate(mf, target=...)` beyond the stationary point nearest to the start."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np
from pyscf.lib import logger

from physopt.core.recording import Recording
from physopt.core.rule import AbstractRule
from physopt.core.run import Progress, Solution, minimize
from physopt.core.stop import Stop
from physopt.core.tree import tree_dot, tree_scale
from physopt.rules.trust import TrustRegion
from physopt.scf.model import Orbitals, Response
from physopt.scf.problem import SCF
from physopt.scf.stability import Stability, analyze
from physopt.scf.starts import distance

from .search import SAME, Candidate, survey

TARGETS = ("nearest", "stable", "lowest")
Converge = Callable[..., Solution]
ROUNDS = 8
GAIN = 1e-8  # hartree: less is not a lower state


class Descent(eqx.Module):
    """An instability that was followed: curvature in hartree per squared radian, energies before and after in hartree, builds."""

    curvature: float
    before: float
    after: float
    builds: int


class State(eqx.Module):
    """What was done to reach a state, and what is known about it.

    - `target`: as asked for. `converged`: is it a stationary point?
    - `stability`: the analysis of the final state; `None` if it was not asked for. `rounds`: the instabilities followed, in order.
    - `evaluations`: exact builds spent on all runs together. `products`: exact Hessian-vector products, each the price of one.
    - `tried`: for `"lowest"`, the result of every start, and its builds on the surface of the search.
    - `confirmed`: is the last exact build at this state? Otherwise it was predicted, and `bound` is what $|g|$ is below, in PySCF's norm.
    """

    target: str
    converged: bool
    stability: Stability | None = None
    rounds: tuple[Descent, ...] = ()
    evaluations: int = 0
    products: int = 0
    tried: tuple[Candidate, ...] = ()
    confirmed: bool = True
    bound: float | None = None

    def __str__(self) -> str:
        lines = [f"tried {c}" for c in self.tried]
        if not self.confirmed:
            lines.append(f"predicted, not confirmed by an exact build: |g| < {self.bound:.3g}")
        lines += [f"followed a mode of curvature {r.curvature:.4g}: E = {r.before:.9f} -> {r.after:.9f}" for r in self.rounds]
        if self.stability is None:
            return "\n".join([*lines, "stability: not looked at"])
        return "\n".join([*lines, f"{self.stability}, {self.products} exact products"])

    @property
    def stable(self) -> bool | None:
        """Say whether the state is a minimum among its own kind; `None` if this was not tested, or could not be decided."""
        return None if self.stability is None else self.converged and self.stability.stable


def check_target(target: str) -> None:
    """Raise `ValueError` unless `target` is one of the three."""
    if target not in TARGETS:
        raise ValueError(f"target={target!r} is none of {', '.join(map(repr, TARGETS))}.")


def reach(
    mf: Any, problem: SCF, point: Orbitals, rule: AbstractRule, stop: Stop, recording: Recording | None, report: Callable[[Progress], bool]
) -> tuple[Solution, State]:
    """Converge from `point` to the state that `mf.target` asks for; only the run to the first stationary point is recorded."""

    def converge(rule: AbstractRule, point: Orbitals, recording: Recording | None = None) -> Solution:
        return minimize(problem, rule, point, stop=stop, record=recording, callback=report)

    if mf.target == "lowest":
        return _lowest(mf, problem, *survey(mf, problem, point), converge, recording)
    solution = converge(rule, point, recording)
    if mf.target == "nearest":
        return solution, State(mf.target, _arrived(solution), evaluations=solution.num_evaluations)
    return descend(problem, solution, converge)


def _lowest(
    mf: Any,
    problem: SCF,
    points: list[tuple[str, Orbitals]],
    tried: list[Candidate],
    converge: Converge,
    recording: Recording | None,
) -> tuple[Solution, State]:
    """Polish the most promising points exactly, by the trust region, and keep the lowest stable one."""
    finished: list[tuple[Solution, State]] = []
    for name, point in points:
        if any(distance(problem.oracle, point, other.point) < SAME for other, _ in finished):
            continue
        solution, state = descend(problem, converge(TrustRegion(), point, None if finished else recording), converge)
        logger.note(
            mf, "from %s: E= %.12g, %s", name, float(solution.evaluation.value), "stable" if state.stable else "not shown to be stable"
        )
        finished.append((solution, state))
    solution, state = min(finished, key=lambda pair: (not pair[1].converged, float(pair[0].evaluation.value)))
    evaluations, products = sum(s.evaluations for _, s in finished), sum(s.products for _, s in finished)
    return solution, State("lowest", state.converged, state.stability, state.rounds, evaluations, products, tuple(tried))


def descend(problem: SCF, solution: Solution, converge: Converge, *, trusting: bool = False) -> tuple[Solution, State]:
    r"""Follow instabilities down until the state is a minimum; the energy never goes up.

    From a saddle the determinant is rotated along the exact downhill mode, as far as the model advises. The trust region on the
    model descends from there. Its energy only falls, so it cannot come back.

    **Arguments:**

    - `solution`: where the run from the start ended. `converge`: `(rule, point) -> Solution`, the run to repeat.
    - `trusting`: as for `analyze`.
    """
    mf = problem.oracle.mf
    evaluations, products, rounds = solution.num_evaluations, 0, []
    while True:
        if not _arrived(solution) and np.isfinite(float(solution.evaluation.value)):
            solution = converge(TrustRegion(), solution.point)
            evaluations += solution.num_evaluations
        if not _arrived(solution):
            logger.warn(mf, "Not converged: whether the state is stable was not looked at.")
            return solution, State("stable", False, None, tuple(rounds), evaluations, products)
        found = analyze(response_of(solution), trusting=trusting)
        products += found.products
        logger.info(mf, "%s, %d exact products", found, found.products)
        state = State("stable", True, found, tuple(rounds), evaluations, products)
        if found.stable is not False or len(rounds) == ROUNDS:
            break
        lower = converge(TrustRegion(), downhill(problem, solution, found))
        evaluations += lower.num_evaluations
        before, after = float(solution.evaluation.value), float(lower.evaluation.value)
        state = State("stable", True, found, tuple(rounds), evaluations, products)
        if not after < before - GAIN:
            break
        rounds.append(Descent(found.curvature, before, after, lower.num_evaluations))
        logger.note(mf, "Followed an instability of curvature %.4g: E= %.12g, lower by %.3g", found.curvature, after, before - after)
        solution = lower
    if found.stable is False:
        logger.warn(mf, "Still unstable after following %d modes: curvature %.4g", len(rounds), found.curvature)
    elif found.stable is None:
        logger.warn(mf, "After %d exact products it is not decided whether the state is stable: %s", found.products, found)
    if found.external is not None and found.external < 0.0:
        logger.note(mf, "There is a lower state with unequal spins (curvature %.3g); UHF or UKS may find it.", found.external)
    return solution, state


def downhill(problem: SCF, solution: Solution, found: Stability) -> Orbitals:
    """Return the point along the unstable mode, to either side, where the model, with the exact curvature, is lowest."""
    model = response_of(solution)
    excess = found.curvature - tree_dot(found.mode, model.frame().curve(found.mode, model.responder()))
    best, lowest = solution.point, np.inf
    for angle in np.outer((1.0, -1.0), (0.15, 0.3, 0.45, 0.6, 0.8, 1.0)).ravel():
        point = problem.retract(solution.point, tree_scale(angle, found.mode))
        energy = model.energy(point) + 0.5 * excess * np.sin(angle) ** 2
        if energy < lowest:
            best, lowest = point, energy
    return best


def _arrived(solution: Solution) -> bool:
    return solution.converged or solution.reason == "callback"  # the user's own test of convergence


def response_of(solution: Solution) -> Response:
    """Return the model at the point where a run ended."""
    model = solution.evaluation.model
    assert isinstance(model, Response)
    return model
