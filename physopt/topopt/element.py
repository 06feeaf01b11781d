"""Stiffness of one rectangular element, for any number of dimensions."""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray


def corners(dim: int) -> list[tuple[int, ...]]:
    """Return the corners of the unit square or cube in the order of binary numbers: the last coordinate changes fastest."""
    return list(itertools.product((0, 1), repeat=dim))


def at_corners(field: ndarray, dim: int) -> ndarray:
    """Return a field of nodes, its last `dim` axes, at the corners of each element: `(corner, ..., *element)`."""
    sides = [n - 1 for n in field.shape[-dim:]]
    return np.stack([field[..., *(slice(k, k + n) for k, n in zip(a, sides, strict=True))] for a in corners(dim)])


def elastic_element(edges: Sequence[float], poisson: float = 0.3) -> Float[ndarray, "corner comp corner comp"]:
    r"""Return $\int B^T D B$ of a rectangle of thickness 1 in plane stress, or of a brick, with Young's modulus 1.

    Displacements are linear in each coordinate; two Gauss points along each are exact.

    **Arguments:**

    - `edges`: two or three lengths. `poisson`: Poisson's ratio, between -1 and 1/2.
    """
    if not -1.0 < poisson < 0.5:
        raise ValueError(f"Poisson's ratio is {poisson}; an isotropic material has one between -1 and 0.5.")
    dim = len(edges)
    shears = list(itertools.combinations(range(dim), 2))
    bulk = poisson / (1.0 - poisson**2) if dim == 2 else poisson / ((1.0 + poisson) * (1.0 - 2.0 * poisson))
    shear = 0.5 / (1.0 + poisson)
    elastic = np.diag(np.append(np.full(dim, 2.0 * shear), np.full(len(shears), shear)))
    elastic[:dim, :dim] += bulk
    stiffness = np.zeros((2**dim * dim, 2**dim * dim))
    for slopes in _slopes(edges):
        strain = np.zeros((len(elastic), 2**dim, dim))
        for axis in range(dim):
            strain[axis, :, axis] = slopes[:, axis]
        for row, (first, second) in enumerate(shears, start=dim):
            strain[row, :, first], strain[row, :, second] = slopes[:, second], slopes[:, first]
        flat = strain.reshape(len(elastic), -1)
        stiffness += flat.T @ elastic @ flat * np.prod(edges) / 2**dim
    return stiffness.reshape(2**dim, dim, 2**dim, dim)


def conducting_element(edges: Sequence[float]) -> Float[ndarray, "corner 1 corner 1"]:
    r"""Return $\int \nabla N^T \nabla N$ of a rectangle or a brick, with conductivity 1."""
    return np.sum([slopes @ slopes.T for slopes in _slopes(edges)], axis=0)[:, None, :, None] * np.prod(edges) / 2 ** len(edges)


def _slopes(edges: Sequence[float]) -> list[Float[ndarray, "corner dim"]]:
    """Return the derivatives of the corner functions at each Gauss point."""
    dim = len(edges)
    ends = np.array(corners(dim))
    result = []
    for point in itertools.product((0.5 - 0.5 / np.sqrt(3.0), 0.5 + 0.5 / np.sqrt(3.0)), repeat=dim):
        heights = np.where(ends == 1, point, 1.0 - np.array(point))
        signs = 2.0 * ends - 1.0
        result.append(np.stack([signs[:, k] / edges[k] * np.delete(heights, k, axis=1).prod(axis=1) for k in range(dim)], axis=1))
    return result
