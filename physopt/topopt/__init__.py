"""Topology optimization with the SIMP or the RAMP law: the best structure of a given volume."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from .filters import DensityFilter as DensityFilter, SensitivityFilter as SensitivityFilter
    from .interpolation import Power as Power, Ramp as Ramp
    from .objective import MeanCompliance as MeanCompliance, Output as Output, WorstCompliance as WorstCompliance
    from .problem import SIMP as SIMP
    from .separable import Separable as Separable
    from .structure import Structure as Structure, half_mbb as half_mbb

# Loaded when asked for: a problem file is read, and refused, without JAX.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "filters": ["DensityFilter", "SensitivityFilter"],
        "interpolation": ["Power", "Ramp"],
        "objective": ["MeanCompliance", "Output", "WorstCompliance"],
        "problem": ["SIMP"],
        "separable": ["Separable"],
        "structure": ["Structure", "half_mbb"],
    },
)
