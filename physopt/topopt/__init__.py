"""Topology optimization with the SIMP or the RAMP law: the best structure of a given volume."""

from .filters import DensityFilter as DensityFilter, SensitivityFilter as SensitivityFilter
from .interpolation import Power as Power, Ramp as Ramp
from .objective import MeanCompliance as MeanCompliance, Output as Output, WorstCompliance as WorstCompliance
from .problem import SIMP as SIMP
from .separable import Separable as Separable
from .structure import Structure as Structure, half_mbb as half_mbb
