"""Compare trainings of one network on a differential equation, and the solver that needs none: steps and seconds to given errors."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, PyTree

from physopt.pinn import Problem, solve
from physopt.pinn.domain import product
from physopt.pinn.method.near import is_linear
from physopt.pinn.network import Network
from physopt.pinn.sampling import interior

from .pinn_methods import MARCH, METHODS, Training, warm

ERRORS = ("1e-2", "1e-3", "1e-4", "1e-5", "1e-6", "1e-7")
SOLVER, LIBRARY = "physopt", "physopt-library"
SOLVERS = (SOLVER, LIBRARY)  # draw nothing, and have nothing to tune
TOLERANCES = (1e-2, 1e-3, 1e-5, 1e-7)  # that the solver is asked for
TUNED = 0.2  # of a run's seconds for each setting that is tried
POINTS = 1000  # places of a batch, where a method has no choice of its own


class _Over(Exception):
    """The time of a method is over."""


class Judge:
    """The reference on a grid that no training point was drawn from."""

    def __init__(self, problem: Problem) -> None:
        ends = problem.ends
        if len(ends) > 3:
            points = interior(problem, np.random.default_rng(99), 4000)
        else:
            each = {1: 400, 2: 61, 3: 17}[len(ends)]
            points = product([low + (high - low) * (np.arange(each) + 0.5) / each for low, high in ends])
            points = points[problem.domain.inside(points[:, : len(problem.domain.names)])]
        exact = problem.exact(points)
        if exact is None:
            raise ValueError("This equation has no reference; methods cannot be compared on it.")
        self.points, self.exact = points, exact

    def network(self, network: Network, point: PyTree) -> float:
        """Return the relative error of the worst field of a network."""
        return self.of(network.fields(point, self.points))

    def of(self, values: Float[np.ndarray, "n fields"]) -> float:
        """Return the relative error of the worst field."""
        return float(np.max(np.linalg.norm(values - self.exact, axis=0) / np.linalg.norm(self.exact, axis=0)))


class Clock:
    """Processor seconds of a run without the judge's, and when each error was reached first."""

    def __init__(self, judge: Judge, network: Network, limit: float) -> None:
        self._judge, self._network, self._limit = judge, network, limit
        self._began, self._judged, self._next = time.process_time(), 0.0, 0.0
        self.steps_to, self.seconds_to = (dict.fromkeys(ERRORS) for _ in range(2))
        self.steps, self.best, self.last = 0.0, math.inf, math.inf

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.process_time() - self._began - self._judged

    def share(self) -> float:
        """Return the share of the time that is used."""
        return self.seconds / self._limit

    def seen(self, steps: float, point: PyTree) -> None:
        """Look at the error, at most every two per cent of the time; end the run when that is over."""
        now, self.steps = self.seconds, steps
        if now >= self._next or now >= self._limit:
            before = time.process_time()
            self.last = self._judge.network(self._network, point)
            self._judged += time.process_time() - before
            self._next = max(1.02 * now, now + 0.002 * self._limit)
            self.best = min(self.best, self.last if math.isfinite(self.last) else math.inf)
            for name in ERRORS:
                if self.last <= float(name) and self.seconds_to[name] is None:
                    self.steps_to[name], self.seconds_to[name] = steps, now
        if now >= self._limit or self.best <= float(ERRORS[-1]):
            raise _Over


