r"""Starts and metrics for new tasks, learned from recorded solves; for any domain, over arrays alone.

A *task* is a vector $\mu$ of numbers of one *kind*; a *solve* is its solution $x(\mu)$, a vector, with the Hessian and the tangents
$dx/d\mu$ where they are known.

```py
from physopt.meta.starts import Folder, Solve, Starts, task_of

task = task_of({"nu": 0.01, "form": "sine"}, unknowns)   # numbers and arrays become the vector, words the kind
folder = Folder("solved")                                # any number of processes
folder.add(Solve(task, x, value, tangents=slopes, about={"steps": 12}))
solves = folder.solves(task.kind)
starts = Starts(np.stack([s.task.vector for s in solves]), np.stack([s.point for s in solves]), [s.tangents for s in solves])
starts.errors                # {"nearest": ..., "span": ..., "tangent": ..., "polynomial": ..., "values": ..., "tangents": ...}
point, name, doubt = starts(task.vector)                 # by the map with the lowest leave-one-out error
starts(task.vector, "tangent")                           # by one of them
```

`doubt` says in words why the start should not be used: the task differs where all recorded ones agree, it lies too far away, or the map is
not 3 times better than the nearest solution with one solve left out. It is empty if the start may be used. No call of an oracle is needed
for any of this. `Curvature` interpolates the Hessians, and says by how much that lowers the condition number of problems left out.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
