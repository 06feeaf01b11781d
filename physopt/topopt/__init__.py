"""Topology optimization with the SIMP law: the stiffest structure of a given volume."""

from .filters import DensityFilter as DensityFilter, SensitivityFilter as SensitivityFilter
from .model import Separable as Separable
from .problem import Compliance as Compliance
from .structure import Structure as Structure, half_mbb as half_mbb
