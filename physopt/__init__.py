"""physopt: physics optimization that learns how to optimize.

A problem is an expensive oracle with a cheap model; a rule turns the oracle's answers into moves; what is learned is
the model, the start and the control. `minimize` lets a problem and a rule meet; `accelerate` does it for a PySCF mean field.
"""

from typing import TYPE_CHECKING, Any

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
from .core.run import Progress as Progress, Solution as Solution, minimize as minimize
from .core.stop import Stop as Stop

if TYPE_CHECKING:
    from .faces.pyscf import accelerate as accelerate

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # PySCF is heavy and absent on some platforms: only its face imports it, and only when asked for.
    if name == "accelerate":
        from .faces.pyscf import accelerate

        return accelerate
    raise AttributeError(f"module 'physopt' has no attribute {name!r}")
