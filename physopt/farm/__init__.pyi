from .problems import (
    AbstractTask as AbstractTask,
    EquationTask as EquationTask,
    MoleculeTask as MoleculeTask,
    StructureTask as StructureTask,
    tasks_of as tasks_of,
)
from .results import Result as Result, Results as Results
from .solve import run as run, solve as solve
from .workers import (
    LostTaskError as LostTaskError,
    Processes as Processes,
    UnequalWorkersError as UnequalWorkersError,
    sharded as sharded,
)
