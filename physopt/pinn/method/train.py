"""Train a network on any problem, from what networks of its neighbours have learned, until its estimated error is small enough."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, PyTree

from physopt.core.iterate import Carry, begin as first, unroll
from physopt.core.rule import AbstractRule
from physopt.meta.starts.neighbours import Solved, Way, begin, march
from physopt.pinn.answer import Answer
from physopt.pinn.network import Network
from physopt.pinn.problem import Problem

from .levenberg import Step, levenberg
from .neighbours import Networks, physical, scaled
from .shelf import Shelf
from .trained import Trained, estimated

FIRST, SOON, LATER = 20, 3, 1.3  # steps before the first estimate, cold and otherwise; times as many before each further one
STALLED = 4  # estimates in a row that are not lower by a tenth
EASY, MANY = 0.01, 400  # of a cold start's residual is left by a network at the easy end of a march; steps at most
LONG = 400  # linearizations of a march from there


class Training(NamedTuple):
    """The outcome: `answer` has the network and its weights in its only piece, `answer.pieces[0]`.

    - `start`: where the training began: `"cold"`, `"nearest"`, `"tangent"`, `"span"` or `"march"`.
    - `steps`: how many linearizations it took, those of the start included; what costs less than one counts by its share.
    """

    answer: Answer
    start: str
    steps: float


Watch = Callable[[float, Trained], bool | None]


def train(
    problem: Problem,
    tol: float = 1e-3,
    *,
    near: Answer | Sequence[Answer] = (),
    library: str | Path | None = None,
    easy: Mapping[str, Any] | None = None,
    rule: AbstractRule | None = None,
    steps: int = 2000,
    width: int = 16,
    depth: int = 3,
    seed: int = 0,
    callback: Watch | None = None,
    **settings: Any,
) -> Training:
    r"""Train a network until its estimated error is at most `tol`, or does not fall any more.

    The training begins at the network with the smallest residual among a fresh one, the nearest neighbour, its tangent
    $-(J^T J + \lambda)^{-1} J^T \partial r / \partial \mu$ in a few parts, the best affine combination of the neighbours, and one that
    follows the solution from the nearest neighbour in small steps. Without neighbours it can come from an easy choice of the parameters.

    **Arguments:**

    - `tol`: relative $L_2$ error. It is estimated, and the answer corrected, with random waves; near steep fronts they say too little.
    - `near`: answers of other trainings, or of `solve` beyond three coordinates, to the same problem with other parameters.
    - `library`: a folder of such answers. Those of networks of this shape are used as `near`, and this one is added.
    - `easy`: parameters at which a fresh network learns quickly, `{"beta": 5.0}`; by default those of the problem, if it names any.
    - `rule`: how to step, at places that are kept; by default Levenberg's and Marquardt's, at fresh places in each step.
    - `width`, `depth`, `settings`: of the network, see `Network.of`. `seed`: of its weights and places. `steps`: at most.
    - `callback`: called with the number of steps so far and a `Trained` after each step; `True` ends the training.

    **Raises:** `ValueError` for a neighbour of another form and for senseless numbers; `FloatingPointError` where the residual at the
    start is not finite.
    """
    if not 0.0 < tol < 1.0:
        raise ValueError(f"tol is {tol}; it is a relative error, between 0 and 1: write 1e-3.")
    if steps < 1:
        raise ValueError(f"steps is {steps}; write at least 1.")
    near = [near] if isinstance(near, Answer) else [*near]
    told = callback or (lambda count, trained: None)
    with jax.enable_x64(True):
        network = Network.of(problem, width=width, depth=depth, seed=seed, **settings)
        fresh = network.init(jax.random.key(seed))
        shelf = None if library is None else Shelf(library, problem, network, fresh)
        known = [solved(problem, network, answer) for answer in near] + ([] if shelf is None else shelf.solved())
        name, point, spent = begun(problem, network, fresh, known, problem.easy if easy is None else easy, seed)
        due, lowest, stalled = spent + (FIRST if name == "cold" else SOON), np.inf, 0
        taken = levenberg(problem, network, point, seed) if rule is None else by_rule(network, rule, point)
        for count, step in enumerate(taken, 1):
            total, trained = spent + count, Trained(problem.time, network, step.point)
            if total >= due:
                trained = _judged(problem, trained, seed)
            over = bool(told(total, trained)) or count >= steps
            if over and trained.defect is None:
                trained = _judged(problem, trained, seed)
            if trained.defect is None:
                continue
            stalled = 0 if trained.defect.error < 0.9 * lowest else stalled + 1
            lowest, due = min(lowest, trained.defect.error), LATER * total
            if trained.defect.error <= tol or stalled >= STALLED or over:
                break
        answer = _answer(problem, trained, tol, total, stalled >= STALLED)
        if shelf is not None:
            shelf.add(step.point, answer.error)
        return Training(answer, name, total)


def begun(
    problem: Problem, network: Network, fresh: PyTree, known: Sequence[Solved], easy: Mapping[str, float], seed: int
) -> tuple[str, PyTree, float]:
    """Return the name of the start, the point, and what it cost."""
    if not known and not easy:
        return "cold", fresh, 0.0
    family = Networks(problem, network, fresh, seed + 2)
    cold, task = np.asarray(ravel_pytree(fresh)[0]), np.asarray(network.parameters)
    found = begin(family, task, known, cold)
    if found.name != "cold" or not easy:
        return found.name, family.unraveled(found.point), found.steps
    point, spent = _from_easy(problem.at(**easy), family, fresh, task, seed)
    return "march", point, found.steps + spent


def by_rule(network: Network, rule: AbstractRule, point: PyTree) -> Iterator[Step]:
    """Yield one step of a rule after the other, without end."""
    carry = _first(network, rule, point)
    while True:
        carry = _next(network, rule, carry)
        yield Step(carry.best, float(2.0 * carry.evaluation.value) ** 0.5, 1.0)


@eqx.filter_jit
def _first(network: Network, rule: AbstractRule, point: PyTree) -> Carry:
    return first(rule, point, network.evaluate(point))


@eqx.filter_jit
def _next(network: Network, rule: AbstractRule, carry: Carry) -> Carry:
    return unroll(network, rule, carry, 1)[0]


def _from_easy(problem: Problem, family: Networks, fresh: PyTree, task: Float[np.ndarray, " q"], seed: int) -> tuple[PyTree, float]:
    """Train a fresh network at the easy end, follow the solution to the task, and return the point and what that cost."""
    where = np.array(list(problem.parameters.values()))
    network, wanted, count = family.at(where), EASY * family.norm(np.asarray(ravel_pytree(fresh)[0]), where), 0
    point = fresh
    for count, step in enumerate(levenberg(problem, network, fresh, seed), 1):
        point = step.point
        if step.norm <= wanted or count >= MANY:
            break
    flat, steps, _ = march(family, Way(where, task), np.asarray(ravel_pytree(point)[0]), LONG)
    return family.unraveled(flat), count + steps


def solved(problem: Problem, network: Network, answer: Answer) -> Solved:
    """Return a neighbour in the units of a network."""
    piece = answer.pieces[0]
    if not isinstance(piece, Trained):
        raise ValueError("A neighbour was solved without a network; give the answer of another training, pinn.train(...).answer.")
    pairs = (network, problem), (piece.network, answer.problem)
    own, other = ((each.shape, list(one.parameters), list(one.unknowns)) for each, one in pairs)
    if own != other:
        raise ValueError(f"A network of form {other} cannot be near one of form {own}; leave it out of near=.")
    point = scaled(network, physical(piece.network, piece.point))
    return Solved(np.array(list(answer.problem.parameters.values())), np.asarray(ravel_pytree(point)[0]))


def _judged(problem: Problem, trained: Trained, seed: int) -> Trained:
    return trained._replace(defect=estimated(problem, trained, seed + 1))


def _answer(problem: Problem, trained: Trained, tol: float, steps: float, stalled: bool) -> Answer:
    assert trained.defect is not None
    error, unknowns = trained.defect.error, np.asarray(trained.point[1]) + trained.defect.unknowns
    more = "a longer training of this network does not help" if stalled else "more steps may help"
    why = f"estimated error {error:.1e}" + ("" if error <= tol else f"; {more}")
    named = dict(zip(problem.unknowns, unknowns.tolist(), strict=True))
    size = sum(leaf.size for leaf in jax.tree.leaves(trained.point))
    return Answer(problem, (trained,), error, error <= tol, why, named, {}, round(steps), size)
