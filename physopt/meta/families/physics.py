"""What the families have in common: a smooth function of unknowns and task, a cold start, and the ranges of the task."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree
from numpy import ndarray

from physopt.core.problem import AbstractFamily, AbstractProblem, Euclidean, Evaluation

Ask = Callable[[Float[ndarray, " n"]], Any]  # for value and gradient
OwnRule = Callable[[Ask, Any, Float[ndarray, " n"]], None]  # given what `prepared` returns, from a point, until `ask` raises


class AbstractPhysics(AbstractFamily):
    r"""A family of smooth minimizations $\min_x f(x; \mu)$.

    - `ranges`: lowest and highest value of each hidden number of a task, by its name. `limits`: what each may be at all, where the physics
      asks for it (a stiffness is positive), also outside of the ranges.
    - `frame`: what the unknowns are, which decides how much the Hessian turns from task to task.
    """

    traceable: eqx.AbstractVar[bool]
    ranges: ClassVar[Mapping[str, tuple[float, float]]]
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {}
    frame: ClassVar[str]

    @abc.abstractmethod
    def value(self, x: Float[Array, " n"], mu: Any) -> Float[Array, ""]:
        """Return $f(x; \\mu)$, given what `prepared` returns of the task."""

    @abc.abstractmethod
    def cold(self) -> Float[ndarray, " n"]:
        """Return the start of somebody who knows nothing of the task."""

    @abc.abstractmethod
    def novel(self) -> "AbstractPhysics":
        """Return a family of another kind with tasks of the same names: what learning must not be misled by."""

    @property
    @abc.abstractmethod
    def unknowns(self) -> int:
        """The number of unknowns."""

    @property
    def hessian_calls(self) -> int:
        """The number of Hessian-vector products that a Hessian takes when its pattern is known: by default one for each unknown."""
        return self.unknowns

    def task(self, hidden: Float[Array, " h"], key: PRNGKeyArray) -> Float[Array, " mu"]:
        """Return the task vector that somebody sees, given the hidden numbers: by default these."""
        return hidden

    def prepared(self, mu: Float[Array, " mu"] | Float[ndarray, " mu"]) -> Any:
        """Return what `value` is given of a task: by default its vector. What JAX cannot trace, such as integrals, is computed here."""
        return mu

    def own_rules(self) -> Mapping[str, OwnRule]:
        """Return the rules that the field has for this kind of problem alone, by name, beside those for all smooth functions."""
        return {}

    def named(self, mu: Float[ndarray, " mu"]) -> dict[str, Any]:
        """Return a task vector by names."""
        return {name: float(number) for name, number in zip(self.ranges, mu, strict=True)}

    def vector(self, named: Mapping[str, Any]) -> Float[ndarray, " mu"]:
        """Return the task vector of parts by names, which may come in any order."""
        return np.array([named[name] for name in self.ranges], float)

    def sample(self, key: PRNGKeyArray) -> Float[Array, " mu"]:
        """Draw a task, uniformly in the ranges."""
        low, high = jnp.array(list(self.ranges.values())).T
        first, second = jax.random.split(key)
        return self.task(jax.random.uniform(first, low.shape, minval=low, maxval=high), second)

    def drawn(self, random: np.random.Generator, spread: float) -> Float[ndarray, " mu"]:
        """Draw a task from ranges that are `spread` times as wide; those wider than 1 lie outside of the ranges."""
        low, high = np.array(list(self.ranges.values())).T
        bounds = np.array([self.limits.get(name, (-np.inf, np.inf)) for name in self.ranges])
        while True:
            apart = random.uniform(-1.0, 1.0, low.size) * spread
            hidden = np.clip(0.5 * (low + high) + 0.5 * (high - low) * apart, bounds[:, 0], bounds[:, 1])
            mu = np.asarray(self.task(jnp.asarray(hidden), jax.random.key(int(random.integers(2**31)))), float)
            # A simulation of readings may fail far outside of the ranges.
            if (spread <= 1.0 or np.abs(apart).max() > 1.0) and np.isfinite(mu).all():
                return mu

    def problem(self, mu: Float[Array, " mu"]) -> "Smooth":
        """Build the problem with task vector `mu`."""
        return Smooth(family=self, mu=self.prepared(mu))


class Smooth(AbstractProblem):
    """One member of a family, with the model of a plain gradient."""

    family: AbstractPhysics
    mu: PyTree
    traceable: bool = eqx.field(default=True, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key: PRNGKeyArray) -> Float[Array, " n"]:
        """Return the cold start."""
        return jnp.asarray(self.family.cold())

    def evaluate(self, point: Float[Array, " n"]) -> Evaluation:
        """Return value and gradient."""
        value, grad = jax.value_and_grad(self.family.value)(point, self.mu)
        return Evaluation(value, grad, Euclidean(grad))

    def retract(self, point: Float[Array, " n"], step: Float[Array, " n"] | Float[ndarray, " n"]) -> Float[Array, " n"]:
        """Return `point + step`."""
        return point + step
