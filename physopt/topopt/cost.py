"""The expected cost of a finite-element solve: seconds by the direct solver and by multigrid, memory, and the memory available.

Seconds are on one core of a server of 2023, fitted to `physopt bench fe`; only their ratio is used, so that the choice depends on the grid
and not on the machine.
"""

import contextlib
import functools
import re
import resource
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from .direct import LEAF, NARROW, band_width

BAND, SPARSE = 5e-11, 4e-10  # seconds for one operation of LAPACK's banded factorization, and of SuperLU
GROUP = Path("/sys/fs/cgroup")
COMPILED = 0.15  # seconds of compiling multigrid, divided among some hundred solves
ROUND = {2: 9e-8, 3: 3.5e-7}  # seconds of an iteration of multigrid for each element
ROUNDS = {2: 15, 3: 30}  # iterations on a design of solid and void
BYTES = {2: 1400, 3: 4100}  # of multigrid for each element
COMPILING = 300_000_000  # bytes, whatever the grid


class Cost(NamedTuple):
    """Seconds of one solve, and bytes at its peak, without what the process holds already."""

    seconds: float
    memory: float


class Fill(NamedTuple):
    """Numbers in a Cholesky factor, and the operations to find them."""

    numbers: float
    operations: float


def directly(held: Bool[ndarray, "comp ..."]) -> Cost:
    """Return the cost of a factorization, all load cases included."""
    width = band_width(held)
    if width * held.size <= NARROW:
        return Cost(BAND * width**2 * held.size, 16.0 * width * held.size)
    fill = dissection(tuple(held.shape[1:]), len(held))
    # SuperLU holds both triangles, with the row of each number.
    return Cost(SPARSE * fill.operations, 24.0 * fill.numbers + 200.0 * held.size * 3 ** (held.ndim - 1))


def by_multigrid(held: Bool[ndarray, "comp ..."], cases: int) -> Cost:
    """Return the cost of a solve by multigrid."""
    dim, elements = held.ndim - 1, float(np.prod([n - 1 for n in held.shape[1:]]))
    return Cost(COMPILED + cases * ROUNDS[dim] * ROUND[dim] * elements, COMPILING + BYTES[dim] * elements)


def dissection(nodes: tuple[int, ...], comp: int) -> Fill:
    """Return the fill of nested dissection on a grid; each layer between two parts is a dense block with all its neighbors."""
    fill = _dissected(nodes, ((0, 0),) * len(nodes))
    return Fill(comp**2 * fill.numbers, comp**3 * fill.operations)


@functools.cache
def _dissected(nodes: tuple[int, ...], walls: tuple[tuple[int, int], ...]) -> Fill:
    """Return the same of a part, with walls where something that is eliminated later adjoins: below and above, along each axis."""
    axis, size = int(np.argmax(nodes)), float(np.prod(nodes))
    border = sum(sum(ends) * size / n for ends, n in zip(walls, nodes, strict=True))
    if nodes[axis] <= LEAF:
        return _block(size, border)
    half, (below, above) = nodes[axis] // 2, walls[axis]
    parts = [_block(size / nodes[axis], border)]
    for length, ends in ((half, (below, 1)), (nodes[axis] - half - 1, (1, above))):
        parts.append(_dissected((*nodes[:axis], length, *nodes[axis + 1 :]), (*walls[:axis], ends, *walls[axis + 1 :])))
    return Fill(sum(part.numbers for part in parts), sum(part.operations for part in parts))


def _block(size: float, border: float) -> Fill:
    return Fill(size**2 / 2.0 + size * border, size**3 / 3.0 + size**2 * border + size * border**2)


def check_memory(needed: float, shape: tuple[int, ...]) -> None:
    """Raise `ValueError` if a solve on a grid of this shape needs more bytes than are available."""
    if needed > (room := available()):
        sides = "x".join(map(str, shape))
        raise ValueError(
            f"A solve on {sides} elements takes some {needed / 1e9:.1f} GB of memory, and {room / 1e9:.1f} GB are free here; "
            "write a smaller shape, or run it where there is more."
        )


def available() -> float:
    """Return the bytes available: free memory within the limits of the process and of its control group; infinite if unknown."""
    rooms = [np.inf]
    with contextlib.suppress(OSError, ValueError, IndexError):
        rooms.append(1024.0 * int(re.findall(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())[0]))
    with contextlib.suppress(OSError, ValueError):
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            rooms.append(limit - resource.getpagesize() * float(Path("/proc/self/statm").read_text().split()[0]))
    for most, now in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        with contextlib.suppress(OSError, ValueError):
            rooms.append(int((GROUP / most).read_text()) - int((GROUP / now).read_text()))
    return float(min(rooms))
