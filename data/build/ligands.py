"""Complexes: a metal with ligands of ideal geometry in given directions."""

import numpy as np
from shapes import chain, pyramid


def ring(size, bond, hydrogen=1.08):
    """A flat ring of `size` CH groups around the origin; as a ligand it is bound by its center."""
    turns = 2 * np.pi * np.arange(size) / size
    circle = np.stack([np.cos(turns), np.sin(turns), np.zeros(size)], 1)
    radius = bond / (2 * np.sin(np.pi / size))
    return ["C"] * size + ["H"] * size, np.vstack([radius * circle, (radius + hydrogen) * circle])


# The donor at the origin, the rest above it.
WATER = ["O", "H", "H"], np.array([[0, 0, 0], [0.76, 0, 0.59], [-0.76, 0, 0.59]])
AMMONIA = pyramid("N", "H", 1.02, 106.7)
PHOSPHINE = pyramid("P", "H", 1.41, 99.0)
METHYL = pyramid("C", "H", 1.09, 109.5)
CARBONYL = chain(["C", "O"], [1.14])
CYANIDE = chain(["C", "N"], [1.16])
NITROSYL = chain(["N", "O"], [1.17])
ETHYLENE = (
    ["C", "C", "H", "H", "H", "H"],
    np.array([[0.69, 0, 0], [-0.69, 0, 0], *[[s * 1.24, t * 0.92, 0.15] for s in (1, -1) for t in (1, -1)]]),
)
CYCLOPENTADIENYL = ring(5, 1.43)
CYCLOBUTADIENE = ring(4, 1.46)


def complexed(metal, *groups):
    """A metal with groups of equal ligands: `(ligand, directions, length)`; a ligand is an element or symbols and positions."""
    symbols, points = [metal], [np.zeros((1, 3))]
    for ligand, directions, length in groups:
        atoms, local = ([ligand], np.zeros((1, 3))) if isinstance(ligand, str) else ligand
        for direction in np.asarray(directions, dtype=float):
            up = direction / np.linalg.norm(direction)
            # Neighbours on different axes are turned by 90 degrees, so that their hydrogens keep apart.
            across = np.roll(np.eye(3)[np.argmax(np.abs(up) > 0.4)], 1)
            across = np.cross(up, across) / np.linalg.norm(np.cross(up, across))
            frame = np.array([across, np.cross(up, across), up])
            symbols += atoms
            points.append(length * up + local @ frame)
    return symbols, np.vstack(points)


def around(count, angle):
    """`count` directions at `angle` degrees from the z axis."""
    turns, tilt = 2 * np.pi * np.arange(count) / count, np.radians(angle)
    return np.stack([np.sin(tilt) * np.cos(turns), np.sin(tilt) * np.sin(turns), np.full(count, np.cos(tilt))], 1)
