"""What learning from recorded solves is worth: calls of learned starts and metrics against tuned classical rules."""

import contextlib
import functools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from physopt.meta.families import AbstractPhysics, Bratu, Cluster, Pulse, Reaction, Rod
from physopt.meta.starts import Task, task_of
from physopt.study.classical import Trial, quasi_newton
from physopt.study.knowledge import Knowledge
from physopt.study.oracle import Oracle, OutOfCalls
from physopt.study.study import Study

from .learn_fits import Fits
from .learn_rules import MOST, Case, Compiled, Row, Rule, settings, tuned
from .scf_family import Molecule

FAMILIES: Mapping[str, Callable[[], AbstractPhysics]] = {
    "cluster": Cluster,
    "rod": Rod,
    "bratu": Bratu,
    "reaction": Reaction,
    "pulse": Pulse,
    "molecule": Molecule,
}
METHODS = ("best-classical", "best-classical+nearest", "start", "metric", "start+metric", "physopt", "physopt-residuals")
CIRCLES = {"similar": 1.0, "related": 2.0, "novel": 1.0}
TOLERANCES = ("1e-3", "1e-6")
TRAINED = 8  # recorded tasks that the classical rules are tuned on
HIGHER = 1e-4  # of the fall from the cold start: beyond it an end is another minimum


class Held(NamedTuple):
    """A held-out task: its circle and number, and value and gradient norm at its cold start."""

    circle: str
    number: int
    case: Case
    value: float
    norm: float


