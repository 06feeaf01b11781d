"""Safe loading of libraries that have side effects when they are loaded.

In the working directory PySCF executes `.pyscf_conf.py`, and evaluates a file that has the name of a basis set; Matplotlib reads
`matplotlibrc`. JAX ends the process if it finds too little memory.
"""

import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

JAX_NEEDS = 2000  # MB of address space; measured: with 1000 it ends the process, with 2000 it does not
NO_SETTINGS = Path(__file__).with_name("pyscf_conf.py")
Execute = Callable[[ModuleType], None]


@contextmanager
def guarded() -> Iterator[None]:
    """Make these libraries ignore the working directory if they are loaded inside the `with` block."""
    finder, key = _Careful(), "PYSCF_CONFIG_FILE"
    named = key in os.environ
    if not named:
        own = Path(os.path.expanduser("~/.pyscf_conf.py"))  # noqa: PTH111  where there is no home, Path has an error
        os.environ[key] = str(own if own.is_absolute() and os.access(own, os.R_OK) else NO_SETTINGS)
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
        load = CAREFULLY.get(name)
        spec = None if load is None else PathFinder.find_spec(name, path)
        if load is None or spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module
        spec.loader.exec_module = lambda module: load(execute, module)
        return spec


def memory_limit() -> float:
    """Return the limit on the address space of this process, in MB; infinite if there is none."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return math.inf
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return math.inf if limit == resource.RLIM_INFINITY else limit / 1e6


def _with_memory(execute: Execute, module: ModuleType) -> None:
    """Load JAX where it has the memory that it reserves: with less its compiled part would end the process without a word."""
    if memory_limit() < JAX_NEEDS:
        raise MemoryError(f"JAX needs {JAX_NEEDS} MB")
    execute(module)


def _with_docstrings(execute: Execute, module: ModuleType) -> None:
    """Load PySCF where there are docstrings, as it builds some of its own from others."""
    if sys.flags.optimize > 1:
        raise ValueError("PySCF needs the docstrings that PYTHONOPTIMIZE=2 (python -OO) takes away: unset it, or set it to 1.")
    execute(module)


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


CAREFULLY = {"jax": _with_memory, "matplotlib": _in_the_package, "pyscf": _with_docstrings, "pyscf.gto.basis": _without_files}
