"""Ideal geometries from bond lengths in angstrom and angles in degrees; each returns symbols and positions."""

import numpy as np

TETRAHEDRAL = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
OCTAHEDRAL = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=float)


def chain(symbols, lengths):
    """Atoms on a line, `lengths` apart."""
    return symbols, np.array([[0.0, 0.0, z] for z in np.concatenate([[0.0], np.cumsum(lengths)])])


def bent(center, ends, lengths, angle):
    """A center with two neighbours at `angle` degrees."""
    half = np.radians(angle) / 2
    first, second = np.array([np.sin(half), 0, np.cos(half)]), np.array([-np.sin(half), 0, np.cos(half)])
    return [center, *ends], np.array([np.zeros(3), lengths[0] * first, lengths[1] * second])


def pyramid(center, end, length, angle):
    """A center with three equal neighbours, `angle` degrees between bonds; planar at 120."""
    # Neighbours at azimuths 0, 120, 240: cos(angle) = 1 - 1.5 sin(tilt)^2, tilt from the axis.
    sine = np.sqrt((1 - np.cos(np.radians(angle))) / 1.5)
    azimuth = np.radians([0, 120, 240])
    ends = np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), np.full(3, np.sqrt(max(0.0, 1 - sine**2)))], 1)
    return [center, *[end] * 3], np.vstack([np.zeros(3), length * ends])


def tetrahedron(center, end, length):
    """A center with four equal neighbours."""
    return [center, *[end] * 4], np.vstack([np.zeros(3), length * TETRAHEDRAL])


def star(center, ends, directions, lengths):
    """A center with neighbours in given directions; one length for all, or one each."""
    directions = np.asarray(directions, dtype=float)
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    return [center, *ends], np.vstack([np.zeros(3), np.broadcast_to(lengths, len(ends))[:, None] * directions])


def zigzag(symbols, lengths, angles):
    """A planar chain of four atoms in the trans form."""
    points = [np.zeros(3), np.array([lengths[0], 0, 0])]
    heading = 0.0
    for length, angle, side in zip(lengths[1:], angles, (1, -1), strict=False):
        heading += side * np.radians(180 - angle)
        points.append(points[-1] + length * np.array([np.cos(heading), np.sin(heading), 0]))
    return symbols, np.array(points)


def methyl(end, length, center="C", hydrogen=1.09, angle=109.5):
    """A center with three hydrogens, `angle` degrees from the axis on which a chain begins: CH3-X, or CH3-X-Y for two of each."""
    ends, lengths = ([end], [length]) if isinstance(end, str) else (end, length)
    tilt, azimuth = np.radians(180 - angle), np.radians([0, 120, 240])
    hydrogens = np.stack([np.sin(tilt) * np.cos(azimuth), np.sin(tilt) * np.sin(azimuth), np.full(3, -np.cos(tilt))], 1)
    axis = [[0.0, 0.0, z] for z in np.cumsum(lengths)]
    return [center, *ends, "H", "H", "H"], np.vstack([np.zeros(3), axis, hydrogen * hydrogens])


def joined(first, second):
    """Two of `methyl` at the two ends of the one chain that both name, staggered: H3C-X-GeH3."""
    (symbols, points), (others, hydrogens) = first, second
    return [*symbols, *others[-3:]], np.vstack([points, [0, 0, points[:, 2].max()] - hydrogens[-3:]])


def internal(rows):
    """Atoms by internal coordinates: `(symbol, i, length, j, angle, k, dihedral)`, where i, j, k count atoms from 0.

    The first atom has none of them, the second one, the third two; `i` is the neighbour, `angle` is at `i`, `dihedral` about i-j.
    """
    symbols, points = [], []
    for symbol, *rest in rows:
        symbols.append(symbol)
        if not rest:
            points.append(np.zeros(3))
            continue
        origin, length = points[rest[0]], rest[1]
        if len(rest) == 2:
            points.append(origin + np.array([0, 0, length]))
            continue
        toward = _unit(points[rest[2]] - origin)
        # Without a dihedral any plane will do.
        behind = points[rest[4]] - points[rest[2]] if len(rest) == 6 else np.array([1.0, 0, 0])
        angle, dihedral = np.radians(rest[3]), np.radians(rest[5] if len(rest) == 6 else 0)
        across = _unit(behind - (behind @ toward) * toward)
        aside = np.cross(toward, across)
        points.append(origin + length * (np.cos(angle) * toward + np.sin(angle) * (np.cos(dihedral) * across + np.sin(dihedral) * aside)))
    return symbols, np.array(points)


def _unit(vector):
    return vector / np.linalg.norm(vector)