def tuned(problem: Problem, methods: Sequence[str], limit: float, tell: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """Return the best setting of each method on another problem of the family, with the error that each setting reached.

    A method with one setting is not tuned.
    """
    judge, found = Judge(problem), {}
    for method in (name for name in methods if name not in SOLVERS):
        errors, settings = {}, METHODS[method].settings
        for setting in settings if len(settings) > 1 else ():
            tell(f"{method}, tuned")
            errors[f"{setting:g}"] = _trained(problem, judge, method, 0, setting, TUNED * limit)["best_rel_l2"]
        best = min(settings, key=lambda setting: errors.get(f"{setting:g}") or math.inf)
        found[method] = {"setting": best, "stands_for": METHODS[method].stands_for, "errors": errors, "seconds_each": TUNED * limit}
    return found


def compare(
    case: str,
    problem: Problem,
    methods: Sequence[str],
    seeds: int,
    limit: float,
    settings: Mapping[str, dict[str, Any]],
    tell: Callable[[str], None] = lambda method: None,
    neighbours: Sequence[Problem] = (),
    easy: Mapping[str, float] = {},
) -> list[dict[str, Any]]:
    """Run each method for `limit` processor seconds from each seed, and return one record each; the solver draws nothing and runs once.

    **Arguments:**

    - `settings`: what `tuned` returned. `neighbours`: what `physopt-library` solves first, to the same tolerance; that is not counted.
      `easy`: parameters from which `physopt-march` follows the solution; that is counted.
    """
    judge, records = Judge(problem), []
    starts = {LIBRARY: "nearest" if is_linear(problem) else "span", MARCH: "march"}
    for method in methods:
        for seed in range(1 if method in SOLVERS else seeds):
            tell(method)
            common = {
                "case": case,
                "method": method,
                "seed": seed,
                "start": starts.get(method, "cold"),
                "parameters": dict(problem.parameters),
                "limit_s": limit,
            }
            try:
                if method in SOLVERS:
                    own = _solved(problem, judge, limit, neighbours if method == LIBRARY else ())
                else:
                    own = _trained(problem, judge, method, seed, settings[method]["setting"], limit, easy)
                    own["tuning"] = settings[method]
            except (ValueError, ArithmeticError) as error:  # a method that gives up is a failure like any other
                never = dict.fromkeys(ERRORS)
                own = {"steps_to": never, "seconds_to": never, "final_rel_l2": None, "claimed_converged": False, "error": str(error)}
            records.append({**common, **own})
    return records


def _trained(
    problem: Problem, judge: Judge, method: str, seed: int, setting: float, limit: float, easy: Mapping[str, float] = {}
) -> dict[str, Any]:
    before = time.process_time()
    network = Network.of(problem, points=POINTS, seed=seed)
    point = network.init(jax.random.key(seed))
    asked = Training(problem, network, point, seed, setting, _twice(judge, network), lambda: 0.0, easy)
    warm(method, asked)
    if method != MARCH:  # whose first look is after a long way
        _run(method, asked)  # compiles
    compiled = time.process_time() - before
    clock = Clock(judge, network, limit)
    _run(method, asked._replace(seen=clock.seen, share=clock.share))
    return {
        "steps_to": clock.steps_to,
        "seconds_to": clock.seconds_to,
        "final_rel_l2": clock.last if math.isfinite(clock.last) else None,
        "best_rel_l2": clock.best if math.isfinite(clock.best) else None,
        "estimated_rel_l2": None,
        "claimed_converged": False,
        "steps": clock.steps,
        "seconds": clock.seconds,
        "compile_s": compiled,
    }


def _twice(judge: Judge, network: Network) -> Callable[[float, PyTree], None]:
    """Return a `seen` that ends a method when it is called for the second time."""
    calls = 0

    def seen(steps: float, point: PyTree) -> None:
        nonlocal calls
        calls += 1
        judge.network(network, point)
        if calls > 1:
            raise _Over

    return seen


def _run(method: str, asked: Training) -> None:
    with contextlib.suppress(_Over):
        METHODS[method].train(asked)


def _solved(problem: Problem, judge: Judge, limit: float, neighbours: Sequence[Problem]) -> dict[str, Any]:
    """Solve to one tolerance after the other while time lasts; each begins anew, and the time to an error is that of one solve."""
    began = time.process_time()
    solve(problem, 0.3)
    compiled = time.process_time() - began
    steps_to, seconds_to, own = dict.fromkeys(ERRORS), dict.fromkeys(ERRORS), {}
    for tol in TOLERANCES:
        began = time.process_time()
        near = [solve(other, tol) for other in neighbours]
        before, began = time.process_time() - began, time.process_time()
        answer = solve(problem, tol, near=near)
        seconds, error = time.process_time() - began, judge.of(answer.at(judge.points))
        for name in ERRORS:
            if error <= float(name) and seconds_to[name] is None:
                steps_to[name], seconds_to[name] = answer.factors, seconds
        own = {
            "final_rel_l2": error,
            "best_rel_l2": error,
            "estimated_rel_l2": answer.error,
            "claimed_converged": answer.converged,
            "steps": answer.factors,
            "seconds": seconds,
            "compile_s": compiled,
            "neighbours_s": before,
            "tol": tol,
        }
        if seconds > 0.3 * limit:
            break
    return {"steps_to": steps_to, "seconds_to": seconds_to, **own}
