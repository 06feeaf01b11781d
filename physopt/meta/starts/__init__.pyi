from .curvature import Curvature as Curvature
from .folder import Folder as Folder, UnreadableSolveWarning as UnreadableSolveWarning
from .maps import Maps as Maps, affine_weights as affine_weights
from .modes import LowRank as LowRank, Modes as Modes, low_rank as low_rank, modes_of as modes_of
from .process import Kernel as Kernel, Process as Process
from .solve import Solve as Solve
from .starts import Start as Start, Starts as Starts
from .task import Scaling as Scaling, Task as Task, named_like as named_like, task_of as task_of
