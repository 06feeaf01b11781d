"""The names of the core that belong to farming."""

from physopt.core.devices import sharded
from physopt.core.processes import Processes
from physopt.core.tasks import LostTaskError, UnequalWorkersError

__all__ = ["LostTaskError", "Processes", "UnequalWorkersError", "sharded"]