class Arena:
    """A family, its held-out tasks, and the classical rules tuned for it.

    **Arguments:** `draw`: which held-out tasks, of `tasks` in each circle.
    """

    def __init__(self, name: str, tasks: int, draw: int):
        self.name, self.family = name, FAMILIES[name]()
        self._same, novel = Compiled(self.family), Compiled(self.family.novel())
        self.rules: list[Rule] = []
        self.warm: list[Rule] = []
        self.held: list[Held] = []
        self._ends: dict[tuple[str, int], float] = {}  # where the best classical rule ends from the cold start
        for place, (circle, spread) in enumerate(CIRCLES.items()):
            random = np.random.default_rng([2026, draw, place])
            compiled = novel if circle == "novel" else self._same
            for number in range(tasks):
                case = Case(compiled, compiled.family.drawn(random, spread))
                value, grad = case.function(self.family.cold())
                self.held.append(Held(circle, number, case, value, float(np.linalg.norm(grad))))

    def pool(self, seed: int, number: int) -> list[Case]:
        """Draw the tasks that are recorded."""
        random = np.random.default_rng([seed, 1])
        return [Case(self._same, self.family.drawn(random, 1.0)) for _ in range(number)]

    def tune(self, cases: Sequence[Case]) -> None:
        """Tune the classical rules from the cold start."""
        cold = [self.family.cold() for _ in cases]
        self.rules = tuned(settings(self._same), cases, cold, [self.gtol(case) for case in cases])

    def tune_warm(self, cases: Sequence[Case], study: Study) -> None:
        """Tune the classical rules again, from the nearest other recorded solution."""
        tasks = [task_of(self.family.named(case.mu), self.family.unknowns) for case in cases]
        solves = study.solves(tasks[0])
        apart = [[float(np.linalg.norm(s.task.vector - task.vector)) or np.inf for s in solves] for task in tasks]
        starts = [solves[int(np.argmin(row))].point for row in apart]
        self.warm = tuned(settings(self._same), cases, starts, [self.gtol(case) for case in cases])

    def classical(self) -> Iterator[dict[str, Any]]:
        """Yield the records of all tuned rules from the cold start; the best one is also "best-classical"."""
        for place, rule in enumerate(self.rules):
            for held in self.held:
                rows = self._run(held, lambda oracle, gtol, h=held, r=rule: r.run(h.case, oracle, self.family.cold(), gtol))
                if place == 0:
                    self._ends[held.circle, held.number] = rows[-1].value
                    yield self._record(held, rows, "best-classical", 0, 0, "cold") | {"rule": rule.name}
                yield self._record(held, rows, rule.name, 0, 0, "cold")

    def record(self, study: Study, case: Case) -> float:
        """Let the study solve and record a task, and return the calls that it took, with those for the Hessian."""
        result = study.minimize(
            lambda x, task: Case(case.compiled, self.family.vector(task)).function(x),
            self.family.cold(),
            self.family.named(case.mu),
            pass_task=True,
            hess=lambda x, task: case.hessian(x),
            hess_calls=self.family.hessian_calls,
            curvature=True,
            gtol=self.gtol(case),
            max_calls=MOST,
        )
        return result.nfev + result.nhev * self.family.hessian_calls

    def learned(self, study: Study, methods: Sequence[str], seed: int, number: int) -> Iterator[dict[str, Any]]:
        """Yield the records of the methods that learn, from what the study knows now."""
        for held in self.held:
            task = task_of(self.family.named(held.case.mu), self.family.unknowns)
            solves = study.solves(task)
            knowledge = study.knowledge(task, solves)
            if knowledge is None:
                continue
            for method in set(methods) & WAYS.keys():
                start, used = WAYS[method](knowledge, task.vector, self.family.cold())
                inverse = None if "metric" not in method else self._inverse(knowledge, task)
                rows = self._run(held, functools.partial(self._solve, held, start, inverse))
                yield self._record(held, rows, method, seed, number, used)
            if "physopt" in methods:
                yield self._guarded(held, study, seed, number)

    def _inverse(self, knowledge: Knowledge, task: Task) -> Float[ndarray, "n n"] | None:
        return None if knowledge.curvature is None else knowledge.curvature.inverse(knowledge.starts.scaling(task.vector))

    def _solve(self, held: Held, start: Float[ndarray, " n"], inverse: Float[ndarray, "n n"] | None, oracle: Oracle, gtol: float) -> None:
        if inverse is None:
            self.warm[0].run(held.case, oracle, start, gtol)
        else:
            quasi_newton(oracle, start, gtol, inverse, Trial())

    def _guarded(self, held: Held, study: Study, seed: int, number: int) -> dict[str, Any]:
        rows: list[Row] = []
        began = time.perf_counter()

        def metered(x: Float[ndarray, " n"]) -> tuple[float, Float[ndarray, " n"]]:
            value, grad = held.case.function(x)
            rows.append(Row(len(rows) + 1.0, value, float(np.linalg.norm(grad)), time.perf_counter() - began))
            return value, grad

        named, gtol = self.family.named(held.case.mu), 1e-6 * held.norm
        result = study.minimize(metered, self.family.cold(), named, gtol=gtol, record=False, max_calls=MOST)
        return self._record(held, rows, "physopt", seed, number, result.start) | {"metric": result.metric, "warned": result.higher > 0.0}

    def _run(self, held: Held, solve: Callable[[Oracle, float], None]) -> list[Row]:
        began, times = time.perf_counter(), []

        def timed(x: Float[ndarray, " n"]) -> tuple[float, Float[ndarray, " n"]]:
            answer = held.case.function(x)
            times.append(time.perf_counter() - began)
            return answer

        oracle = Oracle(timed, MOST)
        with contextlib.suppress(OutOfCalls):
            solve(oracle, 1e-6 * held.norm)
        return [Row(*row, at) for row, at in zip(oracle.rows, times, strict=False)]

    def _record(self, held: Held, rows: Sequence[Row], method: str, seed: int, number: int, used: str) -> dict[str, Any]:
        reached = [next((row for row in rows if row.norm <= float(t) * held.norm), None) for t in TOLERANCES]
        last = reached[-1] or (rows[-1] if rows else Row(np.inf, np.nan, np.nan, np.nan))
        end = self._ends[held.circle, held.number]
        higher = bool(last.value > end + HIGHER * max(held.value - end, 1e-6 * abs(end)))
        return {
            "family": self.name,
            "circle": held.circle,
            "method": method,
            "recorded": number,
            "seed": seed,
            "task": held.number,
            "calls_to": {t: row and row.calls for t, row in zip(TOLERANCES, reached, strict=True)},
            "answers_to": {t: row and rows.index(row) + 1 for t, row in zip(TOLERANCES, reached, strict=True)},
            "seconds_to": {t: row and row.seconds for t, row in zip(TOLERANCES, reached, strict=True)},
            "final_value": last.value,
            "used": used,
            "higher": higher,
            "converged": reached[-1] is not None and not higher,
        }

    def fitted(self, fits: Fits, seed: int, number: int) -> Iterator[dict[str, Any]]:
        """Yield the records of a study of fits."""
        for held in self.held:
            rows, result = fits.rows(held.case, 1e-6 * held.norm)
            yield self._record(held, rows, "physopt-residuals", seed, number, result.start)

    def gtol(self, case: Case) -> float:
        """Return the norm of the gradient that a recorded task is solved to."""
        return 1e-6 * float(np.linalg.norm(case.function(self.family.cold())[1]))


