"""Which elements of a grid lie inside a closed surface."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from physopt.core.extras import need


def read_surface(file: Path) -> tuple[Float[ndarray, "vertex 3"], Int[ndarray, "face 3"]]:
    """Return the closed surface in an STL file, as its vertices and triangles; `ValueError` for any other."""
    need("trimesh")
    import trimesh

    with file.open("rb") as stream, warnings.catch_warnings():
        warnings.filterwarnings("error", message="string or file could not be read")  # half a number, in a text file
        try:
            mesh = trimesh.load_mesh(stream, file_type="stl")
            vertices, faces = np.asarray(mesh.vertices, float), np.asarray(mesh.faces)
        except Exception as error:  # hostile bytes make the reader raise anything
            raise ValueError(f"{file}: is not an STL file that can be read ({error}).") from None
    if not len(faces):
        raise ValueError(f"{file}: holds no triangle. It is empty or not in STL; export the part as binary STL.")
    if loose := unmatched_edges(faces):
        raise ValueError(
            f"{file}: is not watertight: {loose} of its edges lack the other triangle, or that one is turned the wrong way. "
            "Mend the surface, or export the part as one solid."
        )
    return vertices, faces


def unmatched_edges(faces: Int[ndarray, "face 3"]) -> int:
    """Return the number of edges that are not used equally often in both directions; zero for closed surfaces."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, which = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True)
    passed = np.bincount(which.ravel(), weights=np.sign(edges[:, 1] - edges[:, 0]))
    return int(np.count_nonzero(passed))


class Placement(NamedTuple):
    """The position of a grid: its lower corner, and the length of an element, both in the units of a file."""

    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    size: float = 1.0

    def of(self, vertices: Float[ndarray, "vertex 3"]) -> Float[ndarray, "vertex 3"]:
        """Convert positions in elements to the units of the file."""
        return np.array(self.origin) + self.size * vertices

    def inverse(self, vertices: Float[ndarray, "vertex 3"]) -> Float[ndarray, "vertex 3"]:
        """Convert positions in the units of the file to elements."""
        return (vertices - np.array(self.origin)) / self.size


def fitted(vertices: Float[ndarray, "vertex 3"], shape: tuple[int, ...]) -> Placement:
    """Return the placement of a grid around a surface: as fine as the box of `shape` allows, with the same lower corner."""
    low, extent = vertices.min(axis=0), np.ptp(vertices, axis=0)
    if not (np.isfinite(extent).all() and extent.min() > 0.0):
        raise ValueError(f"The surface measures {' x '.join(f'{side:.3g}' for side in extent)}, so it holds no volume.")
    return Placement(tuple(low.tolist()), float((extent / np.array(shape)).max()))


def inside(vertices: Float[ndarray, "vertex 3"], faces: Int[ndarray, "face 3"], shape: tuple[int, ...]) -> Bool[ndarray, "x y z"]:
    """Tell which element centers a closed surface winds around, in elements from the origin.

    Each column of centers is a line along z. Triangles are cut by the rows of lines as in rasterization: the lower and left sides are
    included, the others not. So a line through an edge or a vertex meets exactly one of the triangles there. Overlapping shells are
    united; a shell turned inside out is a cavity.
    """
    wide, high, deep = shape
    corners = vertices[faces]
    face, row = _between(corners[:, :, 1].min(axis=1), corners[:, :, 1].max(axis=1), high)
    up, down = _cuts(corners[face], row + 0.5)
    turned = (up[:, 0] < down[:, 0])[:, None]
    left, right = np.where(turned, up, down), np.where(turned, down, up)
    cut, column = _between(left[:, 0], right[:, 0], wide)
    share = (column + 0.5 - left[cut, 0]) / (right[cut, 0] - left[cut, 0])
    level = left[cut, 1] + share * (right[cut, 1] - left[cut, 1])
    below = np.clip(np.ceil(level - 0.5), 0, deep).astype(int)  # so many centers of the column are below the triangle
    steps = np.zeros((wide, high, deep + 1), np.int32)
    np.add.at(steps, (column, row[cut], below), np.where(turned[cut, 0], -1, 1))
    return np.cumsum(steps[:, :, :0:-1], axis=2, dtype=np.int32)[:, :, ::-1] != 0


def _between(
    low: Float[ndarray, " item"], high: Float[ndarray, " item"], count: int
) -> tuple[Int[ndarray, " pair"], Int[ndarray, " pair"]]:
    """Return all pairs of an item and a k below `count` with low <= k + 1/2 < high."""
    first, last = (np.clip(np.ceil(bound - 0.5), 0, count).astype(int) for bound in (low, high))
    counts = last - first
    item = np.repeat(np.arange(len(counts)), counts)
    return item, np.arange(len(item)) - np.repeat(np.cumsum(counts) - counts - first, counts)


def _cuts(corners: Float[ndarray, "cut 3 3"], y: Float[ndarray, " cut"]) -> tuple[Float[ndarray, "cut 2"], Float[ndarray, "cut 2"]]:
    """Return x and z of where the two sides of each triangle that cross the height `y` do: the rising one, and the falling one."""
    above = corners[:, :, 1] > y[:, None]
    single = above.sum(axis=1) == 1
    alone = np.where(single, above.argmax(axis=1), above.argmin(axis=1))  # on its side of the height
    corner, following, leading = (corners[np.arange(len(y)), (alone + k) % 3] for k in range(3))
    ahead, behind = (_cut(other, corner, single, y) for other in (following, leading))
    return np.where(single[:, None], behind, ahead), np.where(single[:, None], ahead, behind)


def _cut(
    other: Float[ndarray, "cut 3"], corner: Float[ndarray, "cut 3"], rising: Bool[ndarray, " cut"], y: Float[ndarray, " cut"]
) -> Float[ndarray, "cut 2"]:
    # From its lower end always, so that both triangles at a side find the same point, to the last bit.
    low, high = np.where(rising[:, None], other, corner), np.where(rising[:, None], corner, other)
    share = (y - low[:, 1]) / (high[:, 1] - low[:, 1])
    return (low + share[:, None] * (high - low))[:, [0, 2]]
