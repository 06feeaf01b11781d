"""What a user asks a study to solve: a function to be minimized, or residuals to be made small, within bounds or without."""

import abc
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .box import Box
from .boxed import GaussNewton, QuasiNewton, descend
from .classical import PORTFOLIO, Rule, Trial, bounded, newton, quasi_newton
from .curvature import hessian_of, symmetric
from .oracle import AbstractOracle, Answer, Function, Hessian, Oracle, Product, matrix_of
from .posed import Inverse
from .residuals import Jacobian, Residual, Residuals, levenberg_marquardt

Tasked = Callable[[Float[ndarray, " d"]], Any]  # a user's function of x, for another task


FIT, BOUNDED = {"residuals": True}, {"bounded": True}
MARKS = ({}, FIT, BOUNDED, {**FIT, **BOUNDED})


class AbstractQuestion(abc.ABC):
    """What is solved: oracles of it, the rules that solve it, and what is known of its curvature."""

    box: Box
    knows_task: bool
    rules: Mapping[str, Rule]  # from a cold start, the best known first
    learns_metric: bool
    counted: str  # the name that SciPy gives the number of calls for curvature
    marks: Mapping[str, Any]  # what keeps its solves apart from others of the same task

    @abc.abstractmethod
    def oracle(self, vector: Float[ndarray, " d"], most: float | int = np.inf) -> AbstractOracle:
        """Return a fresh oracle of the task with this vector; where the function does not take the task, this one is meant."""

    @abc.abstractmethod
    def near(
        self,
        oracle: Any,
        start: Float[ndarray, " n"],
        gtol: float,
        inverse: Inverse | None,
        rule: str,
        trial: Trial,
    ) -> None:
        """Solve from a learned start or with a learned metric, as long as the trial allows."""

    @abc.abstractmethod
    def hessian(self, oracle: Any, at: Answer, moved: Float[ndarray, " n"], vector: Float[ndarray, " d"]) -> Float[ndarray, "n n"] | None:
        """Return the Hessian at a solution, for the record; `None` if there is none to be believed."""

    @abc.abstractmethod
    def told(self, answer: Answer) -> dict[str, Any]:
        """Return what SciPy's result has of the last answer."""


@dataclasses.dataclass(frozen=True)
class Minimization(AbstractQuestion):
    """A function with its gradient.

    `functions`, `hess`, `hessp`: return the function of $x$ for a task vector. `hess_calls`: what a Hessian is worth.
    """

    functions: Callable[[Float[ndarray, " d"]], Function]
    box: Box
    knows_task: bool
    vector: Float[ndarray, " d"]
    hess: Callable[[Float[ndarray, " d"]], Hessian] | None = None
    hess_calls: int = 1
    hessp: Callable[[Float[ndarray, " d"]], Product] | None = None
    learns_metric = True
    counted = "nhev"

    @property
    def marks(self) -> Mapping[str, Any]:
        """Bounds make another kind of problem."""
        return BOUNDED if self.box.bounded else {}

    @functools.cached_property
    def rules(self) -> Mapping[str, Rule]:
        """L-BFGS and Newton's method; within bounds L-BFGS-B."""
        if self.box.bounded:
            return {"l-bfgs-b": bounded(self.box)}
        return PORTFOLIO if self.hess is None else {**PORTFOLIO, "newton": newton(self.hess(self.vector), self.hess_calls)}

    def oracle(self, vector: Float[ndarray, " d"], most: float | int = np.inf) -> Oracle:
        """Return a fresh oracle."""
        return Oracle(self.functions(vector), most, self.box, None if self.hessp is None else self.hessp(vector))

    def near(
        self,
        oracle: Oracle,
        start: Float[ndarray, " n"],
        gtol: float,
        inverse: Inverse | None,
        rule: str,
        trial: Trial,
    ) -> None:
        """Run a quasi-Newton method from the learned metric, or without one the classical rule."""
        if inverse is None:
            self.rules[rule](oracle, start, gtol)
        elif self.box.bounded:
            assert isinstance(inverse, np.ndarray)
            descend(oracle, start, gtol, QuasiNewton(inverse, self.box), self.box, self.rules[rule], trial)
        else:
            quasi_newton(oracle, start, gtol, inverse, trial)

    def hessian(
        self, oracle: Oracle, at: Answer, moved: Float[ndarray, " n"], vector: Float[ndarray, " d"]
    ) -> Float[ndarray, "n n"] | None:
        """Return the user's Hessian, or one by differences."""
        if self.hess is None:
            return hessian_of(oracle, at, moved, self.box)
        oracle.spend_on_curvature(self.hess_calls)
        return symmetric(matrix_of(self.hess(vector)(at.point), len(at.point), len(at.point), "hess"))

    def told(self, answer: Answer) -> dict[str, Any]:
        """Return value and gradient."""
        return {"x": answer.point, "fun": answer.value, "jac": answer.grad}


@dataclasses.dataclass(frozen=True)
class Fit(AbstractQuestion):
    """Residuals; their Jacobian gives the metric at every point, so that only the start is learned.

    `functions`, `jacobians`: return the function of $x$ for a task vector.
    """

    functions: Callable[[Float[ndarray, " d"]], Residual]
    jacobians: Callable[[Float[ndarray, " d"]], Jacobian]
    box: Box
    knows_task: bool
    method: str = "trf"
    x_scale: Any = None
    learns_metric = False
    counted = "njev"

    @property
    def marks(self) -> Mapping[str, Any]:
        """Residuals, and bounds, make another kind of problem."""
        return {**FIT, **BOUNDED} if self.box.bounded else FIT

    @property
    def rules(self) -> Mapping[str, Rule]:
        """The method of SciPy that was asked for."""
        return {self.method: functools.partial(levenberg_marquardt, method=self.method, x_scale=self.x_scale, box=self.box)}

    def oracle(self, vector: Float[ndarray, " d"], most: float | int = np.inf) -> Residuals:
        """Return a fresh oracle."""
        return Residuals(self.functions(vector), self.jacobians(vector), most, self.box)

    def near(
        self,
        oracle: Residuals,
        start: Float[ndarray, " n"],
        gtol: float,
        inverse: Inverse | None,
        rule: str,
        trial: Trial,
    ) -> None:
        """Run SciPy's method; within bounds Gauss-Newton, as SciPy's methods keep away from bounds, and a good start may be there."""
        if self.box.bounded:
            descend(oracle, start, gtol, GaussNewton(self.box), self.box, self.rules[rule], trial)
        else:
            levenberg_marquardt(oracle, start, gtol, self.method, self.x_scale, self.box, trial)

    def hessian(
        self, oracle: Residuals, at: Answer, moved: Float[ndarray, " n"], vector: Float[ndarray, " d"]
    ) -> Float[ndarray, "n n"] | None:
        """Return $J^T J$, which costs nothing."""
        return None if at.jacobian is None else symmetric(at.jacobian.T @ at.jacobian)

    def told(self, answer: Answer) -> dict[str, Any]:
        """Return residuals, half their square, Jacobian and gradient."""
        return {"x": answer.point, "fun": answer.residuals, "cost": answer.value, "jac": answer.jacobian, "grad": answer.grad}
