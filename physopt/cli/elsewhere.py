"""Libraries that look into the working directory when they are loaded or asked, and what they find there instead.

PySCF executes `.pyscf_conf.py`, and evaluates a file that has the name of a basis set; Matplotlib obeys `matplotlibrc`.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

NO_SETTINGS = Path(__file__).with_name("pyscf_conf.py")
Execute = Callable[[ModuleType], None]


@contextmanager
def guarded() -> Iterator[None]:
    """Load these libraries, if they are loaded meanwhile, such that they leave the working directory alone."""
    finder, key = _Careful(), "PYSCF_CONFIG_FILE"
    named = key in os.environ
    if not named:
        own = Path(os.path.expanduser("~/.pyscf_conf.py"))  # noqa: PTH111  where there is no home, Path has an error
        os.environ[key] = str(own if own.is_absolute() and own.is_file() else NO_SETTINGS)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if not named:
            os.environ.pop(key, None)


class _Careful:
    """Finds the modules that need care."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return how to load a module if it is one of them; a part of Python's protocol."""
        load = {"matplotlib": _in_the_package, "pyscf.gto.basis": _without_files}.get(name)
        spec = None if load is None else PathFinder.find_spec(name, path)
        if load is None or spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module
        spec.loader.exec_module = lambda module: load(execute, module)
        return spec


def _in_the_package(execute: Execute, module: ModuleType) -> None:
    """Load a module while the working directory is this package's."""
    here = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
    try:
        os.chdir(NO_SETTINGS.parent)
        execute(module)
    finally:
        os.fchdir(here)
        os.close(here)


def _without_files(execute: Execute, module: ModuleType) -> None:
    """Load PySCF's basis sets, and let no name of one be that of a file: a command only knows those that PySCF brings."""
    execute(module)
    path = SimpleNamespace(**{**vars(os.path), "isfile": lambda name: False})
    vars(module)["os"] = SimpleNamespace(**{**vars(os), "path": path})
