"""Self-consistent fields from stored integrals, in JAX: traceable, differentiable, and for many geometries at once."""

from .determinant import Determinant
from .fcidump import read_fcidump
from .field import Field, solve
from .integrals import Integrals, stacked

__all__ = ["Determinant", "Field", "Integrals", "read_fcidump", "solve", "stacked"]
