"""A strict reader of XYZ files from unknown sources. Nothing in a file is ever evaluated."""

import dataclasses
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

MAX_BYTES = 10 * 2**20
MAX_ATOMS = 10_000
MAX_FRAMES = 10_000
MAX_COORDINATE = 1e4  # angstrom
MIN_DISTANCE = 0.1  # angstrom

ELEMENTS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd "
    "Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac "
    "Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
).split()
_NUCLEAR_CHARGE = {symbol: z for z, symbol in enumerate(ELEMENTS, start=1)}

# `float` alone would also take "nan", "1_0" and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eEdD][+-]?[0-9]{1,4})?")
_SETTING = re.compile(r"(?<!\w)(charge|spin|mult|multiplicity|lattice|properties|xc|basis|rohf)\s*=\s*(\S*)", re.IGNORECASE)
_XC = re.compile(r"[A-Za-z0-9+*.,_\-]{1,60}")
_BASIS = re.compile(r"[A-Za-z0-9+*(),\-]{1,40}")


class XYZError(ValueError):
    """A malformed or ambiguous XYZ file; the message names file and line."""


@dataclasses.dataclass(frozen=True)
class Molecule:
    """Nuclei and electron count.

    - `symbols`: element symbols. `coords`: positions in angstrom.
    - `charge`: in elementary charges. `spin`: number of unpaired electrons, 2S, as in PySCF.
    - `comment`: line 2 of the file, for people only.
    - `xc`, `basis`: names that the file gives for its case, as written; `None` if it gives none.
    - `rohf`: whether it asks for a restricted open shell.
    """

    symbols: tuple[str, ...]
    coords: Float[np.ndarray, "atom 3"]
    charge: int = 0
    spin: int = 0
    comment: str = ""
    xc: str | None = None
    basis: str | None = None
    rohf: bool = False

    @property
    def num_electrons(self) -> int:
        r"""Return the number of electrons, $\sum_A Z_A - q$."""
        return sum(_NUCLEAR_CHARGE[s] for s in self.symbols) - self.charge

    @property
    def atoms(self) -> list[tuple[str, tuple[float, float, float]]]:
        """Return `[(symbol, (x, y, z)), ...]` in angstrom: the only form in which a user's file may reach PySCF."""
        return [(s, (float(x), float(y), float(z))) for s, (x, y, z) in zip(self.symbols, self.coords, strict=True)]


def read_xyz(path: str | os.PathLike[str], *, charge: int | None = None, spin: int | None = None) -> Molecule:
    """Read the one molecule of an XYZ file.

    Line 1 is the number of atoms, line 2 a comment that may set `charge=0 spin=0`, then one `symbol x y z` per atom in
    angstrom; further columns are ignored. A case of its own level of theory sets `xc=pbe basis=sto-3g rohf=1` on line 2, too.

    **Arguments:**

    - `charge`, `spin`: override the file's; `spin` is 2S.

    **Raises:** `XYZError` if the file is anything else, has several frames, or its electrons cannot have this spin;
    `OSError` if it cannot be read.
    """
    frames = _frames(path, charge, spin)
    molecule = next(frames)
    if next(frames, None) is not None:
        raise XYZError(f"{os.fspath(path)}: holds more than one frame where one molecule is wanted. Split it, or use read_frames.")
    return molecule


def read_frames(path: str | os.PathLike[str], *, charge: int | None = None, spin: int | None = None) -> list[Molecule]:
    """Read all frames of an XYZ file: a scan, an optimization or a trajectory. See `read_xyz`."""
    return list(_frames(path, charge, spin))


def check_basis_name(name: str) -> str:
    """Return `name` if it can only be the name of a basis set.

    PySCF opens a basis string that is the path of a file and evaluates what it finds.

    **Raises:** `ValueError` for anything but 1 to 40 of letters, digits and `+*(),-`, and for the path of an existing file.
    """
    if not _BASIS.fullmatch(name):
        raise ValueError(f"basis {_show(name)}: a basis set is named by 1 to 40 letters, digits and +*(),- as in def2-svp or 6-31g(d,p).")
    if Path(name).exists():
        raise ValueError(f"basis {name!r} is also the name of a file here, which PySCF would read instead. Run in another folder.")
    return name


