"""Where one condition ends on a straight side and another begins, as at the edge of a support."""

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from .conditions import Boundary
from .domain import Box, Corner, Points
from .problem import Problem

LOOKED = 400  # places on each side
HALVED = 60  # times the piece between two places
EDGE = 120  # values of all coordinates together, between which edges of other domains are looked at
SMOOTH = 0.9  # cosine of the angle between normals of one smooth piece


def changes(problem: Problem) -> list[Corner]:
    r"""Return the places on the sides of a rectangle where the order of the conditions changes, such as from $u$ to $u_n$.

    Solutions of equations of second order are like $r^{1/2} \sin(\varphi / 2)$ there.
    """
    domain = problem.domain
    if not isinstance(domain, Box) or len(domain.names) != 2 or any(domain.periodic):
        return []
    found, size = [], float(np.max(domain.high - domain.low))
    for across, along in ((0, 1), (1, 0)):
        for end, outwards in ((domain.low[across], -size), (domain.high[across], size)):
            side = np.full((LOOKED, 2), end)
            side[:, along] = np.linspace(domain.low[along], domain.high[along], LOOKED + 2)[1:-1]
            orders = _orders(problem, side)
            for k in np.flatnonzero(np.diff(orders)):
                place, pole = _between(problem, side[k], side[k + 1]), np.zeros(2)
                pole[across] = outwards
                (x, y), (pole_x, pole_y) = place.tolist(), (place + pole).tolist()
                found.append(Corner(x, y, pole_x, pole_y, size, True, 2))
    return found


def _orders(problem: Problem, points: Points) -> Int[np.ndarray, " n"]:
    """Return the highest derivative in the conditions at places of the boundary, and -1 where there are none."""
    orders = np.full(len(points), -1)
    for block, condition in zip(problem.blocks, problem.conditions, strict=True):
        if isinstance(condition, Boundary):
            highest = max(sum(order[: points.shape[1]]) for order in block.orders)
            orders = np.where(condition.at(problem.domain, points), np.maximum(orders, highest), orders)
    return orders


def _between(problem: Problem, first: Float[np.ndarray, " s"], last: Float[np.ndarray, " s"]) -> Float[np.ndarray, " s"]:
    """Return where the order changes between two places, by halving; a round number is what was meant."""
    low, high, order = first, last, _orders(problem, first[None])[0]
    for _ in range(HALVED):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _orders(problem, middle[None])[0] == order else (low, middle)
    digits = 11 - int(np.floor(np.log10(np.abs(last - first).max())))
    return np.round(high, digits)


def unheld(problem: Problem) -> Points:
    """Return places on smooth pieces of the boundary where the order changes, and no functions hold what is singular there.

    `changes` serves one field of second order in a rectangle; elastic bodies and plates have other powers.
    """
    domain, size = problem.domain, len(problem.domain.names)
    simple = len(problem.fields) == 1 and max(sum(order[:size]) for order in problem.block.orders) <= 2
    if size < 2 or (isinstance(domain, Box) and size == 2 and not any(domain.periodic) and simple):
        return np.zeros((0, size))
    edge = domain.edge([np.linspace(low, high, EDGE // size) for low, high in zip(domain.low, domain.high, strict=True)])
    orders = _orders(problem, edge.points)
    _, near = cKDTree(edge.points).query(edge.points, k=min(2 * size + 1, len(edge.points)))
    turned = np.einsum("ik,ijk->ij", edge.normals, edge.normals[near]) < SMOOTH
    other = (orders[near] != orders[:, None]) & (orders[near] >= 0) & (orders[:, None] >= 0) & ~turned
    return edge.points[other.any(axis=1)]
