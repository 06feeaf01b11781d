"""physopt: physics optimization that learns how to optimize.

A problem is an expensive oracle with a cheap model; a rule turns the oracle's answers into moves; what is learned is
the model, the start and the control. `minimize` lets a problem and a rule meet; `accelerate` does it for a PySCF mean field.
"""

from .apart import forget_directory

forget_directory()  # before all other imports; in a program that imports physopt it does nothing

from typing import TYPE_CHECKING  # noqa: E402

import lazy_loader  # noqa: E402

if TYPE_CHECKING:
    from .core.anchored import AbstractAnchored as AbstractAnchored
    from .core.iterate import History as History, unroll as unroll
    from .core.problem import (
        AbstractFamily as AbstractFamily,
        AbstractModel as AbstractModel,
        AbstractProblem as AbstractProblem,
        Endpoint as Endpoint,
        Euclidean as Euclidean,
        Evaluation as Evaluation,
    )
    from .core.recording import Recording as Recording
    from .core.rule import AbstractRule as AbstractRule, Move as Move
    from .core.run import Interrupted as Interrupted, Progress as Progress, Solution as Solution, minimize as minimize
    from .core.stop import Stop as Stop
    from .scf.method.accelerate import accelerate as accelerate

__version__ = "0.1.0"
_PARTS = {"bench", "core", "meta", "pinn", "plot", "rules", "scf", "topopt"}
# Loaded when asked for: JAX takes a second, which a command that refuses its arguments need not spend; PySCF is absent on some platforms.
__getattr__, __dir__, _names = lazy_loader.attach(
    __name__,
    submodules=_PARTS,
    submod_attrs={
        "core.anchored": ["AbstractAnchored"],
        "core.iterate": ["History", "unroll"],
        "core.problem": ["AbstractFamily", "AbstractModel", "AbstractProblem", "Endpoint", "Euclidean", "Evaluation"],
        "core.recording": ["Recording"],
        "core.rule": ["AbstractRule", "Move"],
        "core.run": ["Interrupted", "Progress", "Solution", "minimize"],
        "core.stop": ["Stop"],
        "scf.method.accelerate": ["accelerate"],
    },
)
# A star brings neither packages, whose names a program may have itself, nor PySCF, which may be absent.
__all__ = sorted({*_names} - _PARTS - {"accelerate"})  # pyright: ignore[reportUnsupportedDunderAll]
