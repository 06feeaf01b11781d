"""Random places for a problem: anew in each step of a training, and in any number of coordinates."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from .conditions import Places
from .problem import Problem

SHARE = 0.3  # of all places belongs to the conditions


def scattered(problem: Problem, rng: np.random.Generator, num: int) -> list[Places]:
    """Return about `num` random places: those of the equation first, then those of each condition."""
    edge = max(int(SHARE * num / max(len(problem.conditions), 1)), 8)
    inside = max(num - edge * len(problem.conditions), 8)
    return [Places(interior(problem, rng, inside)), *conditions(problem, rng, edge)]


def conditions(problem: Problem, rng: np.random.Generator, num: int) -> list[Places]:
    """Return about `num` random places of each condition."""
    return [condition.scattered(problem.domain, problem.time, rng, num) for condition in problem.conditions]


def interior(problem: Problem, rng: np.random.Generator, num: int) -> Float[np.ndarray, "num d"]:
    """Return random points of the domain and of time, uniform."""
    space = problem.domain.scattered(rng, num)
    if problem.time is None:
        return space
    return np.column_stack([space, rng.uniform(*problem.time, num)])


def weighted(
    problem: Problem,
    rng: np.random.Generator,
    num: int,
    size: Callable[[Float[np.ndarray, "n d"]], Float[np.ndarray, " n"]],
    power: float = 1.0,
    floor: float = 1.0,
) -> Float[np.ndarray, "num d"]:
    r"""Return random points with density proportional to $|r|^k / \overline{|r|^k} + c$ (RAD), where `size` returns $|r|$.

    **Arguments:** `power`: $k$. `floor`: $c$, the share of uniform points.

    ??? cite "Reference"
        Wu, Zhu, Tan, Kartha, Lu, *A comprehensive study of non-adaptive and residual-based adaptive sampling for PINNs*,
        Comput. Methods Appl. Mech. Eng. 403, 115671 (2023), eq. (2).
    """
    many = interior(problem, rng, 4 * num)
    weights = size(many) ** power
    mean = weights.mean()
    if not np.isfinite(mean):
        return many[:num]
    chances = np.log(weights / max(mean, 1e-300) + floor) + rng.gumbel(size=len(many))
    return many[np.argpartition(-chances, num)[:num]]
