from .bratu import Bratu as Bratu
from .cluster import Cluster as Cluster
from .physics import AbstractPhysics as AbstractPhysics, Smooth as Smooth
from .pulse import Pulse as Pulse
from .reaction import Reaction as Reaction
from .rod import Rod as Rod
from .sinusoids import Regression as Regression, Sinusoids as Sinusoids
from .trainings import Minibatches as Minibatches, Trainings as Trainings
