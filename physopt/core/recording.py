"""The driver's tape: what a run writes down while it goes, and how a killed run picks up where it was."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .iterate import Carry
from .problem import Evaluation
from .rule import AbstractRule
from .trajectory import Column, Recorder, load, load_checkpoint, refuse_occupied


@dataclasses.dataclass(frozen=True)
class Recording:
    """Where and how to record a run.

    - `folder`: the run folder, made if missing. One folder holds one run.
    - `spec`: provenance to keep beside the numbers (molecule, seed, command line); anything JSON can say.
    - `resume`: continue a killed run from its last committed record instead of refusing the folder.
    - `durability`: "process" survives `kill -9`; "power" also syncs the disk after each record.
    """

    folder: str | Path
    spec: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    resume: bool = False
    durability: Literal["process", "power"] = "process"

    def check(self) -> None:
        """Raise `FileExistsError` now if the folder cannot take this run: before the oracle is asked, not after."""
        refuse_occupied(Path(self.folder), self.resume)


class Tape:
    """One row per evaluation, in memory and, if asked, in a run folder together with a checkpoint to resume from."""

    def __init__(self, record: str | Path | Recording | None, unit: str):
        self._recording = Recording(record) if isinstance(record, str | Path) else record
        if self._recording is not None:
            self._recording.check()
        self._columns = {
            "value": Column(unit),
            "grad_norm": Column(f"{unit} / tangent"),
            "step_norm": Column("tangent"),
            "accept": Column("1", dtype="u1"),
            "seconds": Column("s"),
        }
        self._rows: list[tuple[float, ...]] = []
        self._recorder: Recorder | None = None
        self._started = time.perf_counter()

    def __enter__(self) -> "Tape":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._recorder is not None:
            self._recorder.close()

    @property
    def seconds(self) -> float:
        """Seconds since the run began, those before a resume included."""
        return time.perf_counter() - self._started

    def restore(self, evaluate: Callable[[PyTree], Evaluation], rule: AbstractRule, point: PyTree) -> tuple[Carry, Evaluation] | None:
        """Return the carry and the best evaluation of the last committed record, or None if there is nothing to resume.

        The oracle is asked again at the stored trial (and at the best point, if that is another one): a few calls
        in exchange for never storing its answers. `point` only lends its structure.
        """
        if self._recording is None or not self._recording.resume:
            return None
        stored = load_checkpoint(self._recording.folder)
        if stored is None:
            return None
        leaves = iter(stored.leaves)
        base, trial, best = (_refill(point, leaves) for _ in range(3))
        evaluation = evaluate(trial)
        state = _refill(rule.init(evaluation), leaves)
        best_value, step_norm, accept = _refill((evaluation.value, evaluation.value, evaluation.value == 0.0), leaves)
        carry = Carry(base, trial, evaluation, state, best, best_value, step_norm, accept)
        columns = load(self._recording.folder).columns
        self._rows = list(zip(*(columns[name][: stored.index] for name in self._columns), strict=True))
        if self._rows:
            self._started -= float(self._rows[-1][-1])
        return carry, evaluation if evaluation.value == best_value else evaluate(best)

    def write(self, carry: Carry, grad_norm: float) -> int:
        """Commit one evaluation; returns its index. With a run folder, the row survives `kill -9` from here on."""
        row = (float(carry.evaluation.value), grad_norm, float(carry.step_norm), bool(carry.accept), self.seconds)
        index = len(self._rows)
        self._rows.append(row)
        if self._recording is not None:
            kept = (carry.base, carry.trial, carry.best, carry.state, carry.best_value, carry.step_norm, carry.accept)
            leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(kept)]
            if self._recorder is None:
                self._recorder = Recorder(
                    self._recording.folder,
                    columns=self._columns,
                    checkpoint=leaves,
                    spec=self._recording.spec,
                    resume=self._recording.resume,
                    durability=self._recording.durability,
                )
            if index >= self._recorder.next_index:
                self._recorder.append(dict(zip(self._columns, row, strict=True)), leaves)
        return index

    def accepted(self) -> list[float]:
        """Return the values of the trials that were accepted, before a resume, too; of the last one the next row will tell."""
        return [row[0] for row, after in itertools.pairwise(self._rows) if after[3]]

    def rows(self) -> list[np.ndarray]:
        """Return the columns of the whole run as arrays, in the order of `History`."""
        kinds = (np.float64, np.float64, np.float64, np.bool_, np.float64)
        return [np.asarray(c, kind) for c, kind in zip(zip(*self._rows, strict=True), kinds, strict=True)]

    def finish(self, reason: str, value: Any) -> None:
        """Pack the run folder and write down how the run ended; one out of budget or patience stays open, to be resumed with more."""
        if self._recorder is not None and reason in ("converged", "callback"):
            self._recorder.finish({"reason": reason, "value": float(value), "evaluations": len(self._rows)})


def _refill(template: PyTree, leaves: Any) -> PyTree:
    """Put stored leaves, in order, into the structure of `template`, each as the kind of array it was."""
    kinds, structure = jax.tree.flatten(template)
    filled = []
    for kind in kinds:
        leaf = next(leaves)
        if np.shape(leaf) != np.shape(kind):
            raise ValueError(
                f"The stored run has an array of shape {np.shape(leaf)} where this one has {np.shape(kind)}: it was recorded "
                "for another problem or rule. Resume with the same ones, or record into a new folder."
            )
        as_was = jnp.asarray if isinstance(kind, jax.Array) else np.asarray if isinstance(kind, np.ndarray) else type(kind)
        filled.append(as_was(leaf))
    return jax.tree.unflatten(structure, filled)
