from .answer import Answer as Answer
from .balance import (
    Relobralo as Relobralo,
    causal_weights as causal_weights,
    gradient_norm_weights as gradient_norm_weights,
    kernel_weights as kernel_weights,
)
from .conditions import At as At, Boundary as Boundary, Data as Data, Integral as Integral, Start as Start
from .domain import AbstractDomain as AbstractDomain, Ball as Ball, Box as Box, Cloud as Cloud
from .family import NetworkFamily as NetworkFamily
from .field import Field as Field
from .method.solve import solve as solve
from .method.train import Training as Training, train as train
from .network import FirstOrder as FirstOrder, Network as Network
from .poisson import (
    Poisson as Poisson,
    scatter as scatter,
    single_mode as single_mode,
    square_grid as square_grid,
)
from .problem import Problem as Problem
