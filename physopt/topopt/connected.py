"""Is there any material path from each load to the supports?"""

import itertools
from collections.abc import Iterator

import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float, Int
from numpy import ndarray


def check_connected(
    force: Float[ndarray, "case comp ..."],
    held: Bool[ndarray, "comp ..."],
    spring: Float[ndarray, "comp ..."] | None,
    passive: Float[ndarray, "..."],
) -> None:
    """Raise `ValueError` if prescribed void separates a load from all supports, for any design; arrays as in a `Structure`."""
    allowed = ~(passive == 0.0)
    pieces, _ = scipy.ndimage.label(allowed)  # elements that share an edge, or a face in three dimensions
    stopped = held if spring is None else held | (spring > 0.0)
    anchored = touched(pieces, np.any(stopped, axis=0))
    for case, forces in enumerate(force):
        loaded = np.any(np.where(held, 0.0, forces) != 0.0, axis=0)
        near = touched(pieces, loaded)
        if not near:
            raise ValueError(f"Load case {case} acts on prescribed void only; move the load, or the passive region.")
        if cut := near - anchored:
            raise ValueError(
                f"Prescribed void cuts load case {case} off from every support ({len(cut)} piece of the box holds a load but no support); "
                "support that piece, or leave it connected."
            )


def with_material(passive: Float[ndarray, "..."]) -> Bool[ndarray, "..."]:
    """Return for each node whether it touches an element that is not prescribed void."""
    padded = np.pad(passive != 0.0, 1)
    return np.any([padded[window] for window in _around(tuple(n + 1 for n in passive.shape))], axis=0)


def touched(pieces: Int[ndarray, "..."], nodes: Bool[ndarray, "..."]) -> set[int]:
    """Return the pieces, numbered from 1 on, with an element at any of the nodes."""
    padded = np.pad(pieces, 1)
    found = [np.unique(padded[window][nodes]) for window in _around(nodes.shape)]
    return set(np.concatenate(found).tolist()) - {0}


def _around(nodes: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Yield the windows in padded elements that give each node one of the elements around it."""
    for offset in itertools.product((0, 1), repeat=len(nodes)):
        yield tuple(slice(k, k + n) for k, n in zip(offset, nodes, strict=True))
