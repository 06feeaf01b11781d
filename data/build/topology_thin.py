"""Write data/held-out/topology-thin: structures of thin members, filter radii of 1.2 to 2 elements, half of them in space.

python data/build/topology_thin.py

None of them was looked at while the methods were made. They are small, so that all methods can be run on all of them.
"""

from topology import box, down, named, write

from physopt.topopt.definition import Definition, Load, Passive, Support

Plane, Space = tuple[int, int], tuple[int, int, int]


def main() -> None:
    """Write all files."""
    write("topology-thin", [*plane(), *space()])


def plane() -> list[Definition]:
    """Return those in the plane."""
    return [
        *(jib(*case) for case in [((60, 30), 0.2, 1.5), ((48, 36), 0.3, 1.2)]),
        *(portal(*case) for case in [((50, 40), 0.25, 1.5), ((60, 30), 0.4, 1.8)]),
        *(arcade(*case) for case in [((60, 24), 0.3, 1.3), ((72, 24), 0.2, 2.0)]),
        *(tee(*case) for case in [((48, 32), 0.3, 1.5), ((60, 40), 0.2, 1.2)]),
        *(window(*case) for case in [((40, 40), 0.3, 1.4), ((56, 42), 0.2, 1.8)]),
        *(signpost(*case) for case in [((24, 60), 0.2, 1.5), ((30, 48), 0.3, 1.2)]),
        *(strut(*case) for case in [((64, 16), 0.4, 1.5), ((80, 10), 0.5, 1.5)]),
        *(corners(*case) for case in [((36, 36), 0.3, 1.5, 1e-9), ((44, 30), 0.4, 1.2, 1e-3)]),
        *(fins(*case) for case in [((48, 24), 0.4, 1.5, 1e-3), ((32, 48), 0.25, 2.0, 1e-2)]),
        *(pushed(*case) for case in [((48, 32), 0.3, 1.5), ((40, 24), 0.4, 1.8)]),
    ]


def space() -> list[Definition]:
    """Return those in space."""
    return [
        *(table(*case) for case in [((16, 10, 12), 0.25, 1.5), ((20, 8, 8), 0.3, 1.2)]),
        *(console(*case) for case in [((16, 14, 8), 0.15, 1.5), ((20, 10, 6), 0.25, 1.3)]),
        *(stool(*case) for case in [((14, 12, 14), 0.15, 1.5), ((12, 10, 12), 0.25, 1.8)]),
        *(lamp(*case) for case in [((14, 12, 14), 0.15, 1.4), ((12, 16, 8), 0.2, 1.5)]),
        *(lintel(*case) for case in [((28, 8, 6), 0.25, 1.5), ((24, 10, 4), 0.3, 1.2)]),
        *(blade(*case) for case in [((24, 3, 12), 0.4, 1.5), ((28, 4, 8), 0.3, 1.5)]),
        *(vault(*case) for case in [((20, 10, 10), 0.2, 1.5), ((24, 8, 6), 0.3, 2.0)]),
        *(derrick(*case) for case in [((8, 24, 8), 0.15, 1.5), ((10, 18, 6), 0.25, 1.2)]),
        *(cooler(*case) for case in [((14, 14, 14), 0.2, 1.5, 1e-9), ((20, 4, 20), 0.3, 1.3, 1e-2)]),
        *(wire(*case) for case in [((20, 10, 8), 0.3, 1.5, 1e-3), ((24, 6, 12), 0.2, 1.2, 1e-3)]),
    ]


