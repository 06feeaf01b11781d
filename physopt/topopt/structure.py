"""What carries the load: a grid of square or cubic elements, its supports and its forces."""

import itertools

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

SMALLEST = "write at least 1 along each axis, such as 60x20 or 32x16x16"


class Structure(eqx.Module):
    """A box of `shape` unit elements, in two or three dimensions: x to the right, y up, z out of the plane.

    Node (i, j) is at x = i, y = j.

    - `force`: of each load case, in units of force, `(case, comp, *node)`. Cases act one after the other.
    - `held`: the degrees of freedom held at zero, `(comp, *node)`; with `comp` 1 instead of the dimension these are temperatures,
      forces are heat, and the structure conducts it.
    - `spring`: stiffness of springs from each degree of freedom to the ground, `(comp, *node)`.

    **Raises:** `ValueError` for a structure that has no elements, a case without load, or that can move as a rigid body.
    """

    shape: tuple[int, ...]
    force: Float[ndarray, "..."]
    held: Bool[ndarray, "..."]
    spring: Float[ndarray, "..."] | None = None

    def __check_init__(self) -> None:
        nodes = tuple(n + 1 for n in check_shape(self.shape))
        conducts = self.held.shape[:1] == (1,)
        wanted = (1 if conducts else len(nodes), *nodes)
        if self.held.shape != wanted or self.force.shape[1:] != wanted or not len(self.force):
            given = f"forces {self.force.shape} and held {self.held.shape}"
            raise ValueError(f"This grid wants forces of shape (cases, {', '.join(map(str, wanted))}) and held {wanted}, not {given}.")
        springs = np.zeros(wanted) if self.spring is None else self.spring
        if springs.shape != wanted or not (np.isfinite(springs).all() and springs.min() >= 0.0):
            raise ValueError(f"Springs are an array {wanted} of finite stiffnesses, none negative; this one is {springs.shape}.")
        for case, force in enumerate(self.force):
            if not np.isfinite(force).all() or not force[~self.held].any():
                raise ValueError(
                    f"Load case {case} has no finite force on a free node, so every design is equally stiff; load a node that is not held."
                )
        if conducts and not (self.held | (springs > 0.0)).any():
            raise ValueError("No temperature is held, so heat has nowhere to go; hold that of some nodes.")
        motions = np.ones((1, *wanted)) if conducts else _rigid_motions(nodes)
        stopped = motions[:, self.held | (springs > 0.0)]
        if np.linalg.matrix_rank(stopped @ stopped.T) < len(motions):
            raise ValueError(
                f"The {np.count_nonzero(self.held)} held degrees of freedom leave a rigid motion free, so the structure would fly away; "
                "hold it against all translations and rotations."
            )


def half_mbb(shape: tuple[int, ...] = (60, 20)) -> Structure:
    """Return the right half of the MBB beam: a unit force down at its upper left corner, the symmetry plane on the left.

    The left edge slides vertically, the lower right corner horizontally.

    **Arguments:**

    - `shape`: `(nelx, nely)`, the numbers of elements along the beam and across it.

    ??? cite "Reference"
        Sigmund, Struct. Multidiscip. Optim. 21 (2001) 120, figure 2.
    """
    if len(check_shape(shape)) != 2:
        raise ValueError(f"The beam lies in the plane: write two numbers, such as 60x20, not {'x'.join(map(str, shape))}.")
    nelx, nely = shape
    force, held = np.zeros((1, 2, nelx + 1, nely + 1)), np.zeros((2, nelx + 1, nely + 1), bool)
    force[0, 1, 0, nely] = -1.0
    held[0, 0, :] = held[1, nelx, 0] = True
    return Structure(shape, force, held)


def check_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return `shape` if it has two or three numbers of at least 1, else raise `ValueError`."""
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(f"A grid of {'x'.join(map(str, shape))} elements is empty; {SMALLEST}.")
    return shape


def _rigid_motions(nodes: tuple[int, ...]) -> Float[ndarray, "motion comp ..."]:
    """Return the displacements of all translations and of rotations about the middle, with lengths in units of the largest side."""
    dim = len(nodes)
    where = (np.indices(nodes) - 0.5 * np.reshape(nodes, (dim,) + (1,) * dim)) / max(nodes)
    motions = []
    for axis in range(dim):
        motions.append(np.zeros_like(where))
        motions[-1][axis] = 1
    for first, second in itertools.combinations(range(dim), 2):
        motions.append(np.zeros_like(where))
        motions[-1][first], motions[-1][second] = -where[second], where[first]
    return np.stack(motions)
