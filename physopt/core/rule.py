"""Update rules: a rule turns the oracle's answers into moves. It never calls the problem."""

import abc

import equinox as eqx
from jaxtyping import PyTree

from .problem import Endpoint, Evaluation
from .tree import Flag, Scalar, form


class Move(eqx.Module):
    """A rule's answer to one evaluation.

    - `step`: the next trial is reached along `step` from the base; a tangent or an `Endpoint`.
    - `accept`: does the point just evaluated become the base?
    - `recall`: before stepping, go back to the point of lowest finite value that the driver has seen. A guard uses it to leave
      a bad stretch of a run, because a rule sees no points.
    - `cost`: what the rule has spent on a model or problem of its own, in units of one full call of the oracle.

    A line search or a trust region needs nothing more: it proposes a trial step, looks at the next evaluation, and if needed
    rejects it (`accept=False`) and proposes a shorter step from the same base.
    """

    step: PyTree | Endpoint
    accept: Flag
    recall: Flag = False
    cost: Scalar = 0.0


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

    def take_up(self, evaluation: Evaluation, known: PyTree) -> PyTree:
        """Return the state to begin with, given the state of an earlier run at this point: by default that one.

        **Raises:** `ValueError` if it is none of this rule's, or one for a problem of another size.
        """
        if form(known) != form(self.init(evaluation)):
            raise ValueError(
                f"The state given is none of {type(self).__name__} for this problem: its arrays are others. "
                "Give that of a run of the same rule, or leave it out."
            )
        return known

    def known(self, state: PyTree) -> PyTree:
        """Return what this rule can take up of a state, its own or another rule's, on another problem; by default `None`: nothing."""
        return None

    def doubts(self, state: PyTree) -> bool:
        """Say whether the rule has stopped to believe the model or the cheap problem that it follows; by default it never does."""
        return False
