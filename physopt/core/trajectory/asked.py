"""Compare what a run was asked for with what a resumed run is asked for: a record belongs to its own problem only."""

import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .schema import software_versions

ABOUT = "about"  # numbers below this key are compared to six digits
UNKNOWN = "says nothing of itself"  # marks an object that could not be described
SHOWN = 4
# Those on which the last bits of results depend.
PACKAGES = ("physopt", "jax", "jaxlib", "numpy", "scipy", "pyscf")


class ResumedElsewhereWarning(UserWarning):
    """A run is resumed with other versions than it began with, or it is not known whether it was recorded for the same problem."""


def refuse_other(folder: Path, manifest: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise `ValueError`, with names and values, if the run in a folder was asked for something else.

    Warns if only versions differ, if the record is too old to say what it was asked for, or if an object could not be compared.
    """
    stored = manifest.get("asked")
    if not isinstance(stored, Mapping):
        _warn(f"{folder} is too old to say what it was asked for: make sure that problem and method are those it was begun with.")
        return
    if found := differences(stored, asked):
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise ValueError(
            f"{folder} holds a run for something else: {'; '.join(found[:SHOWN])}{more}. "
            "Resume it as it was begun, or record into another folder."
        )
    if silent := sorted(_unknown(asked, "")):
        _warn(
            f"{folder} is resumed, but {', '.join(silent[:SHOWN])} cannot be compared with what was recorded: give the class a method "
            "asked() that returns what it is, by names and values."
        )
    now, then = software_versions(), manifest.get("versions", {})
    known = [name for name in PACKAGES if name in now and name in then]
    other = [f"{name} {then[name]} (now {now[name]})" for name in known if then[name] != now[name]]
    if other:
        _warn(f"{folder} was begun with {', '.join(other)}: it goes on, but not bit for bit as an unbroken run would.")


def differences(stored: Any, now: Any) -> list[str]:
    """Return one phrase for each entry that differs, such as "volfrac was 0.4, is 0.2"."""
    before, after = dict(_leaves(stored, "")), dict(_leaves(now, ""))
    found: dict[str, str] = {}
    other: list[str] = []  # where a thing of another class stands
    for name in [*before, *(name for name in after if name not in before)]:
        if _same(before.get(name, _ABSENT), after.get(name, _ABSENT), name) or name.startswith(tuple(other)):
            continue
        change = f"was {_shown(before, name)}, is {_shown(after, name)}"
        found.setdefault(f"{name.rpartition('.')[2]} {change}", f"{name} {change}")  # a rule may hold a problem that says it again
        if name.endswith("class"):
            other.append(name.removesuffix("class"))
    # The start follows from the rest.
    rest = [phrase for phrase in found.values() if not phrase.startswith("start.")]
    return rest or list(found.values())


_ABSENT = object()


def _leaves(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping):
        for name, each in tree.items():
            yield from _leaves(each, f"{path}.{name}" if path else str(name))
    elif isinstance(tree, list | tuple):
        for index, each in enumerate(tree):
            yield from _leaves(each, f"{path}[{index}]")
    else:
        yield path, tree


def _same(before: Any, after: Any, name: str) -> bool:
    if f".{ABOUT}[" in name and isinstance(before, float) and isinstance(after, float):
        return math.isclose(before, after, rel_tol=1e-6, abs_tol=1e-9)
    return before is after or (before == after and isinstance(before, bool) == isinstance(after, bool))


def _shown(leaves: Mapping[str, Any], name: str) -> str:
    return str(leaves[name])[:80] if name in leaves else "not said"


def _unknown(tree: Any, path: str) -> Iterator[str]:
    if isinstance(tree, Mapping):
        if UNKNOWN in tree:
            yield f"{path} (a {tree.get('class')})"
        for name, each in tree.items():
            yield from _unknown(each, f"{path}.{name}" if path else str(name))
    elif isinstance(tree, list | tuple):
        for index, each in enumerate(tree):
            yield from _unknown(each, f"{path}[{index}]")


def _warn(text: str) -> None:
    warnings.warn(text, ResumedElsewhereWarning, stacklevel=5)
