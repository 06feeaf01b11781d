from . import (
    bench as bench,
    core as core,
    farm as farm,
    meta as meta,
    pinn as pinn,
    plot as plot,
    rules as rules,
    runs as runs,
    scf as scf,
    study as study,
    topopt as topopt,
)
from .core.anchored import AbstractAnchored as AbstractAnchored
from .core.gauss_newton import GaussNewton as GaussNewton
from .core.implicit import Implicit as Implicit
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
from .core.sensitivity import sensitivity as sensitivity
from .core.stop import Stop as Stop
from .core.weights import load_weights as load_weights, save_weights as save_weights
from .scf.method.accelerate import accelerate as accelerate
from .study.study import Study as Study

__version__: str
