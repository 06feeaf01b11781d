"""Write data/held-out/topology: structures of the literature, none of them drawn as the training's random ones are.

python data/build/topology.py
"""

from pathlib import Path
from typing import Any

from physopt.topopt.definition import Definition, Load, Passive, Support, changed, read_definition
from physopt.topopt.gallery import GALLERY

HELD_OUT = Path(__file__).parents[1] / "held-out"


def main() -> None:
    """Write all files."""
    write("topology", structures())


def write(name: str, definitions: list[Definition]) -> None:
    """Write the definitions into a folder of this name."""
    folder = HELD_OUT / name
    folder.mkdir(exist_ok=True)
    for definition in definitions:
        definition.problem()  # refuses what cannot be solved
        file = folder / f"{definition.name}.toml"
        file.write_text(toml(definition))
        assert read_definition(file) == definition


def structures() -> list[Definition]:
    """Return all problems, 64 to 256 elements wide in the plane."""
    found = [
        *(of("mbb", *case) for case in [((90, 30), 0.5, 3.6), ((152, 48), 0.4, 4.0), ((240, 80), 0.5, 6.0)]),
        *(of("cantilever", *case) for case in [((96, 60), 0.4, 3.0), ((160, 100), 0.4, 5.0), ((128, 64), 0.25, 3.0)]),
        *(of("bridge", *case) for case in [((120, 40), 0.3, 2.5), ((240, 80), 0.25, 4.0)]),
        *(of("l-bracket", *case) for case in [((100, 100), 0.3, 2.5), ((160, 160), 0.25, 4.0)]),
        *(of("heat-sink", *case) for case in [((80, 80), 0.4, 2.5), ((120, 120), 0.3, 3.0)]),
        of("inverter", (80, 40), 0.3, 2.5),
        *(corner(*case) for case in [((128, 64), 0.4, 3.0), ((192, 96), 0.3, 4.0)]),
        *(michell(*case) for case in [((128, 64), 0.3, 3.0), ((192, 96), 0.2, 4.0)]),
        *(causeway(*case) for case in [((128, 64), 0.3, 3.0), ((200, 80), 0.25, 3.0)]),
        *(two_loads(*case) for case in [((96, 96), 0.4, 3.0), ((160, 160), 0.3, 4.0)]),
        *(tower(*case) for case in [((64, 192), 0.3, 3.0), ((64, 128), 0.4, 4.0)]),
        *(wheel(*case) for case in [((128, 64), 0.3, 3.0), ((192, 96), 0.25, 4.0)]),
        *(holed(*case) for case in [((120, 80), 0.5, 3.0), ((180, 120), 0.4, 4.0)]),
        hook((96, 128), 0.35, 3.0),
        hanging((128, 128), 0.2, 3.0),
        changed(two_loads((96, 64), 0.4, 3.0), {"name": "two-loads-worst-96x64", "objective": "worst"}),
        of("cantilever-3d", (32, 16, 16), 0.15, 2.4),
        of("bridge-3d", (40, 16, 12), 0.2, 2.4),
        torsion((32, 12, 12), 0.25, 2.4),
    ]
    assert len({d.name for d in found}) == len(found) >= 30
    return found


def of(name: str, shape: tuple[int, ...], volfrac: float, rmin: float) -> Definition:
    """Return a problem of the gallery at another size."""
    made = GALLERY[name](shape)
    return changed(made, {"name": f"{name}-{'x'.join(map(str, shape))}", "volfrac": volfrac, "rmin": rmin})


def named(name: str, source: str, shape: tuple[int, ...], volfrac: float, rmin: float, **parts: Any) -> Definition:
    """Return a problem of these parts."""
    title = f"{name}-{'x'.join(map(str, shape))}"
    return Definition(name=title, source=source, shape=list(shape), volfrac=volfrac, rmin=rmin, **parts)


def box(*numbers: int) -> list[list[int]]:
    """Return a region from the coordinates of its lower corner and then of its upper."""
    half = len(numbers) // 2
    return [list(numbers[:half]), list(numbers[half:])]


def down(region: list[list[int]], case: int = 0, force: float = 1.0) -> Load:
    """Return a load straight down."""
    return Load(region=region, force=[0.0, -force], case=case)


def corner(shape: tuple[int, int], volfrac: float, rmin: float) -> Definition:
    """Return a beam clamped on the left and loaded at its lower right corner."""
    x, y = shape
    support = [Support(region=box(0, 0, 0, y), fix="xy")]
    return named("corner", "Sigmund (2001), section 4.1", shape, volfrac, rmin, support=support, load=[down(box(x, 0, x, 0))])