def _nearest(knowledge: Knowledge, task: Float[ndarray, " d"], cold: Float[ndarray, " n"]) -> tuple[Float[ndarray, " n"], str]:
    return knowledge.starts(task, "nearest").point, "nearest"


def _chosen(knowledge: Knowledge, task: Float[ndarray, " d"], cold: Float[ndarray, " n"]) -> tuple[Float[ndarray, " n"], str]:
    return knowledge.starts(task)[:2]


def _cold(knowledge: Knowledge, task: Float[ndarray, " d"], cold: Float[ndarray, " n"]) -> tuple[Float[ndarray, " n"], str]:
    return cold, "cold"


# Where the methods without a guard begin.
WAYS = {"best-classical+nearest": _nearest, "start": _chosen, "metric": _cold, "start+metric": _chosen}


def compare_family(
    name: str, recorded: Sequence[int], seeds: int, methods: Sequence[str], tasks: int, draw: int, tell: Callable[[str], object]
) -> Iterator[dict[str, Any]]:
    """Yield the records of one family: one for each held-out task, method, number of recorded solves and seed; then those of the training.

    **Arguments:** `recorded`: numbers of recorded solves, 4 or more. `draw`: which held-out tasks. `tell`: called with what is being done.
    """
    tell("compiling")
    arena = Arena(name, tasks, draw)
    for seed in range(seeds):
        pool = arena.pool(seed, max(recorded))
        if seed == 0:
            tell("tuning")
            arena.tune(pool[:TRAINED])
            yield from arena.classical()
        with tempfile.TemporaryDirectory() as folder:
            study, calls, began = Study(folder, verify=False), 0.0, time.perf_counter()
            fits = Fits(Path(folder) / "fits", pool[0]) if METHODS[-1] in methods and pool[0].compiled.jacobian is not None else None
            for number, case in enumerate(pool, start=1):
                if fits is not None:
                    fits.record(case, arena.gtol(case))
                calls += arena.record(study, case)
                if number == TRAINED and not arena.warm:
                    arena.tune_warm(pool[:TRAINED], study)
                if number in recorded:
                    tell(f"seed {seed}, {number} recorded")
                    spent = time.perf_counter() - began
                    yield {"family": name, "recorded": number, "seed": seed, "training_calls": calls, "training_s": spent}
                    if fits is not None:
                        yield {"family": name, "recorded": number, "seed": seed, "training_calls_of_fits": fits.training}
                        yield from arena.fitted(fits, seed, number)
                    if not arena.warm:
                        arena.tune_warm(pool[:number], study)
                    yield from arena.learned(study, methods, seed, number)
                    began = time.perf_counter() - spent
