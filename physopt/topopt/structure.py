"""What carries the load: a grid of square elements, its supports and its forces."""

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


class Structure(eqx.Module):
    """A rectangle of `shape = (nelx, nely)` unit elements; node (i, j) is number `(nely + 1) i + j`, with j counted downward.

    Node n has the degrees of freedom `2n` (to the right) and `2n + 1` (upward).

    - `force`: in units of force, one number for each degree of freedom.
    - `fixed`: the degrees of freedom held at zero.

    **Raises:** `ValueError` for a structure that has no elements, no load, or that can move as a rigid body.
    """

    shape: tuple[int, int]
    force: Float[ndarray, " dof"]
    fixed: Int[ndarray, " held"]

    def __check_init__(self) -> None:
        check_shape(self.shape)
        nodes = np.indices((self.shape[0] + 1, self.shape[1] + 1)).reshape(2, -1)
        if self.force.shape != (2 * nodes.shape[1],):
            raise ValueError(f"The forces have shape {self.force.shape}; this grid has {2 * nodes.shape[1]} degrees of freedom.")
        free = np.ones(self.force.size, bool)
        free[self.fixed] = False
        if not np.isfinite(self.force).all() or not self.force[free].any():
            raise ValueError("No finite force acts on a free node, so every design is equally stiff; load a node that is not held.")
        if np.linalg.matrix_rank(_rigid_motions(nodes)[self.fixed]) < 3:
            raise ValueError(
                f"The {self.fixed.size} held degrees of freedom leave a rigid motion free, so the structure would fly away; "
                "hold it against both translations and the rotation."
            )


def half_mbb(shape: tuple[int, int] = (60, 20)) -> Structure:
    """Return the right half of the MBB beam: a unit force down at its upper left corner, the symmetry plane on the left.

    The left edge slides vertically, the lower right corner horizontally.

    **Arguments:**

    - `shape`: `(nelx, nely)`, the numbers of elements along the beam and across it.

    ??? cite "Reference"
        Sigmund, Struct. Multidiscip. Optim. 21 (2001) 120, figure 2.
    """
    nelx, nely = check_shape(shape)
    force = np.zeros(2 * (nelx + 1) * (nely + 1))
    force[1] = -1.0
    return Structure(shape, force, np.append(2 * np.arange(nely + 1), force.size - 1))


def check_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return `shape` if both numbers are at least 1, else raise `ValueError`."""
    if min(shape) < 1:
        raise ValueError(f"A grid of {shape[0]}x{shape[1]} elements is empty; write two numbers of at least 1, such as 60x20.")
    return shape


def _rigid_motions(nodes: Int[ndarray, "2 node"]) -> Float[ndarray, "dof 3"]:
    right, down = nodes.astype(float)
    motions = np.zeros((2 * right.size, 3))
    motions[0::2, 0], motions[1::2, 1] = 1.0, 1.0
    motions[0::2, 2], motions[1::2, 2] = down, right
    return motions
