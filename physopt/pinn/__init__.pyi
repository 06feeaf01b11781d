from .method.solve import Trained as Trained, solve as solve
from .model import GaussNewton as GaussNewton
from .poisson import (
    Poisson as Poisson,
    PoissonFamily as PoissonFamily,
    scatter as scatter,
    single_mode as single_mode,
    square_grid as square_grid,
)
