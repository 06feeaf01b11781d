"""Keep the command line apart from the working directory, which may be a stranger's: no module in it is imported.

A program that imports physopt is left alone: its working directory is its own. This module comes before all others, so it imports only what
every interpreter has loaded by then.
"""

import os
import sys


def forget_directory() -> None:
    """Take from the path on which modules are sought what depends on the working directory, if this process is the command line.

    `python -m` puts the directory there, and an empty or relative entry of `PYTHONPATH` means it or what lies in it.
    """
    arguments = sys.argv or [""]
    located = arguments[0] == "-m" and sys.orig_argv[-len(arguments)].removeprefix("-m") == "physopt"
    if not located and os.path.basename(arguments[0]) not in ("physopt", "physopt.exe", "physopt-script.py"):  # noqa: PTH119
        return
    unsafe = [os.path.abspath(entry) for entry in _entries() if not os.path.isabs(entry)]  # noqa: PTH100, PTH117
    if located and not sys.flags.safe_path:
        unsafe.append(sys.path[0])
    for entry in unsafe:
        if entry in sys.path:
            sys.path.remove(entry)


def environment(**more: str) -> dict[str, str]:
    """Return the environment for a child process: this one's, in whose `PYTHONPATH` nothing depends on the working directory."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in _entries() if os.path.isabs(entry)), **more}  # noqa: PTH117


def _entries() -> list[str]:
    listed = os.environ.get("PYTHONPATH", "")
    return listed.split(os.pathsep) if listed else []
