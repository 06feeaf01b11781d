"""The training loop: an Optax transformation on the weights of a rule, safe against kills."""

import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding
from jaxtyping import Float, PRNGKeyArray, PyTree

from physopt.core.devices import over
from physopt.core.problem import AbstractFamily
from physopt.core.recording import Recording, module_of, named_leaves
from physopt.core.run import Interrupted
from physopt.core.tasks import opened
from physopt.core.trajectory import Column, load, load_checkpoint
from physopt.core.tree import tree_norm

from .estimators import AbstractEstimator, draw, trainable
from .loss import AbstractLoss, LogArea
from .spread import Spread

COLUMNS = {"loss": Column("1"), "grad_norm": Column("1 / weight"), "seconds": Column("s"), "cost": Column("call")}


class Training(eqx.Module):
    """One row per step: the meta-loss, the norm of its gradient, and what was spent since the beginning: seconds, full oracle calls."""

    loss: Float[np.ndarray, " n"]
    grad_norm: Float[np.ndarray, " n"]
    seconds: Float[np.ndarray, " n"]
    cost: Float[np.ndarray, " n"]


class TrainingProgress(eqx.Module):
    """What a callback gets after each step; if it returns `True`, the training stops, and can be resumed if it is recorded."""

    index: int
    rule: PyTree
    loss: float
    grad_norm: float
    seconds: float


def train(
    rule: PyTree,
    family: AbstractFamily,
    estimator: AbstractEstimator,
    optim: optax.GradientTransformation,
    *,
    num_steps: int,
    key: PRNGKeyArray,
    tasks_per_step: int = 32,
    meta_loss: AbstractLoss = LogArea(),
    record: str | Path | Recording | None = None,
    callback: Callable[[TrainingProgress], bool | None] | None = None,
    executor: Executor | int | None = None,
    pieces: int = 8,
    devices: Sequence[Any] | None = None,
) -> tuple[PyTree, Training]:
    r"""Minimize $E_{\mu} L(\mathrm{run}(\mathrm{rule}, \mu))$ over the rule's inexact arrays, by `optim` on the gradients of `estimator`.

    Step $k$ draws its tasks and perturbations from `fold_in(key, k)` alone, and the weights and the states of `optim` and `estimator` are
    saved after each step. So a killed and resumed training ends with the weights of an unbroken one, bit for bit on the
    same machine.

    **Arguments:**

    - `rule`: what is trained: a rule, or any other module with arrays that the estimator can run.
    - `family`: a host family is run problem by problem; for a traceable one the whole step is compiled.
    - `num_steps`: steps in all, those before a resume included. `tasks_per_step`: fresh tasks for each.
    - `record`: a folder to write the training into, or a `Recording` that says more (resume, provenance). A resumed training must have
      the same rule, family, estimator, optimizer, loss, key and number of tasks; it may have more steps.
    - `executor`: a number of processes, or an executor of PEP 3148, whose workers estimate the `pieces` of each step, see `Spread`. The
      weights are the same bit for bit for any number of workers; to rounding and other draws those of a training without them.
    - `devices`: of JAX, over which the tasks of each step and the particles of the estimator are laid out, an equal number on each. The
      weights are those of one device to rounding.

    **Returns:** the trained rule and the `Training`.

    **Raises:** `FloatingPointError` when weights become non-finite; `FileExistsError` if `record` names a foreign run, or one
    that exists and is not to be resumed; `ValueError`, with names, if it was recorded for something else, and where devices cannot share
    the tasks; `Interrupted`, a `KeyboardInterrupt` with the result so far. With an executor also what `physopt.farm.run` raises.
    """
    places = None if devices is None else _shared(devices, executor, family, tasks_per_step)
    with contextlib.ExitStack() as lent:
        if executor is not None:
            estimator = Spread(estimator=estimator, executor=lent.enter_context(opened(executor)), pieces=pieces)  # pyright: ignore[reportCallIssue]
        return _train(rule, family, estimator, optim, num_steps, key, tasks_per_step, meta_loss, record, callback, places)


