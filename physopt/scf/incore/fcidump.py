"""Read FCIDUMP files: integrals over orthonormal orbitals as text."""

import math
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from .integrals import Integrals, refuse_large

LARGEST = 2**30  # bytes of a file
SAME = 1e-10  # hartree: an integral that is given twice may differ by so much
_ENTRY = re.compile(r"([A-Za-z0-9_]+)\s*=\s*([^=]*?)(?=,?\s*[A-Za-z0-9_]+\s*=|$)", re.DOTALL)


class FCIDUMPError(ValueError):
    """A file is no FCIDUMP file of one determinant's orbitals; the message names the line."""


def read_fcidump(path: str | Path) -> Integrals:
    r"""Read the integrals of an FCIDUMP file.

    The file has a namelist `&FCI NORB=.., NELEC=.., MS2=.., &END`, and lines `value i j k l` with $(ij|kl)$, `value i j 0 0` with
    $h_{ij}$, and `value 0 0 0 0` with the constant, in hartree; of equal integrals, such as $(ij|kl)$ and $(ji|kl)$, one is enough. Lines
    `value i 0 0 0`, orbital energies, are left out. The orbitals are real and orthonormal.

    **Raises:** `FCIDUMPError` for anything else: with the number of the line, what it says, and what belongs there.

    ??? cite "Reference"
        Knowles, Handy, "A determinant based full configuration interaction program", *Comput. Phys. Commun.* 54 (1989) 75.
    """
    path = Path(path)
    if path.stat().st_size > LARGEST:
        raise FCIDUMPError(f"{path}: is larger than {LARGEST >> 30} GiB.")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    size, electrons, first = _header(path, lines)
    one, two, constant = np.full((size, size), np.nan), np.full((size,) * 4, np.nan), np.array(np.nan)
    for number, line in enumerate(lines[first:], first + 1):
        if not line.strip():
            continue
        value, (p, q, r, s) = _entry(path, number, line, size)
        array, places = constant, [()]
        if p and q and r and s:
            array, places = two, [(*a, *b) for u, v in (((p, q), (r, s)), ((r, s), (p, q))) for a in (u, u[::-1]) for b in (v, v[::-1])]
        elif p and q and not (r or s):
            array, places = one, [(p, q), (q, p)]
        elif p and not (q or r or s):
            continue  # an orbital energy
        elif p or q or r or s:
            raise FCIDUMPError(f"{path}, line {number}: {line.strip()!r} has a zero among its indices; write i j k l, i j 0 0 or 0 0 0 0.")
        before = float(array[tuple(index - 1 for index in places[0])])
        if abs(before - value) > SAME:  # false where there was none
            raise FCIDUMPError(f"{path}, line {number}: {line.strip()!r} gives an integral again, which was {before!r} before.")
        for place in places:
            array[tuple(index - 1 for index in place)] = value
    if np.isnan(one).all():
        raise FCIDUMPError(f"{path}: has no one-electron integrals (lines `value i j 0 0`); it may be cut off.")
    with jax.enable_x64(True):
        arrays = np.eye(size), np.nan_to_num(one), np.nan_to_num(two), np.nan_to_num(constant), np.zeros((size, size))
        return Integrals(*(jnp.asarray(array, float) for array in arrays), electrons=electrons)


def _header(path: Path, lines: list[str]) -> tuple[int, tuple[int, int], int]:
    """Return the number of orbitals, the electrons of each spin, and the line that the integrals begin in."""
    if not lines or not re.match(r"\s*[&$]FCI\b", lines[0], re.IGNORECASE):
        raise FCIDUMPError(f"{path}: begins with {(lines or [''])[0][:40]!r}; an FCIDUMP file begins with &FCI NORB=...")
    end = next((i for i, line in enumerate(lines) if re.search(r"[&$]END\b|/\s*$", line, re.IGNORECASE)), None)
    if end is None:
        raise FCIDUMPError(f"{path}: its header does not end; write &END after it.")
    text = re.sub(r"[&$](FCI|END)\b|/\s*$", " ", "\n".join(lines[: end + 1]), flags=re.IGNORECASE)
    given = {name.upper(): value.strip(" ,\n\t") for name, value in _ENTRY.findall(text)}
    if any(given.get(name, "0").upper().strip(".") in ("TRUE", "T", "1") for name in ("UHF", "IUHF")):
        raise FCIDUMPError(f"{path}: has orbitals for each spin (UHF); integrals over one set of orbitals are read.")
    numbers = []
    for name, default in (("NORB", None), ("NELEC", None), ("MS2", "0")):
        value = given.get(name, default)
        if value is None or not re.fullmatch(r"[+-]?\d{1,6}", value):
            raise FCIDUMPError(f"{path}: its header says {name} = {value}; it needs a whole number.")
        numbers.append(int(value))
    size, count, spin = numbers
    if not (size > 0 and 0 < count <= 2 * size and abs(spin) <= count and (count + spin) % 2 == 0 and (count + abs(spin)) // 2 <= size):
        raise FCIDUMPError(f"{path}: {count} electrons with MS2 = {spin} do not fit into {size} orbitals.")
    refuse_large(size)
    return size, ((count + spin) // 2, (count - spin) // 2), end + 1


def _entry(path: Path, number: int, line: str, size: int) -> tuple[float, list[int]]:
    words = line.split()
    try:
        value, indices = float(words[0].replace("D", "E").replace("d", "e")), [int(word) for word in words[1:]]
    except ValueError:
        value, indices = math.nan, []
    if len(indices) != 4 or not math.isfinite(value) or not all(0 <= index <= size for index in indices):
        raise FCIDUMPError(f"{path}, line {number}: {line.strip()[:60]!r} is no real value with four indices from 0 to NORB = {size}.")
    return value, indices
