"""physopt: fewer expensive evaluations for self-consistent fields, physics-informed networks and topology optimization.

A problem is an expensive oracle with a cheap model. An update rule turns the oracle's answers into moves. The model, the starting guess and
the control of the rule can be learned. `minimize` runs a rule on a problem; `accelerate` does this for a PySCF mean field.
"""

from .apart import forget_directory

forget_directory()  # before all other imports; in a program that imports physopt it does nothing

import lazy_loader  # noqa: E402

__version__ = "0.1.0"
# The names stand in `__init__.pyi`. Loaded when asked for: JAX takes a second, which a command that refuses its arguments need not spend;
# PySCF is absent on some platforms.
__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)
_ROOMS = {"bench", "core", "farm", "meta", "pinn", "plot", "rules", "runs", "scf", "study", "topopt"}
# A star brings neither packages, whose names a program may have itself, nor PySCF, which may be absent.
__all__ = sorted({*_names} - _ROOMS - {"accelerate"})  # pyright: ignore[reportUnsupportedDunderAll]