def _frames(path: str | os.PathLike[str], charge: int | None, spin: int | None) -> Iterator[Molecule]:
    lines, row, count = _lines(path), 0, 0
    while row < len(lines) or count == 0:
        count += 1
        if count > MAX_FRAMES:
            raise _error(path, row, f"more than {MAX_FRAMES} frames. Split the file.")
        size = _count(path, lines, row)
        settings = _settings(path, lines[row + 1], row + 1)
        symbols, coords = _atoms(path, lines[row + 2 : row + 2 + size], row + 2)
        molecule = Molecule(
            symbols,
            coords,
            settings.get("charge", 0) if charge is None else charge,
            settings.get("spin", 0) if spin is None else spin,
            lines[row + 1].strip(),
            settings.get("xc"),
            settings.get("basis"),
            bool(settings.get("rohf", 0)),
        )
        _check_electrons(path, molecule, row + 1)
        yield molecule
        row += 2 + size


def _lines(path: str | os.PathLike[str]) -> list[str]:
    """Return the lines of a small, regular text file, without empty ones at the end."""
    # Non-blocking, so that opening a pipe returns; and one descriptor, so that what is checked is what is read.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise XYZError(f"{os.fspath(path)}: is not a regular file. Copy the molecule into one.")
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise XYZError(f"{os.fspath(path)}: is larger than {MAX_BYTES // 2**20} MiB, too large for a molecule. Split it.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _error(path, data[: error.start].count(b"\n"), "is not UTF-8 text. Save the file as plain text.") from None
    # Not str.splitlines, which also breaks lines at form feeds and other marks that editors do not show as line ends.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip().split("\n")
    for row, line in enumerate(lines):
        if not line.isprintable() and any(ord(c) < 32 and c != "\t" for c in line):
            raise _error(path, row, "has a control character. Save the file as plain text.")
    return lines


def _count(path: str | os.PathLike[str], lines: list[str], row: int) -> int:
    word = lines[row].strip()
    if not re.fullmatch("[0-9]{1,9}", word):
        raise _error(path, row, f"{_show(word)} is not a number of atoms. A frame begins with a line that holds only that.")
    size, left = int(word), len(lines) - row - 2
    if not 1 <= size <= MAX_ATOMS:
        raise _error(path, row, f"{size} atoms; a molecule has 1 to {MAX_ATOMS}.")
    if left < size:
        raise _error(path, row, f"promises {size} atoms, but only {max(left, 0)} lines follow the comment. Correct the count or the list.")
    return size


def _settings(path: str | os.PathLike[str], comment: str, row: int) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for key, value in _SETTING.findall(comment):
        key, value = key.lower(), value.rstrip(",;")
        if key == "lattice":
            raise _error(path, row, "declares a periodic cell; only molecules are computed here. Remove Lattice=...")
        if key == "properties":
            if not value.strip("\"'").startswith("species:S:1:pos:R:3"):
                raise _error(path, row, f"declares the columns {_show(value)}; they must begin with species:S:1:pos:R:3.")
            continue
        if key.startswith("mult"):
            raise _error(path, row, f"sets {key}; write spin=N instead, the number of unpaired electrons (multiplicity minus 1).")
        if key in settings:
            raise _error(path, row, f"sets {key} twice. Keep one.")
        settings[key] = _value(path, key, value, row)
    return settings


def _value(path: str | os.PathLike[str], key: str, value: str, row: int) -> int | str:
    if key == "xc" and not _XC.fullmatch(value):
        raise _error(path, row, f"xc={_show(value)} is not the name of a functional. Write xc=hf, xc=b3lyp or xc=lda,vwn, say.")
    if key == "basis" and not _BASIS.fullmatch(value):
        raise _error(path, row, f"basis={_show(value)} is not the name of a basis set. Write basis=def2-svp or basis=6-31g(d,p), say.")
    if key in ("xc", "basis"):
        return value
    if key == "rohf" and value not in ("0", "1"):
        raise _error(path, row, f"rohf={_show(value)} is neither 0 nor 1. Write rohf=1 for a restricted open shell.")
    if not re.fullmatch(r"[+-]?[0-9]{1,3}", value):
        raise _error(path, row, f"{key}={_show(value)} is not a whole number. Write {key}=0, say.")
    return int(value)


def _atoms(path: str | os.PathLike[str], lines: list[str], row: int) -> tuple[tuple[str, ...], Float[np.ndarray, "atom 3"]]:
    symbols, coords = [], np.empty((len(lines), 3))
    for i, line in enumerate(lines):
        words = line.split(maxsplit=4)[:4]
        if len(words) < 4:
            raise _error(path, row + i, f"{_show(line)} is not `symbol x y z`. Is the number of atoms above it right?")
        symbols.append(_symbol(path, words[0], row + i))
        coords[i] = [_coordinate(path, word, row + i) for word in words[1:]]
    _check_distances(path, coords, row)
    return tuple(symbols), coords


def _symbol(path: str | os.PathLike[str], word: str, row: int) -> str:
    if len(word) <= 2 and word.capitalize() in _NUCLEAR_CHARGE:
        return word.capitalize()
    if re.fullmatch("[0-9]{1,3}", word) and 1 <= int(word) <= len(ELEMENTS):
        raise _error(path, row, f"{word!r} is a number where an element symbol is wanted. Write {ELEMENTS[int(word) - 1]}.")
    raise _error(path, row, f"{_show(word)} is not an element symbol. Write H, C, Fe, ...")


def _coordinate(path: str | os.PathLike[str], word: str, row: int) -> float:
    if len(word) > 60 or not _NUMBER.fullmatch(word):
        raise _error(path, row, f"{_show(word)} is not a decimal number. Write coordinates in angstrom, such as -1.25 or 1.0D0.")
    value = float(word.upper().replace("D", "E"))
    if not abs(value) <= MAX_COORDINATE:
        raise _error(path, row, f"coordinate {_show(word)} is beyond {MAX_COORDINATE:g} angstrom. Is the unit right?")
    return value


def _check_distances(path: str | os.PathLike[str], coords: Float[np.ndarray, "atom 3"], row: int) -> None:
    # Two atoms in one cell of this size are closer than MIN_DISTANCE. Without this first look a file with
    # thousands of atoms in one place would cost the tree below all their pairs.
    cells = np.floor(coords / (MIN_DISTANCE / 3**0.5)).astype(np.int64)
    order = np.lexsort(cells.T)
    same = np.flatnonzero((cells[order][1:] == cells[order][:-1]).all(axis=1))
    pairs = {(int(order[k]), int(order[k + 1])) for k in same[:1]} or cKDTree(coords).query_pairs(MIN_DISTANCE)
    for pair in sorted(pairs)[:1]:
        first, second = sorted(pair)
        gap = float(np.linalg.norm(coords[first] - coords[second]))
        raise _error(
            path,
            row + second,
            f"atoms {first + 1} and {second + 1} are {gap:.3g} angstrom apart, less than {MIN_DISTANCE}. Remove one, or mend the unit.",
        )


def _check_electrons(path: str | os.PathLike[str], molecule: Molecule, row: int) -> None:
    electrons, charge, spin = molecule.num_electrons, molecule.charge, molecule.spin
    if electrons < 1:
        raise _error(path, row, f"charge={charge} leaves {electrons} electrons. Correct the charge.")
    if spin < 0 or spin > electrons or (electrons - spin) % 2:
        possible = electrons % 2
        raise _error(
            path,
            row,
            f"{electrons} electrons (charge={charge}) cannot have spin={spin} unpaired ones. "
            f"Write spin={possible}, {possible + 2}, ... or correct the charge.",
        )


def _error(path: str | os.PathLike[str], row: int, message: str) -> XYZError:
    return XYZError(f"{os.fspath(path)}, line {row + 1}: {message}")


def _show(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:37] + "...")
