"""Which solves a study can do without."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from physopt.meta.starts.solve import Solve
from physopt.meta.starts.task import Scaling

from .branches import branch_of


def superfluous(solves: Sequence[Solve], keep: int | None) -> list[int]:
    """Return the places of solves that teach nothing: ends higher than their neighbours, and of one task all but the lowest of each branch.

    **Arguments:** `keep`: leave at most so many of each kind and branch, with tasks far from each other; those with Hessians first.
    """
    lowest: dict[tuple[str, bytes, str], int] = {}
    for place, solve in enumerate(solves):
        key = (solve.task.kind, solve.task.vector.tobytes(), branch_of(solve))
        if not solve.about.get("higher") and (key not in lowest or solve.value < solves[lowest[key]].value):
            lowest[key] = place
    kept: dict[tuple[str, str], list[int]] = {}
    for (kind, _, branch), place in sorted(lowest.items(), key=lambda item: item[1]):
        kept.setdefault((kind, branch), []).append(place)
    if keep is not None:
        kept = {key: _spread([solves[place] for place in places], places, keep) for key, places in kept.items()}
    useful = {place for places in kept.values() for place in places}
    return [place for place in range(len(solves)) if place not in useful]


def _spread(solves: Sequence[Solve], places: list[int], keep: int) -> list[int]:
    """Return so many of the places: each next one is farthest from those taken, as long as there are any among those with a Hessian."""
    tasks = np.stack([solve.task.vector for solve in solves])
    inputs = Scaling(tasks, solves[0].task.parts)(tasks)
    curved = np.array([solve.hessian is not None for solve in solves])
    taken: list[int] = []
    for group in (curved, ~curved):
        rest = np.flatnonzero(group).tolist()
        while rest and len(taken) < keep:
            apart = _apart(inputs[rest], inputs[taken]) if taken else -np.linalg.norm(inputs[rest], axis=1)  # the middle one first
            taken.append(rest.pop(int(apart.argmax())))
    return [places[k] for k in sorted(taken)]


def _apart(ones: Float[ndarray, "n d"], others: Float[ndarray, "m d"]) -> Float[ndarray, " n"]:
    return np.linalg.norm(ones[:, None] - others[None], axis=-1).min(1)
