"""The structure: a grid of square or cubic elements, its supports and its forces."""

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from .posed import check_posed, check_shape


class Structure(eqx.Module):
    """A box of `shape` unit elements, in two or three dimensions: x to the right, y up, z out of the plane.

    Node (i, j) is at x = i, y = j.

    - `force`: of each load case, in units of force, `(case, comp, *node)`. Cases do not act together.
    - `held`: the degrees of freedom fixed at zero, `(comp, *node)`; with `comp` 1 instead of the dimension these are temperatures,
      forces are heat, and the structure conducts it.
    - `spring`: stiffness of springs from each degree of freedom to the ground, `(comp, *node)`.

    **Raises:** `ValueError` for a structure that has no elements, a case without load, or that can move as a rigid body.
    """

    shape: tuple[int, ...]
    force: Float[ndarray, "..."]
    held: Bool[ndarray, "..."]
    spring: Float[ndarray, "..."] | None = None

    def __check_init__(self) -> None:
        check_posed(self.shape, self.force, self.held, self.spring)


def half_mbb(shape: tuple[int, ...] = (60, 20)) -> Structure:
    """Return the right half of the MBB beam: a unit force down at its upper left corner, symmetry on the left.

    The left edge slides vertically, the lower right corner horizontally.

    **Arguments:**

    - `shape`: `(nelx, nely)`, the numbers of elements along the beam and across it.

    ??? cite "Reference"
        Sigmund, Struct. Multidiscip. Optim. 21 (2001) 120, figure 2.
    """
    if len(check_shape(shape)) != 2:
        raise ValueError(f"The beam is in 2D: write two numbers, such as 60x20, not {'x'.join(map(str, shape))}.")
    nelx, nely = shape
    force, held = np.zeros((1, 2, nelx + 1, nely + 1)), np.zeros((2, nelx + 1, nely + 1), bool)
    force[0, 1, 0, nely] = -1.0
    held[0, 0, :] = held[1, nelx, 0] = True
    return Structure(shape, force, held)
