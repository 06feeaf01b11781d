"""The methods that a benchmark compares."""

from collections.abc import Iterable
from typing import Annotated

from cyclopts import Parameter

from physopt.core.extras import installed, need

Methods = Annotated[str | None, Parameter(help="Comma-separated; all that are installed if left out.")]


def chosen(methods: str | None, known: Iterable[str], packages: dict[str, str]) -> list[str]:
    """Return the methods asked for, by default all whose package is installed."""
    known = list(known)
    if methods is None:
        return [m for m in known if m not in packages or installed(packages[m])]
    names = [name.strip() for name in methods.split(",") if name.strip()]
    if not names or (unknown := [name for name in names if name not in known]):
        raise ValueError(f"--methods {methods!r}: {', '.join(unknown) if names else 'nothing'} is not one of {', '.join(known)}.")
    need(*(packages[name] for name in names if name in packages))
    return names