def jib(shape: Plane, volfrac: float, rmin: float) -> Definition:
    """Return a crane: held at the foot of its left side, a load at its upper right corner."""
    x, y = shape
    support = [Support(region=box(0, 0, 0, y // 3), fix="xy")]
    return named("jib", "ours", shape, volfrac, rmin, support=support, load=[down(box(x, y, x, y))])


def portal(shape: Plane, volfrac: float, rmin: float) -> Definition:
    """Return a frame on two feet, under weight and wind together."""
    x, y = shape
    support = [Support(region=box(0, 0, x // 10, 0), fix="xy"), Support(region=box(x - x // 10, 0, x, 0), fix="xy")]
    load = [down(box(x // 3, y, x // 3, y)), Load(region=box(0, y, 0, y), force=[0.5, 0.0])]
    return named("portal", "ours", shape, volfrac, rmin, support=support, load=load)


def arcade(shape: Plane, volfrac: float, rmin: float) -> Definition:
    """Return a beam on three feet under an even load on its upper side."""
    x, y = shape
    support = [Support(region=box(at - 1, 0, at + 1, 0), fix="xy") for at in (1, x // 2, x - 1)]
    return named("arcade", "ours", shape, volfrac, rmin, support=support, load=[down(box(0, y, x, y))])


def tee(shape: Plane, volfrac: float, rmin: float) -> Definition:
    """Return a T: clamped at its foot, its arms loaded unequally."""
    x, y = shape
    passive = [Passive(region=box(0, 0, x // 3, y // 2), density=0.0), Passive(region=box(x - x // 3, 0, x, y // 2), density=0.0)]
    support = [Support(region=box(x // 3, 0, x - x // 3, 0), fix="xy")]
    load = [down(box(0, y, 0, y)), down(box(x, y, x, y), force=0.4)]
    return named("tee", "ours", shape, volfrac, rmin, support=support, load=load, passive=passive)


def window(shape: Plane, volfrac: float, rmin: float) -> Definition:
    """Return a wall with a window under two loads on its upper side, one at a time."""
    x, y = shape
    passive = [Passive(region=box(x // 4, y // 3, x // 2, 2 * y // 3), density=0.0)]
    load = [down(box(x // 3, y, x // 3, y)), down(box(3 * x // 4, y, x, y), 1)]
    support = [Support(region=box(0, 0, x, 0), fix="xy")]
    return named("window", "ours", shape, volfrac, rmin, support=support, load=load, passive=passive)


def signpost(shape: Plane, volfrac: float, rmin: float) -> Definition:
    """Return a post under wind on its upper third and a weight at its side; the larger of their compliances counts."""
    x, y = shape
    load = [Load(region=box(0, 2 * y // 3, 0, y), force=[1.0, 0.0]), down(box(x, y, x, y), 1)]
    support = [Support(region=box(x // 3, 0, 2 * x // 3, 0), fix="xy")]
    return named("signpost", "ours", shape, volfrac, rmin, objective="worst", support=support, load=load)


def strut(shape: Plane, volfrac: float, rmin: float) -> Definition:
    """Return a slender beam between two walls, a load at a third of its span."""
    x, y = shape
    support = [Support(region=box(0, 0, 0, y), fix="xy"), Support(region=box(x, 0, x, y), fix="xy")]
    return named("strut", "ours", shape, volfrac, rmin, support=support, load=[down(box(x // 3, 0, x // 3, 0))])


def corners(shape: Plane, volfrac: float, rmin: float, low: float) -> Definition:
    """Return an evenly heated plate that is cooled at two opposite corners."""
    x, y = shape
    support = [Support(region=box(0, 0, 3, 0), fix="T"), Support(region=box(x - 3, y, x, y), fix="T")]
    return named(
        "corners", "ours", shape, volfrac, rmin, physics="heat", Emin=low, support=support, load=[heat(box(0, 0, x, y), float(x * y))]
    )


def fins(shape: Plane, volfrac: float, rmin: float, low: float) -> Definition:
    """Return a plate that is heated on one side only and cooled along half of the other."""
    x, y = shape
    support = [Support(region=box(0, 0, x // 2, 0), fix="T")]
    return named("fins", "ours", shape, volfrac, rmin, physics="heat", Emin=low, support=support, load=[heat(box(0, y, x, y), float(x))])


def pushed(shape: Plane, volfrac: float, rmin: float) -> Definition:
    """Return a block held along its lower side, pushed in its middle and pulled at its upper corner, one at a time."""
    x, y = shape
    load = [Load(region=box(x // 2, y // 2, x // 2, y // 2), force=[1.0, 0.0]), Load(region=box(x, y, x, y), force=[0.5, 1.0], case=1)]
    return named("pushed", "ours", shape, volfrac, rmin, support=[Support(region=box(0, 0, x // 2, 0), fix="xy")], load=load)


def table(shape: Space, volfrac: float, rmin: float) -> Definition:
    """Return a solid plate on four feet under an even load."""
    x, y, z = shape
    support = [Support(region=box(a, 0, b, a + 2, 0, b + 2), fix="xyz") for a in (0, x - 2) for b in (0, z - 2)]
    passive = [Passive(region=box(0, y - 1, 0, x, y, z), density=1.0)]
    return named("table", "ours", shape, volfrac, rmin, support=support, load=[sinking(box(0, y, 0, x, y, z))], passive=passive)


def console(shape: Space, volfrac: float, rmin: float) -> Definition:
    """Return a bracket on four bolts, a load along its lower far edge."""
    x, y, z = shape
    support = [Support(region=box(0, a, b, 0, a + 2, b + 2), fix="xyz") for a in (0, y - 2) for b in (0, z - 2)]
    return named("console", "ours", shape, volfrac, rmin, support=support, load=[sinking(box(x, 0, 0, x, 0, z))])


def stool(shape: Space, volfrac: float, rmin: float) -> Definition:
    """Return a seat on three feet under an inclined load."""
    x, y, z = shape
    feet = [box(0, 0, 0, 2, 0, 2), box(x - 2, 0, 0, x, 0, 2), box(x // 2 - 1, 0, z - 2, x // 2 + 1, 0, z)]
    load = [Load(region=box(x // 3, y, z // 3, 2 * x // 3, y, 2 * z // 3), force=[0.2, -1.0, 0.1])]
    return named("stool", "ours", shape, volfrac, rmin, support=[Support(region=foot, fix="xyz") for foot in feet], load=load)


def lamp(shape: Space, volfrac: float, rmin: float) -> Definition:
    """Return what hangs from the middle of a ceiling, with a load at each of its lower corners."""
    x, y, z = shape
    support = [Support(region=box(x // 2 - 2, y, z // 2 - 2, x // 2 + 2, y, z // 2 + 2), fix="xyz")]
    load = [sinking(box(a, 0, b, a, 0, b)) for a in (0, x) for b in (0, z)]
    return named("lamp", "ours", shape, volfrac, rmin, support=support, load=load)


def lintel(shape: Space, volfrac: float, rmin: float) -> Definition:
    """Return a beam on two edges, a load on a strip of its upper face beside the middle."""
    x, y, z = shape
    support = [Support(region=box(0, 0, 0, 1, 0, z), fix="xyz"), Support(region=box(x - 1, 0, 0, x, 0, z), fix="yz")]
    return named("lintel", "ours", shape, volfrac, rmin, support=support, load=[sinking(box(x // 3, y, 0, x // 3 + 2, y, z))])


def blade(shape: Space, volfrac: float, rmin: float) -> Definition:
    """Return a thin plate, clamped at one end, loaded at a corner of the other: across it, and along, one at a time."""
    x, y, z = shape
    tip = box(x, 0, z, x, y, z)
    load = [sinking(tip), Load(region=tip, force=[0.0, 0.0, 1.0], case=1)]
    return named("blade", "ours", shape, volfrac, rmin, support=[Support(region=box(0, 0, 0, 0, y, z), fix="xyz")], load=load)


def vault(shape: Space, volfrac: float, rmin: float) -> Definition:
    """Return a roof between two edges on the ground under an even load on its upper face."""
    x, y, z = shape
    support = [Support(region=box(0, 0, 0, 1, 0, z), fix="xyz"), Support(region=box(x - 1, 0, 0, x, 0, z), fix="xyz")]
    return named("vault", "ours", shape, volfrac, rmin, support=support, load=[sinking(box(0, y, 0, x, y, z))])


def derrick(shape: Space, volfrac: float, rmin: float) -> Definition:
    """Return a tower: pulled down, and to either of two sides, one at a time."""
    x, y, z = shape
    top = box(x // 2 - 1, y, z // 2 - 1, x // 2 + 1, y, z // 2 + 1)
    load = [sinking(top), Load(region=top, force=[0.3, 0.0, 0.0], case=1), Load(region=top, force=[0.0, 0.0, 0.3], case=2)]
    return named("derrick", "ours", shape, volfrac, rmin, support=[Support(region=box(0, 0, 0, x, 0, z), fix="xyz")], load=load)


def cooler(shape: Space, volfrac: float, rmin: float, low: float) -> Definition:
    """Return an evenly heated block that is cooled in the middle of its lower face."""
    x, y, z = shape
    support = [Support(region=box(x // 2 - 2, 0, z // 2 - 2, x // 2 + 2, 0, z // 2 + 2), fix="T")]
    load = [heat(box(0, 0, 0, x, y, z), float(x * y * z))]
    return named("cooler", "ours", shape, volfrac, rmin, physics="heat", Emin=low, support=support, load=load)


def wire(shape: Space, volfrac: float, rmin: float, low: float) -> Definition:
    """Return a block that leads the heat of two patches to a cold edge."""
    x, y, z = shape
    load = [heat(box(x, 0, 0, x, 2, 2), 1.0), heat(box(x // 2, y, z - 2, x // 2 + 2, y, z), 1.0)]
    support = [Support(region=box(0, 0, 0, 0, y, 0), fix="T")]
    return named("wire", "ours", shape, volfrac, rmin, physics="heat", Emin=low, support=support, load=load)


def sinking(region: list[list[int]]) -> Load:
    """Return a load straight down, in space."""
    return Load(region=region, force=[0.0, -1.0, 0.0])


def heat(region: list[list[int]], power: float) -> Load:
    """Return heat that enters."""
    return Load(region=region, force=[power])


if __name__ == "__main__":
    main()
