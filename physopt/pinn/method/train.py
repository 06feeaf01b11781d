"""Train a network on any problem, from what networks of its neighbours have learned, until its estimated error is small enough."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, PyTree

from physopt.core.iterate import Carry, begin as first, unroll
from physopt.core.recording import Recording
from physopt.core.rule import AbstractRule
from physopt.meta.starts.neighbours import Solved, Way, begin, march
from physopt.pinn.answer import Answer
from physopt.pinn.network import POINTS, Network
from physopt.pinn.problem import Problem

from .levenberg import State, Step, levenberg
from .neighbours import Networks, physical, scaled
from .progress import Progress
from .record import Record, alike, recorded
from .shelf import Shelf
from .trained import Trained, estimated

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
    record: str | Path | Recording | None = None,
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
    - `record`: a folder, in which start and progress are kept, at each estimate and at least every ten seconds. A killed training is
      continued with `Recording(folder, resume=True)`, to the same weights bit for bit, and one that ended with more `steps`.
    - `easy`: parameters at which a fresh network learns quickly, `{"beta": 5.0}`; by default those of the problem, if it names any.
    - `rule`: how to step, at places that are kept; by default Levenberg's and Marquardt's, at fresh places in each step.
    - `width`, `depth`, `settings`: of the network, see `Network.of`. `seed`: of its weights and places. `steps`: at most.
    - `callback`: called with the number of steps so far and a `Trained` after each step; `True` ends the training.

    **Raises:** `ValueError` for a neighbour of another form, for senseless numbers, and for `record` with `near`, `library` or `rule`, or
    with a folder of another training; `FileExistsError` for a folder that holds something; `FloatingPointError` where the residual at the
    start is not finite.
    """
    if not 0.0 < tol < 1.0:
        raise ValueError(f"tol is {tol}; it is a relative error, between 0 and 1: write 1e-3.")
    if steps < 1:
        raise ValueError(f"steps is {steps}; write at least 1.")
    near = [near] if isinstance(near, Answer) else [*near]
    recording = alike(Recording.of(record), near, library)
    if recording is not None and rule is not None:
        raise ValueError(
            "record= keeps Levenberg's and Marquardt's method, and a rule has a record of its own: leave rule= out, or write "
            "physopt.minimize(network, rule, point, record=...) with network = pinn.Network.of(problem)."
        )
    with jax.enable_x64(True), contextlib.ExitStack() as open_:
        network = Network.of(problem, width=width, depth=depth, seed=seed, **settings)
        fresh = network.init(jax.random.key(seed))
        easy = problem.easy if easy is None else easy
        kept = None
        if recording is not None:
            asked = {"tol": float(tol), "seed": int(seed), **_asked(problem, network, settings, easy)}
            kept = open_.enter_context(recorded(recording, Progress, asked, problem, _fingerprint(network, fresh)))
        shelf = None if library is None else Shelf(library, problem, network, fresh)
        progress = None if kept is None else kept.known
        if progress is None:
            known = [solved(problem, network, answer) for answer in near] + ([] if shelf is None else shelf.solved())
            name, point, spent = begun(problem, network, fresh, known, easy, seed)
            progress = Progress.at_start(name, spent, State.at_start(point, seed))
            if kept is not None:
                kept.keep(progress)
        point = ravel_pytree(fresh)[1](jnp.asarray(progress.state.flat))
        taken = levenberg(problem, network, point, known=progress.state) if rule is None else by_rule(network, rule, point)
        start = Trained(problem.time, network, point)
        trained, progress = _trained(problem, start, progress, taken, Wanted(tol, steps, seed, callback), kept)
        answer = _answer(problem, trained, tol, progress)
        if shelf is not None:
            shelf.add(trained.point, answer.error)
        return Training(answer, progress.start, progress.total)


class Wanted(NamedTuple):
    """When a training ends, and who is told of each step; see `train`."""

    tol: float
    steps: int
    seed: int
    callback: Watch | None


def _trained(
    problem: Problem, trained: Trained, progress: Progress, taken: Iterator[Step], wanted: Wanted, kept: Record[Progress] | None
) -> tuple[Trained, Progress]:
    """Take steps until the training is over, and return the network with its estimated error, and the progress that is kept."""
    while not progress.ended(wanted.tol, wanted.steps):
        step = next(taken)
        trained = Trained(problem.time, trained.network, step.point)
        progress = progress._replace(count=progress.count + 1, state=step.state or progress.state)
        if progress.total >= progress.due:
            trained = _judged(problem, trained, wanted.seed)
            progress = progress.estimated(_error(trained))
        if wanted.callback is not None:
            progress = progress._replace(stopped=bool(wanted.callback(progress.total, trained)))
        if kept is not None:
            at_once = trained.defect is not None or progress.ended(wanted.tol, wanted.steps)
            (kept.keep if at_once else kept.keep_late)(progress)
    return trained if trained.defect is not None else _judged(problem, trained, wanted.seed), progress


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


def _error(trained: Trained) -> float:
    assert trained.defect is not None
    return trained.defect.error


def _asked(problem: Problem, network: Network, settings: Mapping[str, Any], easy: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a resumed training must have in common, by name."""
    numbers = {name: float(getattr(network, name)) for name in ("physics_weight", "boundary_weight", "damping")}
    shape = {"width": network.shape.width, "depth": network.shape.depth, "points": int(settings.get("points", POINTS))}
    begin = {f"easy {name}": value for name, value in (problem.at(**easy).parameters if easy else {}).items()}
    return {**shape, **numbers, **begin}


def _fingerprint(network: Network, fresh: PyTree) -> Float[np.ndarray, " n"]:
    """Return the residual of a fresh network, where it is looked at, and units: they tell equations, conditions and readings apart."""
    residual, scales = eqx.filter_jit(Network.residual)(network, fresh), network.scales
    units = [scales.fields, *scales.rows, network.begin, np.ravel(network.shape.sides)]
    return np.concatenate([np.asarray(part, float) for part in (residual, *units)])


def _answer(problem: Problem, trained: Trained, tol: float, progress: Progress) -> Answer:
    assert trained.defect is not None
    error, unknowns = trained.defect.error, np.asarray(trained.point[1]) + trained.defect.unknowns
    more = "a longer training of this network does not help" if progress.hopeless else "more steps may help"
    why = f"estimated error {error:.1e}" + ("" if error <= tol else f"; {more}")
    named = dict(zip(problem.unknowns, unknowns.tolist(), strict=True))
    size = sum(leaf.size for leaf in jax.tree.leaves(trained.point))
    return Answer(problem, (trained,), error, error <= tol, why, named, {}, round(progress.total), size)
