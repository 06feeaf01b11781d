"""Update rules: a rule turns the oracle's answers into moves. It never calls the problem."""

import abc

import equinox as eqx
from jaxtyping import PyTree

from .problem import Endpoint, Evaluation
from .tree import Flag


class Move(eqx.Module):
    """A rule's answer to one evaluation.

    - `step`: the next trial is reached along `step` from the base; a tangent or an `Endpoint`.
    - `accept`: does the point just evaluated become the base?
    - `recall`: before stepping, go back to the point of lowest finite value that the driver has seen. A guard uses it to leave
      a bad stretch of a run, because a rule sees no points.

    A line search or a trust region needs nothing more: it proposes a trial step, looks at the next evaluation, and if needed
    rejects it (`accept=False`) and proposes a shorter step from the same base.
    """

    step: PyTree | Endpoint
    accept: Flag
    recall: Flag = False


class AbstractRule(eqx.Module):
    """An update rule, hand-written or learned: learned weights are leaves of the module.

    The first `step` gets the evaluation that `init` got, at the starting point.
    """

    @abc.abstractmethod
    def init(self, evaluation: Evaluation) -> PyTree:
        """Return the state before the first step. It may use the shapes and values of the evaluation."""

    @abc.abstractmethod
    def step(self, evaluation: Evaluation, state: PyTree) -> tuple[Move, PyTree]:
        """Answer the evaluation of the newest trial; the state's structure and shapes never change."""
