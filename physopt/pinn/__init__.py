"""Physics-informed networks: residuals of differential equations, lowered by Gauss-Newton."""

from .model import GaussNewton as GaussNewton
from .poisson import Poisson as Poisson, PoissonFamily as PoissonFamily, scatter as scatter, single_mode as single_mode
