"""The surface of a design: where it lies so that the volume is kept, and which bodies it bounds."""

from typing import NamedTuple

import numpy as np
import scipy.ndimage
import scipy.optimize
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from physopt.core.extras import need

from .connected import touched

RIM = 0.01  # elements: how far inside of the box its edges are rounded
CLOSE = 1e-3  # fraction of the volume to which the surface keeps it


class Surface(NamedTuple):
    """A closed triangle surface around densities above `level`, in elements from the lower corner of the box, normals outward.

    - `vertices`, `faces`: the triangles. `level`: the density on them.
    - `body`: which body each triangle bounds, counted from 1; cavities belong to it. `within`: the body of each element, 0 for none.
    """

    vertices: Float[ndarray, "vertex 3"]
    faces: Int[ndarray, "face 3"]
    level: float
    body: Int[ndarray, " face"]
    within: Int[ndarray, "..."]

    @property
    def pieces(self) -> int:
        """The number of bodies."""
        return len(np.unique(self.body))

    @property
    def volume(self) -> float:
        """The enclosed volume, in elements; in 2D, times the thickness."""
        return enclosed(self.vertices, self.faces)

    def only(self, bodies: set[int]) -> "Surface":
        """Return the surface of some of the bodies."""
        kept = np.isin(self.body, list(bodies))
        used, faces = np.unique(self.faces[kept], return_inverse=True)
        within = np.where(np.isin(self.within, list(bodies)), self.within, 0)
        return Surface(self.vertices[used], faces.reshape(-1, 3), self.level, self.body[kept], within)

    def at(self, nodes: Bool[ndarray, "..."]) -> set[int]:
        """Return the bodies with an element at any of the nodes."""
        return touched(self.within, nodes)


def surface_of(density: Float[ndarray, "..."], level: float | None = None) -> Surface:
    """Return the surface where the density is `level`, by default where it encloses the volume of the design.

    By marching cubes between the centers of elements; at the box it lies on the box. A 2D design becomes `thickness` thick.

    **Raises:** `ValueError` where no density is above the level, or all are the same; `MissingExtraError` without the extra `mesh`.
    """
    level = keeping_volume(density) if level is None else level
    if not density.max() > level:
        raise ValueError(f"No density is above {level:.3g}: there is no surface; the largest is {density.max():.3f}.")
    places, faces = _marched(density, level)
    vertices = _in_elements(places, density.shape)
    # The surface separates elements that share no face, but for some that it joins along an edge: these share a sheet.
    pieces, count = scipy.ndimage.label(density > level)
    inner = pieces[_inner(places, density, level)]
    known = np.flatnonzero(inner)
    ends = np.concatenate([faces[:, :2], faces[:, 1:], np.stack([known, len(places) + inner[known] - 1], axis=1)])
    size = len(places) + count
    _, part = connected_components(coo_array((np.ones(len(ends), bool), ends.T), shape=(size, size)), directed=False)
    bodies, body = np.unique(part[faces[:, 0]], return_inverse=True)
    within = np.concatenate([[0], np.searchsorted(bodies, part[len(places) :]) + 1])[pieces]
    return Surface(vertices, faces, level, body + 1, within)


def keeping_volume(density: Float[ndarray, "..."]) -> float:
    """Return the level whose surface encloses the sum of the densities, to 0.1 %, or comes nearest to it.

    **Raises:** `ValueError` for a design without contrast.
    """
    low, high = float(density.min()), float(density.max())
    if high - low < 1e-6:
        raise ValueError(f"All densities are {low:.3g}: there is no surface between solid and void.")
    wanted = float(density.sum()) * (1 if density.ndim == 3 else thickness(density.shape))
    errors: dict[float, float] = {}

    def excess(level: float) -> float:
        places, faces = _marched(density, level)
        error = enclosed(_in_elements(places, density.shape), faces) / wanted - 1.0
        errors[level] = abs(error)
        return 0.0 if abs(error) < CLOSE else error

    edge = 1e-4 * (high - low)
    if excess(low + edge) > 0.0 > excess(high - edge):
        scipy.optimize.brentq(excess, low + edge, high - edge, xtol=edge)  # or a jump, where many densities are the same
    return min(errors, key=errors.__getitem__)


def thickness(shape: tuple[int, ...]) -> int:
    """Return the thickness, in elements, of the surface of a 2D design: a tenth of its longer side, rounded down, and at least one."""
    return max(max(shape) // 10, 1)


def enclosed(vertices: Float[ndarray, "vertex 3"], faces: Int[ndarray, "face 3"]) -> float:
    """Return the volume that closed triangles enclose, by the divergence theorem."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float(np.einsum("fi,fi->", a, np.cross(b, c))) / 6.0


def _marched(density: Float[ndarray, "..."], level: float) -> tuple[Float[ndarray, "vertex 3"], Int[ndarray, "face 3"]]:
    """Return vertices and triangles between the centers of elements, and of two layers around them: the rim, and what is outside."""
    need("skimage")
    import skimage.measure

    field = np.pad(density, 1, mode="edge")
    field = field if density.ndim == 3 else np.stack([field] * 2, axis=2)
    field = np.pad(field, 1, constant_values=-1.0)
    vertices, faces, _, _ = skimage.measure.marching_cubes(field, level, gradient_direction="ascent")
    return vertices.astype(float), faces


def _in_elements(places: Float[ndarray, "vertex 3"], shape: tuple[int, ...]) -> Float[ndarray, "vertex 3"]:
    """Return where vertices are: rim and outside lie on the box, so that the surface is flush with it."""
    columns = []
    for axis, place in enumerate(places.T):
        centers, side = (np.arange(shape[axis]) + 0.5, shape[axis]) if axis < len(shape) else (np.zeros(0), thickness(shape))
        columns.append(np.interp(place, np.arange(len(centers) + 4), [0.0, RIM, *centers, side - RIM, side]))
    return np.stack(columns, axis=1)


def _inner(places: Float[ndarray, "vertex 3"], density: Float[ndarray, "..."], level: float) -> tuple[Int[ndarray, " vertex"], ...]:
    """Return the solid element that each vertex lies at: between two centers, one of which is denser than the level."""
    below, above = (
        tuple(np.clip(rounded(place).astype(int) - 2, 0, side - 1) for place, side in zip(places.T, density.shape, strict=False))
        for rounded in (np.floor, np.ceil)
    )
    solid = density[below] > level
    return tuple(np.where(solid, b, a) for b, a in zip(below, above, strict=True))
