"""Check that a problem can be solved, with NumPy alone, so that it is refused before any heavy package is loaded."""

import itertools

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

SMALLEST = "write at least 1 along each axis, such as 60x20 or 32x16x16"


def check_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return `shape` if it has two or three numbers of at least 1, else raise `ValueError`."""
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(f"A grid of {'x'.join(map(str, shape))} elements is empty; {SMALLEST}.")
    return shape


def check_posed(
    shape: tuple[int, ...], force: Float[ndarray, "..."], held: Bool[ndarray, "..."], spring: Float[ndarray, "..."] | None
) -> None:
    """Raise `ValueError` for a structure that has no elements, a case without load, or that can move as a rigid body; see `Structure`."""
    nodes = tuple(n + 1 for n in check_shape(shape))
    conducts = held.shape[:1] == (1,)
    wanted = (1 if conducts else len(nodes), *nodes)
    if held.shape != wanted or force.shape[1:] != wanted or not len(force):
        given = f"forces {force.shape} and held {held.shape}"
        raise ValueError(f"This grid wants forces of shape (cases, {', '.join(map(str, wanted))}) and held {wanted}, not {given}.")
    if spring is not None and (spring.shape != wanted or not (np.isfinite(spring).all() and spring.min() >= 0.0)):
        raise ValueError(f"Springs are an array {wanted} of finite stiffnesses, none negative; this one is {spring.shape}.")
    for case, forces in enumerate(force):
        if not np.isfinite(forces).all() or not forces[~held].any():
            raise ValueError(
                f"Load case {case} has no finite force on a free node, so every design is equally stiff; load a node that is not held."
            )
    stopped = held if spring is None else held | (spring > 0.0)
    if conducts and not stopped.any():
        raise ValueError("No temperature is held, so heat has nowhere to go; hold that of some nodes.")
    motions = np.ones((1, np.count_nonzero(stopped))) if conducts else _rigid_motions(stopped)
    if np.linalg.matrix_rank(motions @ motions.T) < len(motions):
        raise ValueError(
            f"The {np.count_nonzero(held)} held degrees of freedom leave a rigid motion free, so the structure would fly away; "
            "hold it against all translations and rotations."
        )


def _rigid_motions(stopped: Bool[ndarray, "comp ..."]) -> Float[ndarray, "motion stopped"]:
    """Return what all translations, and rotations about the middle, move there, with lengths in units of the largest side."""
    dim, nodes = len(stopped), stopped.shape[1:]
    along, *index = np.nonzero(stopped)
    where = (np.array(index) - 0.5 * np.reshape(nodes, (dim, 1))) / max(nodes)
    motions = [along == axis for axis in range(dim)]
    for first, second in itertools.combinations(range(dim), 2):
        motions.append(np.where(along == first, -where[second], 0.0) + np.where(along == second, where[first], 0.0))
    return np.array(motions, float)
