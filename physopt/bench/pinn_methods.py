"""The methods that `physopt bench pinn` compares: they train the same network, each its own way."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.optimize
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from physopt.core.extras import need
from physopt.core.iterate import Carry, begin, unroll
from physopt.core.problem import Evaluation
from physopt.core.rule import AbstractRule, Move
from physopt.core.tree import tree_scale
from physopt.meta.starts.neighbours import Way, march
from physopt.pinn.method.levenberg import LENGTHS, MANY, levenberg
from physopt.pinn.method.neighbours import Networks
from physopt.pinn.method.train import begun
from physopt.pinn.network import FirstOrder, Network
from physopt.pinn.problem import Problem
from physopt.pinn.sampling import scattered
from physopt.rules.from_optax import FromOptax
from physopt.rules.self_scaled import SelfScaledBroyden
from physopt.rules.soap import soap

CHUNK = 10  # steps between two looks at the error
FIXED = 2000  # places of methods that keep theirs


class Training(NamedTuple):
    """What a method is given; `seen(steps, point)` looks at the error, and ends the method by an exception when its time is over.

    - `share`: of the time that is used; `setting`: the number that is tuned. `easy`: parameters with which training is easy.
    """

    problem: Problem
    network: Network
    point: PyTree
    seed: int
    setting: float
    seen: Callable[[float, PyTree], None]
    share: Callable[[], float]
    easy: Mapping[str, float] = {}


class Method(NamedTuple):
    """How a network is trained, and the settings that are tried on another problem of the family; `stands_for` says what they are."""

    train: Callable[[Training], None]
    settings: tuple[float, ...]
    stands_for: str


def _first_order(
    rule: Callable[[float], AbstractRule], until: float = 1.0, *, fresh: bool = True
) -> Callable[[Training], tuple[int, PyTree]]:
    """Return the training by a rule that needs gradients only; places are `fresh` after each ten steps, or kept."""

    def train(asked: Training) -> tuple[int, PyTree]:
        made, rng, point, steps = rule(asked.setting), np.random.default_rng(asked.seed), asked.point, 0
        network = asked.network if fresh else asked.network.at(scattered(asked.problem, rng, FIXED))
        carry = _begun(FirstOrder(network=network), made, point)
        while asked.share() < until:
            if fresh:
                network = asked.network.at(scattered(asked.problem, rng, sum(len(batch.points) for batch in asked.network.batches)))
            carry = _unrolled(FirstOrder(network=network), made, carry)
            steps += CHUNK
            point = carry.best if not fresh else carry.trial
            asked.seen(steps, point)
        return steps, point

    return train


@eqx.filter_jit
def _begun(problem: FirstOrder, rule: AbstractRule, point: PyTree) -> Carry:
    return begin(rule, point, problem.evaluate(point))


@eqx.filter_jit
def _unrolled(problem: FirstOrder, rule: AbstractRule, carry: Carry) -> Carry:
    return unroll(problem, rule, carry, CHUNK)[0]


class _Scaled(AbstractRule):
    """A rule whose steps are multiplied by a number that is no constant of its compiled code."""

    rule: AbstractRule
    factor: Array

    def init(self, evaluation: Evaluation) -> PyTree:
        """See the rule."""
        return self.rule.init(evaluation)

    def step(self, evaluation: Evaluation, state: PyTree) -> tuple[Move, PyTree]:
        """Return the rule's step, multiplied."""
        move, state = self.rule.step(evaluation, state)
        return dataclasses.replace(move, step=tree_scale(self.factor, move.step)), state


def _lbfgs(asked: Training, steps: int = 0, memory: int = 50) -> None:
    """Train by SciPy's L-BFGS at fixed places; taken up from its end until the time is over."""
    flat, unravel = ravel_pytree(asked.point)
    rng = np.random.default_rng(asked.seed)
    while True:
        network = asked.network.at(scattered(asked.problem, rng, FIXED))

        def look(x: np.ndarray) -> None:
            nonlocal steps
            steps += 1
            asked.seen(steps, unravel(jnp.asarray(x)))

        def value(x: np.ndarray, network: Network = network) -> tuple[float, np.ndarray]:
            loss, grad = _slope(network, unravel(jnp.asarray(x)))
            return float(loss), np.asarray(ravel_pytree(grad)[0])

        options = {"maxiter": 10**6, "maxfun": 10**7, "maxcor": memory, "ftol": 0.0, "gtol": 0.0}
        flat = scipy.optimize.minimize(value, np.asarray(flat), jac=True, method="L-BFGS-B", callback=look, options=options).x
        look(flat)


@eqx.filter_jit
def _slope(network: Network, point: PyTree) -> tuple[Any, Any]:
    return jax.value_and_grad(network.loss)(point)


def _adam_lbfgs(asked: Training) -> None:
    steps, point = _first_order(_adam, 0.5)(asked)
    _lbfgs(asked._replace(point=point), steps)


def _scipy_lbfgs(asked: Training) -> None:
    _lbfgs(asked, memory=int(asked.setting))


def _levenberg(asked: Training, spent: float = 0.0) -> None:
    for i, step in enumerate(levenberg(asked.problem, asked.network, asked.point, asked.seed, asked.setting), 1):
        asked.seen(spent + i, step.point)


def _marched(asked: Training) -> None:
    """Train at the easy end of the range, follow the solution from there, and go on; errors are looked at where the march ends."""
    _, point, spent = begun(asked.problem, asked.network, asked.point, [], asked.easy, asked.seed)
    _levenberg(asked._replace(point=point), spent)


