"""Plane-stress elasticity on a grid of square elements: bilinear displacements, sparse direct solution."""

import itertools

import equinox as eqx
import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from jaxtyping import Float, Int
from numpy import ndarray

from .structure import Structure


class Elasticity(eqx.Module):
    r"""Equilibrium $K(E) u = F$ with $K(E) = \sum_e E_e A_e^T K_0 A_e$, one Young's modulus for each element.

    `stiffness` is $K_0$, of a unit square with $E = 1$; `dofs` lists the 8 degrees of freedom of each element; `place` numbers
    the free ones, -1 for held ones.
    """

    structure: Structure
    stiffness: Float[ndarray, "8 8"]
    dofs: Int[ndarray, "element 8"]
    place: Int[ndarray, " dof"]

    def __init__(self, structure: Structure, poisson: float = 0.3):
        self.structure = structure
        self.stiffness = square_stiffness(poisson)
        self.dofs = _element_dofs(structure.shape)
        free = np.setdiff1d(np.arange(structure.force.size), structure.fixed)
        self.place = np.full(structure.force.size, -1)
        self.place[free] = np.arange(free.size)

    def energies(self, young: Float[ndarray, "nelx nely"]) -> Float[ndarray, "nelx nely"]:
        r"""Return $u_e^T K_0 u_e$ of every element in equilibrium; $\sum_e E_e u_e^T K_0 u_e = F^T u$ is the compliance.

        **Arguments:**

        - `young`: positive.
        """
        local = self._displacement(young)[self.dofs]
        return np.einsum("ei,ij,ej->e", local, self.stiffness, local).reshape(self.structure.shape)

    def _displacement(self, young: Float[ndarray, "nelx nely"]) -> Float[ndarray, " dof"]:
        place = self.place[self.dofs]
        rows, columns = (np.broadcast_to(p, (len(place), 8, 8)) for p in (place[:, :, None], place[:, None, :]))
        free = (rows >= 0) & (columns >= 0)
        values = (young.reshape(-1, 1, 1) * self.stiffness)[free]
        order = self.place.max() + 1
        matrix = scipy.sparse.csc_array((values, (rows[free], columns[free])), shape=(order, order))
        # Symmetric ordering and no pivoting: the matrix is positive definite, and this halves the time of SuperLU's defaults.
        factor = scipy.sparse.linalg.splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        displacement = np.zeros(self.place.size)
        displacement[self.place >= 0] = factor.solve(self.structure.force[self.place >= 0])
        return displacement


def square_stiffness(poisson: float) -> Float[ndarray, "8 8"]:
    r"""Return $K_0 = \int B^T D B$ of the unit square in plane stress with $E = 1$, by 2x2 Gauss points (exact here).

    Corners run counterclockwise from the lower left; each has a horizontal and a vertical degree of freedom.

    **Arguments:**

    - `poisson`: Poisson's ratio, between -1 and 1/2.
    """
    if not -1.0 < poisson < 0.5:
        raise ValueError(f"Poisson's ratio is {poisson}; an isotropic material has one between -1 and 0.5.")
    elastic = np.array([[1.0, poisson, 0.0], [poisson, 1.0, 0.0], [0.0, 0.0, (1.0 - poisson) / 2.0]]) / (1.0 - poisson**2)
    stiffness = np.zeros((8, 8))
    for x, y in itertools.product((0.5 - 0.5 / np.sqrt(3.0), 0.5 + 0.5 / np.sqrt(3.0)), repeat=2):
        dx, dy = np.array([y - 1.0, 1.0 - y, y, -y]), np.array([x - 1.0, -x, x, 1.0 - x])
        strain = np.zeros((3, 8))
        strain[0, 0::2], strain[1, 1::2], strain[2, 0::2], strain[2, 1::2] = dx, dy, dy, dx
        stiffness += 0.25 * strain.T @ elastic @ strain
    return stiffness


def _element_dofs(shape: tuple[int, int]) -> Int[ndarray, "element 8"]:
    nelx, nely = shape
    node = np.arange((nelx + 1) * (nely + 1)).reshape(nelx + 1, nely + 1)
    corners = np.stack([node[:-1, 1:], node[1:, 1:], node[1:, :-1], node[:-1, :-1]], axis=-1).reshape(-1, 4)
    return np.stack([2 * corners, 2 * corners + 1], axis=-1).reshape(-1, 8)
