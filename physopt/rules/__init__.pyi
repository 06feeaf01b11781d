from . import first_order as first_order
from .as_optax import as_optax as as_optax
from .control import Control as Control
from .corrected import Corrected as Corrected
from .diis import (
    DIIS as DIIS,
    AbstractShift as AbstractShift,
    DynamicShift as DynamicShift,
    StaticShift as StaticShift,
    adiis_cdiis as adiis_cdiis,
    cdiis as cdiis,
    response_diis as response_diis,
)
from .from_optax import FromOptax as FromOptax
from .gradient import GradientDescent as GradientDescent
from .guard import Guard as Guard
from .lbfgs import LBFGS as LBFGS
from .learned import Head as Head, Span as Span
from .mirror import MirrorDescent as MirrorDescent
from .mixers import (
    AbstractMixer as AbstractMixer,
    AugmentedRoothaanHall as AugmentedRoothaanHall,
    Blend as Blend,
    Commutator as Commutator,
    EnergyInterpolation as EnergyInterpolation,
)
from .mma import GCMMA as GCMMA, MMA as MMA, Poles as Poles
from .model_step import ModelStep as ModelStep
from .moments import Eigenbasis as Eigenbasis, Moments as Moments
from .oc import OptimalityCriteria as OptimalityCriteria
from .search import AbstractSearch as AbstractSearch, Backtracking as Backtracking, FullStep as FullStep
from .self_scaled import SelfScaledBroyden as SelfScaledBroyden
from .soap import soap as soap
from .trust import TrustRegion as TrustRegion
from .watch import Watch as Watch