def _optimistix(asked: Training) -> None:
    """Train by optimistix' Levenberg-Marquardt at fixed places, by QR, as it is by default."""
    need("optimistix")
    network = asked.network.at(scattered(asked.problem, np.random.default_rng(asked.seed), int(asked.setting)))
    point, state, steps = asked.point, _optimistix_step(network, asked.point)[1], 0
    while True:
        point, state = _optimistix_step(network, point, state)
        steps += 1
        asked.seen(steps, point)


@eqx.filter_jit
def _optimistix_step(network: Network, point: PyTree, arrays: list[Array] | None = None) -> tuple[PyTree, list[Array]]:
    """Return the point and the arrays of the state after one more step, or those to begin with; what else a state has is compiled."""
    import optimistix  # pyright: ignore[reportMissingImports]

    def rows(point: PyTree, network: Network) -> tuple[Array, None]:
        return network.residual(point), None

    solver, none = optimistix.LevenbergMarquardt(rtol=0.0, atol=0.0), frozenset()
    state = solver.init(rows, point, network, {}, *eqx.filter_eval_shape(rows, point, network), none)
    if arrays is not None:
        fresh, rest = eqx.partition(state, eqx.is_array)
        state = eqx.combine(jax.tree.unflatten(jax.tree.structure(fresh), arrays), rest)
        point, state, _ = solver.step(rows, point, network, {}, state, none)
    return point, jax.tree.leaves(eqx.filter(state, eqx.is_array))


def _engd(asked: Training) -> None:
    r"""Train by energy natural gradients, $v = -J^T (J J^T + c |r|^2)^{-1} r$, at half as many places as parameters, fresh in each step."""
    rng, point = np.random.default_rng(asked.seed), asked.point
    places = ravel_pytree(point)[0].size // 2
    steps = 0
    while True:
        point = _woodbury(asked.network.at(scattered(asked.problem, rng, places)), point, jnp.asarray(asked.setting))
        steps += 1
        asked.seen(steps, point)


@eqx.filter_jit
def _woodbury(network: Network, point: PyTree, damping: Array) -> PyTree:
    flat, unravel = ravel_pytree(point)
    r, columns = network.linearized(point)
    kernel = columns.T @ columns
    ridge = damping * r @ r + 16.0 * jnp.finfo(r.dtype).eps * jnp.trace(kernel)
    factor = jax.scipy.linalg.cho_factor(kernel + ridge * jnp.eye(r.size))
    step = -(columns @ jax.scipy.linalg.cho_solve(factor, r))
    lengths = jnp.asarray([*LENGTHS, 0.0])
    norms = jax.lax.map(lambda length: jnp.linalg.norm(network.residual(unravel(flat + length * step))), lengths)
    return unravel(flat + lengths[jnp.argmin(jnp.where(jnp.isfinite(norms), norms, jnp.inf))] * step)


_ADAM, _SOAP = FromOptax(optax.adam(1.0)), FromOptax(soap(1.0))  # made once, because each is compiled


def _adam(rate: float) -> AbstractRule:
    return _Scaled(_ADAM, jnp.asarray(rate))


def _soap(rate: float) -> AbstractRule:
    return _Scaled(_SOAP, jnp.asarray(rate))


def _broyden(first_step: float) -> AbstractRule:
    return SelfScaledBroyden(jnp.asarray(first_step))  # pyright: ignore[reportArgumentType]


def warm(method: str, asked: Training) -> None:
    """Compile what the method will call beyond its first steps."""
    if method == "lm":
        next(levenberg(asked.problem, asked.network, asked.point, asked.seed, asked.setting, first=MANY))
    if method == MARCH:
        flat, task = np.asarray(ravel_pytree(asked.point)[0]), np.asarray(asked.network.parameters)
        march(Networks(asked.problem, asked.network, asked.point, asked.seed), Way(0.99 * task, task), flat, 1)
        next(levenberg(asked.problem, asked.network, asked.point, asked.seed, asked.setting))
    if method == "adam-lbfgs":
        _slope(asked.network.at(scattered(asked.problem, np.random.default_rng(0), FIXED)), asked.point)


MARCH = "physopt-march"  # needs an easy end of the equation's range
PACKAGES = {"optimistix-lm": "optimistix"}
METHODS: dict[str, Method] = {
    "adam-lbfgs": Method(_adam_lbfgs, (1e-2, 3e-3, 1e-3), "rate of Adam"),
    "scipy-lbfgs": Method(_scipy_lbfgs, (10.0, 50.0, 200.0), "pairs kept"),
    "soap": Method(lambda asked: _ended(_first_order(_soap)(asked)), (1e-2, 3e-3, 1e-3), "rate"),
    "ssbroyden": Method(lambda asked: _ended(_first_order(_broyden, fresh=False)(asked)), (1.0, 0.1, 0.01), "norm of the first step"),
    "lm": Method(_levenberg, (1e-2, 1e-3, 1e-4), "damping over the residual"),
    "optimistix-lm": Method(_optimistix, (1000.0, 2000.0, 4000.0), "places"),
    "engd-w": Method(_engd, (1e-2, 1e-4, 1e-6), "damping over the residual squared"),
    MARCH: Method(_marched, (1e-3,), "damping over the residual"),
}


def _ended(outcome: Any) -> None:
    """Drop what a method returns after its time."""