def _train(
    rule: PyTree,
    family: AbstractFamily,
    estimator: AbstractEstimator,
    optim: optax.GradientTransformation,
    num_steps: int,
    key: PRNGKeyArray,
    tasks_per_step: int,
    meta_loss: AbstractLoss,
    record: str | Path | Recording | None,
    callback: Callable[[TrainingProgress], bool | None] | None,
    places: NamedSharding | None,
) -> tuple[PyTree, Training]:
    weights, rest = trainable(rule)
    recording = Recording.of(record)
    if recording is not None:
        asked = {"rule": rule, "family": family, "estimator": estimator, "optim": optim, "meta_loss": meta_loss}
        recording = recording.asking(**asked, tasks_per_step=tasks_per_step, key=key, **module_of(rule))
    carry, rows = _restore(recording, (weights, optim.init(weights), estimator.init(rule, family, tasks_per_step)))
    go = _improve_compiled if family.traceable and estimator.traceable else _improve
    started, spent = time.perf_counter() - (rows[-1][2] if rows else 0.0), rows[-1][3] if rows else 0.0
    with contextlib.ExitStack() as resources:
        recorder = None
        if recording is not None and len(rows) < num_steps and (ready := recording.prepared()) is not None:
            recorder = ready.recorder(COLUMNS, _leaves(carry))
        if recorder is not None:
            resources.enter_context(contextlib.closing(recorder))
        try:
            for index in range(len(rows), num_steps):
                of_step = jax.random.fold_in(key, index)
                carry, loss, grad_norm, cost = go(carry, rest, family, estimator, optim, meta_loss, tasks_per_step, of_step, places)
                _refuse_nonfinite(carry[0], index)
                rows.append((float(loss), float(grad_norm), time.perf_counter() - started, spent := spent + float(cost)))
                if recorder is not None:
                    recorder.append(dict(zip(COLUMNS, rows[-1], strict=True)), list(_leaves(carry).values()))
                if callback is not None and callback(TrainingProgress(index, eqx.combine(carry[0], rest), *rows[-1][:3])):
                    break
        except KeyboardInterrupt as signal:
            raise Interrupted((eqx.combine(carry[0], rest), _training(rows))) from signal
        if recorder is not None and len(rows) == num_steps:
            recorder.finish({"steps": num_steps, "loss": rows[-1][0]})
    return eqx.combine(carry[0], rest), _training(rows)


def _improve(
    carry: PyTree,
    rest: PyTree,
    family: AbstractFamily,
    estimator: AbstractEstimator,
    optim: optax.GradientTransformation,
    meta_loss: AbstractLoss,
    num_tasks: int,
    key: PRNGKeyArray,
    places: NamedSharding | None,
) -> tuple[PyTree, Any, Any, Any]:
    """Return weights and states after one step, the loss, the norm of its gradient, and the cost of the estimate."""
    weights, state, particles = carry
    of_tasks, of_estimator = jax.random.split(key)
    tasks = _draw(family, of_tasks, num_tasks)
    if places is not None:
        tasks, particles = (_laid_out(tree, num_tasks, places) for tree in (tasks, particles))
    estimate, particles = estimator(meta_loss, eqx.combine(weights, rest), family, tasks, of_estimator, particles)
    updates, state = optim.update(estimate.grad, state, weights)
    return (eqx.apply_updates(weights, updates), state, particles), estimate.loss, tree_norm(estimate.grad), estimate.cost


def _shared(devices: Sequence[Any], executor: Executor | int | None, family: AbstractFamily, num_tasks: int) -> NamedSharding:
    """Return how tasks are laid out over devices; `ValueError` where they cannot be."""
    if executor is not None:
        raise ValueError("Workers compute on their own devices: give executor= or devices=, not both.")
    if not family.traceable:
        raise ValueError(f"{type(family).__name__} makes problems that run on the host: give executor= instead of devices=.")
    if num_tasks % len(devices):
        raise ValueError(f"{len(devices)} devices cannot share {num_tasks} tasks; write tasks_per_step as a multiple of {len(devices)}.")
    return over(devices)


def _laid_out(tree: PyTree, num_tasks: int, places: NamedSharding) -> PyTree:
    """Lay out over devices the arrays whose first axis counts tasks; what is computed of them follows."""

    def put(leaf: Any) -> Any:
        return jax.lax.with_sharding_constraint(leaf, places) if leaf.shape[:1] == (num_tasks,) else leaf

    return jax.tree.map(put, tree)


_draw = eqx.filter_jit(draw)
# One compiled function for all calls: trainings that differ only in their seeds share the compilation.
_improve_compiled = eqx.filter_jit(_improve)


def _leaves(carry: PyTree) -> dict[str, np.ndarray]:
    return named_leaves(weights=carry[0], optimizer=carry[1], estimator=carry[2])


def _restore(recording: Recording | None, carry: PyTree) -> tuple[PyTree, list[tuple[float, ...]]]:
    """Return weights and states, and the rows, of the last committed step; those given if there is none."""
    stored = load_checkpoint(recording.folder) if recording is not None and recording.resume else None
    if recording is None or stored is None:
        return carry, []
    leaves, structure = jax.tree.flatten(carry)
    ours, theirs = [(np.shape(a), np.asarray(a).dtype) for a in leaves], [(a.shape, a.dtype) for a in stored.leaves]
    if ours != theirs:
        raise ValueError(
            f"{recording.folder} holds the training of another rule, optimizer or estimator: its {len(theirs)} arrays are not "
            f"the {len(ours)} of this one in number, shape or type. Resume with the same ones, or record into a new folder."
        )
    columns = load(recording.folder).columns
    rows = list(zip(*(columns[name][: stored.index + 1].tolist() for name in COLUMNS), strict=True))
    return jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in stored.leaves]), rows


def _refuse_nonfinite(weights: PyTree, index: int) -> None:
    if not all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(weights)):
        raise FloatingPointError(
            f"The weights are not finite after step {index}: the meta-gradient overflowed, as gradients of long runs do. "
            "Estimate it with Antithetic() or Backprop(clip=...), or wrap the optimizer in optax.apply_if_finite."
        )


def _training(rows: list[tuple[float, ...]]) -> Training:
    return Training(*(np.asarray([row[k] for row in rows], float) for k in range(len(COLUMNS))))
