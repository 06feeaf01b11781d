"""The search for the lowest state: several starts on a cheap surface, of which only the best are continued."""

from typing import Any

import equinox as eqx
import numpy as np
from pyscf import dft
from pyscf.lib import logger

from physopt.core.iterate import Carry, begin, propose, settle
from physopt.core.tree import tree_norm
from physopt.rules.trust import TrustRegion
from physopt.scf.model import Orbitals, Response
from physopt.scf.problem import SCF
from physopt.scf.starts import cheap_surface, distance, guesses, in_memory, shaken, swapped

SAME = 0.1  # electrons: closer determinants lead to one state
LEVEL = 1e-4  # hartree: settled runners as close as this are one state, reflected or rotated
MARGIN = 5e-3  # hartree: a cheap surface may have two states this close in the wrong order
SHAKE = 0.1  # radians
SETTLED = 1e-2  # hartree per radian: on the last steps of the way
FINISHED = 1e-3  # hartree per radian: how far the winner goes with what it has learned, where the search was exact
HEATS = ((3, 0.2), (5, 0.1), (16, 0.1))  # evaluations for each runner, and how far above the best it may be to go on, in hartree
FINALISTS = 3
NEARBY = 1.0  # electrons: of 66 recorded searches none of a guess that was nearer to another start led elsewhere
HIGH = 0.2  # hartree: no start of exchanged orbitals that was so far above the given one has led lower in these
FIRST, FURTHER = ("atom",), ("sap", "minao", "mod_huckel")  # the first found what all of them found in these searches


class Candidate(eqx.Module):
    """One start and its result: the lowest energy in hartree and the builds, both on the surface of the search, and the outcome."""

    name: str
    energy: float
    builds: int
    outcome: str

    def __str__(self) -> str:
        energy = f" at E = {self.energy:.9f}" if np.isfinite(self.energy) else ""
        return f"{self.name}: {self.outcome}{energy}, {self.builds} builds"


class Runner(eqx.Module):
    """A start that is being converged."""

    name: str
    carry: Carry
    builds: int

    @property
    def energy(self) -> float:
        """Return the lowest energy so far."""
        return float(self.carry.best_value)

    @property
    def settled(self) -> bool:
        """Say whether the start is nearly converged."""
        return float(tree_norm(self.carry.evaluation.grad)) < SETTLED

    def joins(self, other: "Runner", problem: SCF) -> bool:
        """Say whether both converge to the same state."""
        if self.settled and other.settled and abs(self.energy - other.energy) < LEVEL:
            return True
        return distance(problem.oracle, self.carry.best, other.carry.best) < SAME

    def run(self, problem: SCF, rule: TrustRegion, budget: int, settled: float = SETTLED) -> "Runner":
        """Return the runner after up to `budget` more evaluations, fewer if the gradient norm falls below `settled`."""
        carry, spent = self.carry, 0
        while spent < budget and not float(tree_norm(carry.evaluation.grad)) < settled:
            new = propose(problem, rule, carry)
            carry, spent = settle(carry, new, problem.evaluate(new.trial)), spent + 1
        return Runner(self.name, carry, self.builds + spent)


class Search:
    """The starts of a survey that are still in the race, the lowest first, and a report on those that are not."""

    def __init__(self, problem: SCF):
        self.problem, self.rule = problem, TrustRegion()
        self.runners: list[Runner] = []
        self.account: list[Candidate] = []
        self._distinct: list[Orbitals] = []

    @property
    def led_lower(self) -> bool:
        """Say whether another start has led to a lower state than the given one."""
        (given,) = (each.energy for each in (*self.runners, *self.account) if each.name == "given")
        return given > self.runners[0].energy + MARGIN

    def enter(self, name: str, start: Orbitals | Exception, *, guessed: bool = False, shake: bool = True) -> bool:
        """Take up a start, unless it is known; a guess, which has cost a build, is known if it lies near another start.

        Return whether there was a start at all. One that has no symmetry needs no `shake`.
        """
        known, cost = NEARBY if guessed else SAME, int(guessed)
        if isinstance(start, Exception):
            self.account.append(Candidate(name, np.nan, 0, f"cannot be made: {start}"))
        elif any(distance(self.problem.oracle, start, other) < known for other in self._distinct):
            self.account.append(Candidate(name, np.nan, cost, "as another start"))
        else:
            moved = shaken(self.problem, start, SHAKE, seed=0) if shake else start
            runner = Runner(name, begin(self.rule, moved, self.problem.evaluate(moved)), cost + 1)
            if guessed or not self.runners or runner.energy < self.runners[0].energy + HIGH:
                self._distinct.append(start)
                self.runners.append(runner)
            else:
                self.account.append(Candidate(name, runner.energy, runner.builds, "far too high"))
        return not isinstance(start, Exception)

    def race(self) -> None:
        """Run all in rounds, and leave out those that coincide with others or stay behind."""
        for budget, margin in HEATS:
            chosen: list[Runner] = []
            for r in sorted((r.run(self.problem, self.rule, budget) for r in self.runners), key=lambda r: r.energy):
                if any(r.joins(other, self.problem) for other in chosen):
                    self.account.append(Candidate(r.name, r.energy, r.builds, "joined another start"))
                elif len(chosen) == FINALISTS or (chosen and r.energy > chosen[0].energy + margin):
                    self.account.append(Candidate(r.name, r.energy, r.builds, "too high"))
                else:
                    chosen.append(r)
            self.runners = chosen
        self.runners.sort(key=lambda r: r.energy)


def survey(mf: Any, exact: SCF, point: Orbitals) -> tuple[list[tuple[str, Orbitals]], list[Candidate]]:
    """Return the most promising points, best first, and a report on every start.

    There is more than one point only if the cheap surface cannot decide which is lower.

    The starts are the given one, those with an occupied and a virtual orbital exchanged, and one of PySCF's guesses; its other guesses
    only if one of these has led lower than the given one. Each is rotated by a fixed small rotation that breaks its symmetries, so
    that a descent cannot end at a saddle that symmetry alone protects. It runs in rounds with the trust region on the corrected model.
    Starts and runners that coincide are merged.
    """
    cheap = None if in_memory(mf) and not isinstance(mf, dft.rks.KohnShamDFT) else cheap_surface(mf, level=0)
    search = Search(exact if cheap is None else exact.on(cheap))
    logger.info(mf, "search on %s", "the exact surface" if cheap is None else "a cheap surface")
    search.enter("given", point)
    model = search.runners[0].carry.evaluation.model
    assert isinstance(model, Response)
    for name, start in swapped(search.problem, model):  # of the given start as it was shaken
        search.enter(name, start, shake=False)
    for names in (FIRST, FURTHER):
        made = [search.enter(name, start, guessed=True) for name, start in guesses(search.problem, names)]
        search.race()
        if any(made) and not search.led_lower:
            break
    runners = search.runners
    if cheap is None:
        runners = [runners[0].run(search.problem, search.rule, 20, FINISHED), *runners[1:]]
    account = search.account + [Candidate(r.name, r.energy, r.builds, "settled" if r.settled else "out of budget") for r in runners]
    for c in account:
        logger.info(mf, "start %s", c)
    margin = 0.0 if cheap is None else MARGIN
    return [(r.name, r.carry.best) for r in runners if r.energy <= runners[0].energy + margin], account