def michell(shape: tuple[int, int], volfrac: float, rmin: float) -> Definition:
    """Return Michell's arch: two pins below, a load between them."""
    x, y = shape
    support = [Support(region=box(0, 0, 1, 0), fix="xy"), Support(region=box(x - 1, 0, x, 0), fix="xy")]
    return named(
        "michell", "Michell, Phil. Mag. 8 (1904) 589", shape, volfrac, rmin, support=support, load=[down(box(x // 2, 0, x // 2, 0))]
    )


def causeway(shape: tuple[int, int], volfrac: float, rmin: float) -> Definition:
    """Return a road on two piers: an even load on top, solid below it."""
    x, y = shape
    support = [Support(region=box(x // 8, 0, x // 4, 0), fix="xy"), Support(region=box(3 * x // 4, 0, 7 * x // 8, 0), fix="xy")]
    top = [Passive(region=box(0, y - 2, x, y), density=1.0)]
    return named(
        "causeway", "Hoyer et al., arXiv:1909.04240", shape, volfrac, rmin, support=support, load=[down(box(0, y, x, y))], passive=top
    )


def two_loads(shape: tuple[int, int], volfrac: float, rmin: float) -> Definition:
    """Return a plate clamped on the left, loaded at either right corner, one at a time."""
    x, y = shape
    loads = [Load(region=box(x, y, x, y), force=[0.0, 1.0]), down(box(x, 0, x, 0), 1)]
    support = [Support(region=box(0, 0, 0, y), fix="xy")]
    return named("two-loads", "Sigmund (2001), section 4.2", shape, volfrac, rmin, support=support, load=loads)


def tower(shape: tuple[int, int], volfrac: float, rmin: float) -> Definition:
    """Return a mast that stands on the ground, under weight, wind from the left, and wind from the right."""
    x, y = shape
    top = box(x // 2 - 2, y, x // 2 + 2, y)
    loads = [down(top), Load(region=top, force=[0.3, 0.0], case=1), Load(region=top, force=[-0.3, 0.0], case=2)]
    return named("tower", "ours", shape, volfrac, rmin, support=[Support(region=box(0, 0, x, 0), fix="xy")], load=loads)


def wheel(shape: tuple[int, int], volfrac: float, rmin: float) -> Definition:
    """Return a beam on a pin and a roller with three loads below, one at a time."""
    x, y = shape
    support = [Support(region=box(0, 0, 1, 0), fix="xy"), Support(region=box(x - 1, 0, x, 0), fix="y")]
    loads = [down(box(k * x // 4, 0, k * x // 4, 0), k - 1) for k in (1, 2, 3)]
    return named(
        "wheel", "Allaire, Jouve, Comput. Methods Appl. Mech. Eng. 194 (2005) 3269", shape, volfrac, rmin, support=support, load=loads
    )


def holed(shape: tuple[int, int], volfrac: float, rmin: float) -> Definition:
    """Return a clamped beam with a prescribed opening, solid around its load."""
    x, y = shape
    passive = [
        Passive(region=box(x // 4, y // 3, x // 2, 2 * y // 3), density=0.0),
        Passive(region=box(x - 4, y // 2 - 3, x, y // 2 + 3), density=1.0),
    ]
    load, support = [down(box(x, y // 2, x, y // 2))], [Support(region=box(0, 0, 0, y), fix="xy")]
    return named("holed", "Andreassen et al. (2011), section 4.3", shape, volfrac, rmin, support=support, load=load, passive=passive)


def hook(shape: tuple[int, int], volfrac: float, rmin: float) -> Definition:
    """Return a hook: hung at its top, open on the right below it, loaded at the tip."""
    x, y = shape
    passive = [Passive(region=box(x // 2, y // 2, x, 3 * y // 4), density=0.0)]
    support = [Support(region=box(x // 4, y, x // 2, y), fix="xy")]
    return named("hook", "ours", shape, volfrac, rmin, support=support, load=[down(box(x, y // 2, x, y // 2))], passive=passive)


def hanging(shape: tuple[int, int], volfrac: float, rmin: float) -> Definition:
    """Return a load that hangs from two corners and is pulled aside, together."""
    x, y = shape
    support = [Support(region=box(0, y, 3, y), fix="xy"), Support(region=box(x - 3, y, x, y), fix="xy")]
    load = [Load(region=box(x // 2, y // 4, x // 2, y // 4), force=[0.5, -1.0])]
    return named("hanging", "ours", shape, volfrac, rmin, support=support, load=load)


def torsion(shape: tuple[int, int, int], volfrac: float, rmin: float) -> Definition:
    """Return a bar clamped at one end and twisted at the other by two pairs of forces."""
    x, y, z = shape
    half = y // 2
    loads = [
        Load(region=box(x, 0, half, x, 0, half), force=[0.0, 0.0, 1.0]),
        Load(region=box(x, y, half, x, y, half), force=[0.0, 0.0, -1.0]),
        Load(region=box(x, half, 0, x, half, 0), force=[0.0, -1.0, 0.0]),
        Load(region=box(x, half, z, x, half, z), force=[0.0, 1.0, 0.0]),
    ]
    support = [Support(region=box(0, 0, 0, 0, y, z), fix="xyz")]
    return named(
        "torsion", "Rozvany, Struct. Optim. 15 (1998) 42: a tube is the best torsion bar", shape, volfrac, rmin, support=support, load=loads
    )


def toml(definition: Definition) -> str:
    """Return the text of a definition: what differs from the defaults, tables last."""
    plain, tables = [], []
    for name in definition.__struct_fields__:
        value = getattr(definition, name)
        if isinstance(value, list) and value and hasattr(value[0], "__struct_fields__"):
            for part in value:
                lines = [f"{key} = {literal(getattr(part, key))}" for key in part.__struct_fields__]
                tables.append("\n".join([f"[[{name}]]", *lines]))
        elif value not in (None, [], "") and (name in ("shape", "volfrac") or value != _default(name)):
            plain.append(f"{name} = {literal(value)}")
    return "\n".join([*plain, "", *tables, ""])


def literal(value: Any) -> str:
    """Return a value as TOML writes it."""
    return f'"{value}"' if isinstance(value, str) else str(value)


def _default(name: str) -> Any:
    fields = Definition.__struct_fields__
    defaults = Definition.__struct_defaults__
    return dict(zip(fields[-len(defaults) :], defaults, strict=True)).get(name)


if __name__ == "__main__":
    main()
