"""What optimizes: a rule turns the oracle's answers into moves. It never calls the problem."""

import abc

import equinox as eqx
from jaxtyping import PyTree

from .problem import Endpoint, Evaluation
from .tree import Flag


class Move(eqx.Module):
    """A rule's answer to one evaluation.

    - `step`: the next trial is reached along `step` from the base; a tangent or an `Endpoint`.
    - `accept`: does the point just evaluated become the base?
    - `recall`: before stepping, go back to the point of lowest finite value that the driver has seen. How a guard
      leaves a bad stretch: a rule sees no points, so it can only ask for the best one by name.

    A line search or a trust region needs nothing more: propose, look at the next evaluation, decline it
    (`accept=False`) and propose a shorter step from the same base.
    """

    step: PyTree | Endpoint
    accept: Flag
    recall: Flag = False


class AbstractRule(eqx.Module):
    """An update rule, hand-written or learned: weights are just leaves.

    The first `step` is asked with the evaluation that `init` saw, at the starting point.
    """

    @abc.abstractmethod
    def init(self, evaluation: Evaluation) -> PyTree:
        """Return the state before the first step. The evaluation lends its shapes and, if wanted, its values."""

    @abc.abstractmethod
    def step(self, evaluation: Evaluation, state: PyTree) -> tuple[Move, PyTree]:
        """Answer the evaluation of the newest trial; the state's structure and shapes never change."""
