"""What a study has cost and saved, what it knows, and which tasks it would like to see next."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats.qmc
from jaxtyping import Float
from numpy import ndarray

from physopt.meta.starts.solve import Solve
from physopt.meta.starts.task import Scaling, Task

from .branches import Branches
from .knowledge import Knowledge, cold_calls, teaches

CANDIDATES = 1024


class Tally(NamedTuple):
    """The solves of one kind of task in order: their calls, those for their records, and what one costs from a cold start."""

    calls: Float[ndarray, " n"]
    recording: Float[ndarray, " n"]
    cold: float

    @property
    def break_even(self) -> int | None:
        """After how many solves all that was spent is less than the same number of cold solves would have cost; `None` if not yet."""
        spent, without = np.cumsum(self.calls + self.recording), self.cold * np.arange(1, len(self.calls) + 1)
        paid = spent <= without
        # From then on, and not by the luck of one solve.
        last = int(np.flatnonzero(~paid).max(initial=-1)) + 2
        return last if paid.size and paid[-1] else None


def tally(solves: Sequence[Solve]) -> Tally:
    """Return the tally of solves of one kind."""
    numbers = [[solve.number(name) for name in ("calls", "recording")] for solve in alone(solves)]
    calls, recording = np.nan_to_num(np.array(numbers, float).reshape(-1, 2)).T
    return Tally(calls, recording, cold_calls(solves))


def alone(solves: Sequence[Solve]) -> list[Solve]:
    """Return one solve for each task: those that a search has recorded beside the lowest one, which has its calls, are left out."""
    return [solve for solve in solves if not solve.about.get("beside")]


def report(solves: Sequence[Solve]) -> str:
    """Return what a folder of solves holds, in a few lines for each kind of task."""
    kinds: dict[str, list[Solve]] = {}
    for solve in solves:
        kinds.setdefault(solve.task.kind, []).append(solve)
    return "\n\n".join(_of_kind(kind, each) for kind, each in kinds.items()) or "No solves yet."


def _of_kind(kind: str, solves: list[Solve]) -> str:
    named, counts = json.loads(kind), tally(solves)
    told = ", ".join([*named["numbers"], *(f"{name}={word}" for name, word in named["words"].items())])
    told += "".join(f"; {mark}" for mark in ("residuals", "bounded") if named.get(mark))
    last = counts.calls[-10:]
    lines = [
        f"{len(alone(solves))} solves of {len(solves[0].point)} unknowns over {told}",
        f"  calls: {counts.cold:.0f} from cold, {np.median(last):.0f} in the last {len(last)}",
        f"  calls of all solves {counts.calls.sum():.0f}, of their records {counts.recording.sum():.0f}",
    ]
    after = "not yet" if counts.break_even is None else f"since solve {counts.break_even}"
    lines.append(f"  cheaper than without the study: {after}")
    if made := _versions(solves):
        lines.append(f"  recorded with {made}")
    good = [solve for solve in solves if teaches(solve)]
    if len(good) < len(solves):
        lines.append(f"  ended higher than their neighbours, or with absurd numbers, and are not learned from: {len(solves) - len(good)}")
    branches = Branches(good, solves[0].task)
    if branches.several:
        lines.append(f"  branches of minima: {len(branches.solves)}; {'searched' if branches.searched else 'still searched'}")
    for branch, knowledge in branches.known.items():
        lines += [f"  branch {branch}, {len(knowledge.solves)} solves"] if branches.several else []
        lines += _learned(knowledge)
    return "\n".join(lines)


def _versions(solves: Sequence[Solve]) -> str:
    """Return the versions of this package and of JAX that wrote the solves, with how many each, if they say so."""
    made = [f"{name} {version}" for solve in solves for name in ("physopt", "jax") if (version := solve.versions.get(name))]
    return ", ".join(f"{name} ({made.count(name)})" for name in dict.fromkeys(made))


def _learned(knowledge: Knowledge) -> list[str]:
    errors = knowledge.starts.errors
    shown = ", ".join(f"{name} {error:.2g}" for name, error in sorted(errors.items(), key=lambda item: item[1]))
    lines = [f"  start, error with one run left out: {shown}"]
    if knowledge.curvature is not None:
        trusted = "used" if knowledge.curvature.trusted else "not used"
        lines.append(f"  metric: condition number of a problem left out divided by {knowledge.curvature.gain:.3g}; {trusted}")
    return lines


def suggest(solves: Sequence[Solve], number: int) -> list[dict[str, Any]]:
    """Return tasks in the box of the recorded ones that lie farthest from all of these and from each other.

    **Raises:** `ValueError` for fewer than two solves, or solves of several kinds.
    """
    kinds = {solve.task.kind for solve in solves}
    if len(solves) < 2 or len(kinds) > 1:
        raise ValueError(f"{len(solves)} solves of {len(kinds)} kinds: two or more of one kind are needed to see where others are missing.")
    task = solves[0].task
    tasks = np.stack([solve.task.vector for solve in solves])
    scaling = Scaling(tasks, task.parts)
    low, high = tasks.min(0), tasks.max(0)
    drawn = low + (high - low) * scipy.stats.qmc.Sobol(tasks.shape[1], seed=0).random(CANDIDATES)
    near = np.linalg.norm(scaling(drawn)[:, None] - scaling(tasks)[None], axis=-1).min(1)
    found = []
    for _ in range(number):
        found.append(drawn[int(near.argmax())])
        near = np.minimum(near, np.linalg.norm(scaling(drawn) - scaling(found[-1]), axis=1))
    return [named(task, vector) for vector in found]


def named(task: Task, vector: Float[ndarray, " d"]) -> dict[str, Any]:
    """Return a task vector by the names of its parts, with the words of its kind."""
    described, place, parts = json.loads(task.kind), 0, {}
    for name, shape in sorted(described["numbers"].items()):
        size = int(np.prod(shape, dtype=int))
        part = vector[place : place + size].reshape(shape)
        parts[name] = part if shape else float(part)
        place += size
    return {**parts, **described["words"]}
