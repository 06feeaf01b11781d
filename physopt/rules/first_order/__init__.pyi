from .coordinatewise import AbstractCoordinatewise as AbstractCoordinatewise, coordinatewise as coordinatewise
from .mixture import Mixture as Mixture, mixture as mixture
from .per_coordinate import PerCoordinate as PerCoordinate
from .recurrent import Recurrent as Recurrent
from .schedule import Schedule as Schedule, schedule as schedule
from .shipped import LEARNED as LEARNED, OpenLoop as OpenLoop, learned as learned, untrained as untrained
