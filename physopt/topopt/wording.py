"""Error messages for entries of a problem file, with what to write instead."""

import difflib
import re
import reprlib
import typing
from collections.abc import Mapping
from typing import Any

import msgspec

EXAMPLES = {
    "shape": "shape = [60, 20]",
    "volfrac": "volfrac = 0.4",
    "rmin": "rmin = 2.4",
    "penal": "penal = 3.0",
    "region": "region = [[0, 0], [0, 20]], its lower and its upper corner in whole numbers of elements",
    "fix": 'fix = "xy"',
    "force": "force = [0.0, -1.0]",
    "direction": "direction = [1.0, 0.0]",
    "stiffness": "stiffness = [0.1, 0.0]",
    "density": "density = 0.0",
    "weights": "weights = [1.0, 2.0]",
    "mask": 'mask = "part.png"',
    "stl": 'stl = "part.stl"',
    "solid": 'solid = "frame.png"',
    "name": 'name = "bracket"',
}
EXAMPLES |= {table: f"[[{table}]] in a line of its own, and its entries below" for table in ("support", "load", "output", "spring")}
EXAMPLES |= {table: f"[[{table}]] in a line of its own, and its entries below" for table in ("passive", "continuation")}
EXAMPLES["space"] = "[space] in a line of its own, and its entries below"


def check_text(what: str, text: str, longest: int) -> None:
    """Raise `ValueError` for text that could be taken for a path or a command to a terminal, or is longer than allowed."""
    if (size := len(text.encode(errors="replace"))) > longest:
        raise ValueError(f"{what} takes {size} bytes; write at most {longest}")
    if not text.isprintable():
        raise ValueError(f"{what} is {text!r}, which holds a line break or an invisible character; write plain text on one line")
    if what == "name" and (not text.strip() or text[0] == "." or set(text) & set("/\\")):
        raise ValueError(f"name is {text!r}, but files are named after it: write text that does not begin with a dot, without / and \\")


def explained(error: msgspec.ValidationError, root: type[msgspec.Struct], content: Mapping[str, Any]) -> str:
    """Return what msgspec found in the `content` of a file, where, what is there, and what is allowed."""
    found, _, path = str(error).partition(" - at `$.")
    path = path.removesuffix("`")
    value = f": it is {reprlib.repr(_value(path, content))}" if found.startswith("Expected") else ""
    advice = _advice(found, path, re.sub(r"\[\d+\]", "", path).rsplit(".")[-1], root)
    return f"{f'{path}: ' if path else ''}{found}{value}{f'; {advice}' if advice else ''}."


def _value(path: str, content: Any) -> Any:
    for name, index in re.findall(r"(\w+)|\[(\d+)\]", path):
        content = content[name or int(index)]
    return content


def _advice(found: str, path: str, entry: str, root: type[msgspec.Struct]) -> str:
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", found, re.DOTALL):
        return _allowed(unknown[1], _at(path, root), root)
    if missing := re.fullmatch(r"Object missing required field `(.*)`", found):
        return f"write {EXAMPLES.get(missing[1], missing[1])}, for example"
    if found.startswith("Invalid enum value"):
        *before, _ = path.split(".")
        kind = typing.get_type_hints(_at(".".join(before), root))[entry]
        return f"write one of {', '.join(map(repr, typing.get_args(kind)))}"
    if found.startswith("Expected `array`, got `object`") and path == entry:
        return f"write [[{entry}]] with two brackets, not [{entry}], as there may be several"
    return f"write {EXAMPLES[entry]}, for example" if entry in EXAMPLES else ""


def _allowed(unknown: str, owner: type[msgspec.Struct], root: type[msgspec.Struct]) -> str:
    names = owner.__struct_fields__
    if owner is not root and unknown in root.__struct_fields__:
        if EXAMPLES.get(unknown, "").startswith("["):
            return f"write {EXAMPLES[unknown]}"
        return f"in a file, write {unknown} above the first line in brackets: what follows one belongs to it"
    near = difflib.get_close_matches(unknown, names, n=1)
    return f"{f'did you mean {near[0]}? ' if near else ''}allowed are {', '.join(names)}"


def _at(path: str, root: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return the kind of table at a path such as "load[0]"."""
    kind: Any = root
    for name in filter(None, re.sub(r"\[\d+\]", "", path).split(".")):
        hint = typing.get_type_hints(kind)[name]
        kind = next((part for part in (hint, *typing.get_args(hint)) if isinstance(part, type) and issubclass(part, msgspec.Struct)), kind)
    return kind
