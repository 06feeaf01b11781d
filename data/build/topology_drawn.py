"""Write data/held-out/topology-drawn: structures drawn at random, filter radii of 1.2 to 2 elements, half of them in 3D.

python data/build/topology_drawn.py

None of them was looked at while the methods were made. They are small, so that all methods can be run on all of them.
"""

import numpy as np
from topology import box, named, write

from physopt.topopt.definition import Definition, Load, Passive, Support

SEED = 20261128
NUM = 20  # in the plane, and as many in 3D
SIDES = {2: (16, 60), 3: (4, 20)}  # shortest and longest, in elements
LARGEST = {2: 2400, 3: 2400}  # elements
HEAT = 0.25  # how often
VOID = 0.3


def main() -> None:
    """Write all files."""
    dice = np.random.default_rng(SEED)
    write("topology-drawn", [drawn(dice, dim, number) for dim in (2, 3) for number in range(NUM)])


def drawn(dice: np.random.Generator, dim: int, number: int) -> Definition:
    """Return the next structure that can be solved."""
    while True:
        shape = tuple(int(side) for side in dice.integers(*SIDES[dim], size=dim, endpoint=True))
        if np.prod(shape) > LARGEST[dim]:
            continue
        definition = heated(dice, shape, number) if dice.random() < HEAT else loaded(dice, shape, number)
        try:
            definition.problem()
        except ValueError:  # a load on a support, say
            continue
        return definition


def loaded(dice: np.random.Generator, shape: tuple[int, ...], number: int) -> Definition:
    """Return a structure held on two or three patches of its boundary, with one to three loads on others, of one case or of several."""
    fix = "xyz"[: len(shape)]
    support = [Support(region=patch(dice, shape, 0.1, 0.4), fix=fix) for _ in range(dice.integers(2, 4))]
    several = dice.random() < 0.3
    load = []
    for case in range(dice.integers(1, 4)):
        force = dice.normal(size=len(shape))
        load.append(
            Load(region=patch(dice, shape, 0.0, 0.3), force=(force / np.linalg.norm(force)).round(3).tolist(), case=case if several else 0)
        )
    passive = [Passive(region=inside(dice, shape), density=0.0)] if dice.random() < VOID else []
    return named(f"frame-{number:02}", "drawn", shape, *light(dice), support=support, load=load, passive=passive)


def heated(dice: np.random.Generator, shape: tuple[int, ...], number: int) -> Definition:
    """Return a block that leads heat, of all of it or of a patch of its boundary, to a cold patch."""
    everywhere = box(*(0,) * len(shape), *shape)
    load = [Load(region=everywhere if dice.random() < 0.5 else patch(dice, shape, 0.2, 0.8), force=[float(np.prod(shape))])]
    support = [Support(region=patch(dice, shape, 0.1, 0.4), fix="T")]
    low = float(dice.choice([1e-9, 1e-3, 1e-2]))
    return named(f"sink-{number:02}", "drawn", shape, *light(dice), physics="heat", Emin=low, support=support, load=load)


def light(dice: np.random.Generator) -> tuple[float, float]:
    """Return a fraction of volume, and a filter radius below that which half the resolution could have."""
    return round(float(dice.uniform(0.15, 0.45)), 2), round(float(dice.uniform(1.2, 2.0)), 2)


def patch(dice: np.random.Generator, shape: tuple[int, ...], least: float, most: float) -> list[list[int]]:
    """Return a box of nodes on one face of the boundary, of some fraction of each of its sides."""
    face, low, high = dice.integers(len(shape)), [], []
    end = int(dice.integers(2))
    for axis, side in enumerate(shape):
        length = round(float(dice.uniform(least, most)) * side)
        start = int(dice.integers(0, side - length, endpoint=True))
        low.append(end * side if axis == face else start)
        high.append(end * side if axis == face else start + length)
    return [low, high]


def inside(dice: np.random.Generator, shape: tuple[int, ...]) -> list[list[int]]:
    """Return a box of elements inside, a third to a half of each side."""
    sizes = [int(dice.uniform(0.3, 0.5) * side) for side in shape]
    low = [int(dice.integers(1, side - size)) for side, size in zip(shape, sizes, strict=True)]
    return [low, [start + size for start, size in zip(low, sizes, strict=True)]]


if __name__ == "__main__":
    main()
