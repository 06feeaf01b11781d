"""Packages that only some work needs: which these are, and the sentence that says how to install one."""

import importlib.util
from typing import NamedTuple


class Package(NamedTuple):
    """A package that a plain installation does without.

    - `distribution`: its name where packages are installed from. `why`: what needs it. `extra`: the extra of physopt that brings it.
    """

    distribution: str
    why: str
    extra: str

    @property
    def sentence(self) -> str:
        """What needs the package, and how to install it."""
        return f"{self.why}: pip install 'physopt[{self.extra}]'"


# By the name that is imported.
OPTIONAL = {
    "matplotlib": Package("matplotlib", "pictures need Matplotlib", "plot"),
    "PIL": Package("pillow", "image masks need Pillow", "plot"),
    "skimage": Package("scikit-image", "surfaces of designs need scikit-image", "mesh"),
    "trimesh": Package("trimesh", "STL files need trimesh", "mesh"),
    "pyevtk": Package("pyevtk", "VTI files need PyEVTK", "mesh"),
    "openorbitaloptimizer": Package("openorbitaloptimizer-pyscf", "the method ooo needs OpenOrbitalOptimizer", "bench"),
    "optuna": Package("optuna", "the tuning of rules needs Optuna", "bench"),
    "optimistix": Package("optimistix", "the method optimistix-lm needs optimistix", "bench"),
}


class MissingExtraError(ImportError):
    """A package of an extra is not installed; the message is one sentence that says what needs it and how to install it."""


def installed(module: str) -> bool:
    """Tell whether a package could be imported, without loading it."""
    return importlib.util.find_spec(module) is not None


def need(*modules: str) -> None:
    """Raise `MissingExtraError` for the first of some optional packages, by the names of `OPTIONAL`, that is not installed."""
    for module in modules:
        if not installed(module):
            raise MissingExtraError(OPTIONAL[module].sentence, name=module)
