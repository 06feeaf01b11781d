"""A folder of trained networks, from which the next training begins; any number of processes read and write it."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import PyTree

from physopt.meta.starts import Folder, Solve, Task, task_of
from physopt.meta.starts.neighbours import Solved
from physopt.pinn.network import Network
from physopt.pinn.problem import Problem

from .near import apart
from .neighbours import physical, scaled

MOST = 8  # networks that a training begins from: those with the nearest parameters


class Shelf:
    """Networks of one shape, trained on one problem with several parameters; the folder is made with the first.

    **Arguments:** `folder`: of the networks. `problem`, `network`: what is to be trained next.

    **Raises:** `ValueError` for a problem without parameters, of which there is only one.
    """

    def __init__(self, folder: str | Path, problem: Problem, network: Network, point: PyTree) -> None:
        if not problem.parameters:
            raise ValueError("A library tells problems apart by their parameters, and this one has none: write Problem(..., nu=0.01).")
        self._folder, self._problem, self._network = Folder(folder), problem, network
        flat, self._unravel = ravel_pytree(point)
        self._size = flat.size

    def solved(self) -> list[Solved]:
        """Return the recorded networks with the nearest parameters, in the units of the one that is to be trained."""
        wanted = self._task()
        found = [solve for solve in self._folder.solves(wanted.kind) if solve.point.size == self._size]
        found.sort(key=lambda solve: apart(solve.task.vector, wanted.vector))
        names = sorted(self._problem.parameters)
        order = [names.index(name) for name in self._problem.parameters]
        points = (np.asarray(ravel_pytree(scaled(self._network, self._unravel(jnp.asarray(solve.point))))[0]) for solve in found[:MOST])
        return [Solved(solve.task.vector[order], point) for solve, point in zip(found, points, strict=False)]

    def add(self, point: PyTree, error: float) -> None:
        """Write a trained network and its estimated error, if that is finite."""
        flat = np.asarray(ravel_pytree(physical(self._network, point))[0])
        if np.isfinite(error) and np.isfinite(flat).all():
            self._folder.add(Solve(self._task(), flat, error))

    def _task(self) -> Task:
        problem, shape = self._problem, self._network.shape
        words = {"of fields": " ".join(problem.fields), "of coordinates": " ".join(problem.coordinates), "of ends": str(shape.sides)}
        words |= {"of unknowns": " ".join(problem.unknowns), "of a network": f"{shape.width} {shape.depth}"}
        return task_of({**problem.parameters, **words})
