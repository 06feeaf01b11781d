"""Named problems, each with its source and any shape."""

from collections.abc import Callable, Sequence

from .definition import Definition, Load, Passive, Spring, Support, Target


def mbb(shape: Sequence[int] = (60, 20)) -> Definition:
    """Return the right half of the MBB beam: loaded at its upper left corner, the symmetry plane on the left."""
    x, y = _sides(shape, 2)
    return Definition(
        name="mbb",
        source="Sigmund, Struct. Multidiscip. Optim. 21 (2001) 120, figure 2; Andreassen et al., ibid. 43 (2011) 1",
        shape=[x, y],
        volfrac=0.5,
        rmin=max(0.04 * x, 1.5),
        support=[Support(region=[[0, 0], [0, y]], fix="x"), Support(region=[[x, 0], [x, 0]], fix="y")],
        load=[Load(region=[[0, y], [0, y]], force=[0.0, -1.0])],
    )


def cantilever(shape: Sequence[int] = (96, 60)) -> Definition:
    """Return a beam clamped on the left and loaded in the middle of its right edge."""
    x, y = _sides(shape, 2)
    return Definition(
        name="cantilever",
        source="Sigmund, Struct. Multidiscip. Optim. 21 (2001) 120, section 5",
        shape=[x, y],
        volfrac=0.4,
        rmin=max(x / 32, 1.5),
        support=[Support(region=[[0, 0], [0, y]], fix="xy")],
        load=[Load(region=[[x, y // 2], [x, y // 2]], force=[0.0, -1.0])],
    )


def bridge(shape: Sequence[int] = (120, 40)) -> Definition:
    """Return a bridge: a solid deck under a uniform load, supported at both ends, with room for an arch above."""
    x, y = _sides(shape, 2)
    deck, end = max(y // 20, 1), max(x // 60, 1)
    return Definition(
        name="bridge",
        source="Bendsoe, Sigmund, Topology Optimization (2003), section 1.4; the deck is ours",
        shape=[x, y],
        volfrac=0.3,
        rmin=max(0.02 * x, 1.5),
        mirror="x",
        support=[Support(region=[[0, 0], [end, 0]], fix="xy"), Support(region=[[x - end, 0], [x, 0]], fix="xy")],
        load=[Load(region=[[0, deck], [x, deck]], force=[0.0, -1.0])],
        passive=[Passive(region=[[0, 0], [x, deck]], density=1.0)],
    )


def l_bracket(shape: Sequence[int] = (100, 100)) -> Definition:
    """Return an L: clamped at the top of its upright arm and loaded at the end of the other."""
    x, y = _sides(shape, 2)
    arm, top = max(2 * x // 5, 1), max(2 * y // 5, 1)
    return Definition(
        name="l-bracket",
        source="Duysinx, Bendsoe, Int. J. Numer. Meth. Eng. 43 (1998) 1453 (there with stress constraints)",
        shape=[x, y],
        volfrac=0.3,
        rmin=max(0.02 * x, 1.5),
        support=[Support(region=[[0, y], [arm, y]], fix="xy")],
        load=[Load(region=[[x, top // 2], [x, top]], force=[0.0, -1.0])],
        passive=[Passive(region=[[arm, top], [x, y]], density=0.0)],
    )


def heat_sink(shape: Sequence[int] = (40, 40)) -> Definition:
    """Return a plate that is heated everywhere and cooled in the middle of its left edge."""
    x, y = _sides(shape, 2)
    reach = y // 20
    return Definition(
        name="heat-sink",
        source="Bendsoe, Sigmund, Topology Optimization (2003), section 5.1.6; there every second node of the sink is held",
        physics="heat",
        shape=[x, y],
        volfrac=0.4,
        rmin=max(0.03 * x, 1.2),
        Emin=1e-3,
        support=[Support(region=[[0, y // 2 - reach], [0, y // 2 + reach]], fix="T")],
        load=[Load(region=[[0, 0], [x, y]], force=[0.01 * (x + 1) * (y + 1)])],
    )


def inverter(shape: Sequence[int] = (40, 20)) -> Definition:
    """Return the lower half of a mechanism that moves its right end to the left when its left end is pushed to the right."""
    x, y = _sides(shape, 2)
    return Definition(
        name="inverter",
        source="Sigmund, Mech. Struct. Mach. 25 (1997) 493; Bendsoe, Sigmund, Topology Optimization (2003), section 5.1.5",
        shape=[x, y],
        volfrac=0.3,
        rmin=max(0.03 * x, 1.2),
        objective="output",
        support=[Support(region=[[0, y], [x, y]], fix="y"), Support(region=[[0, 0], [0, max(y // 20, 1)]], fix="xy")],
        load=[Load(region=[[0, y], [0, y]], force=[1.0, 0.0])],
        output=[Target(region=[[x, y], [x, y]], direction=[-1.0, 0.0])],
        spring=[Spring(region=[[0, y], [0, y]], stiffness=[0.1, 0.0]), Spring(region=[[x, y], [x, y]], stiffness=[0.1, 0.0])],
    )


def cantilever_3d(shape: Sequence[int] = (48, 24, 24)) -> Definition:
    """Return a block clamped on the left and loaded along the lower edge of its right face."""
    x, y, z = _sides(shape, 3)
    return Definition(
        name="cantilever-3d",
        source="Liu, Tovar, Struct. Multidiscip. Optim. 50 (2014) 1175, section 5.1",
        shape=[x, y, z],
        volfrac=0.15,
        rmin=max(x / 32, 1.5),
        mirror="z",
        support=[Support(region=[[0, 0, 0], [0, y, z]], fix="xyz")],
        load=[Load(region=[[x, 0, 0], [x, 0, z]], force=[0.0, -1.0, 0.0])],
    )


def bridge_3d(shape: Sequence[int] = (64, 24, 16)) -> Definition:
    """Return a bridge with a solid deck under a uniform load, supported at the lower edges of both ends, with room for arches above."""
    x, y, z = _sides(shape, 3)
    deck, end = max(y // 24, 1), max(x // 32, 1)
    return Definition(
        name="bridge-3d",
        source="ours, after the two-dimensional bridge",
        shape=[x, y, z],
        volfrac=0.15,
        rmin=max(x / 40, 1.5),
        mirror="xz",
        support=[Support(region=[[0, 0, 0], [end, 0, z]], fix="xyz"), Support(region=[[x - end, 0, 0], [x, 0, z]], fix="xyz")],
        load=[Load(region=[[0, deck, 0], [x, deck, z]], force=[0.0, -1.0, 0.0])],
        passive=[Passive(region=[[0, 0, 0], [x, deck, z]], density=1.0)],
    )


GALLERY: dict[str, Callable[..., Definition]] = {
    "mbb": mbb,
    "cantilever": cantilever,
    "bridge": bridge,
    "l-bracket": l_bracket,
    "heat-sink": heat_sink,
    "inverter": inverter,
    "cantilever-3d": cantilever_3d,
    "bridge-3d": bridge_3d,
}


def _sides(shape: Sequence[int], dim: int) -> tuple[int, ...]:
    if len(shape) != dim or min(shape) < 4:
        raise ValueError(f"The shape is {'x'.join(map(str, shape))}; this problem wants {dim} numbers of at least 4.")
    return tuple(shape)
