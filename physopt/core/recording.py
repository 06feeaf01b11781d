"""The driver's tape: what a run records while it goes, and how a killed run is resumed."""

import dataclasses
import itertools
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .answers import lent
from .described import describe, sketch
from .iterate import Carry
from .problem import AbstractProblem, Evaluation
from .rule import AbstractRule
from .trajectory import FULL, Column, Recorder, RecordingStoppedWarning, compare, load, load_checkpoint, refuse_occupied, try_folder
from .weights import described_module


@dataclasses.dataclass(frozen=True)
class Recording:
    """Where and how to record a run.

    - `folder`: the run folder, made if missing. One folder holds one run.
    - `spec`: provenance stored with the numbers (molecule, seed, command line); anything that JSON can hold.
    - `resume`: continue a killed run from its last committed record instead of refusing the folder. Problem, rule and start must be
      the same; budget and tolerances may change. The error names what differs.
    - `durability`: "process" survives `kill -9`; "power" also syncs the disk after each record.
    - `asked`: further names and values that a resumed run must have in common with the recorded one.
    """

    folder: str | Path
    spec: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    resume: bool = False
    durability: Literal["process", "power"] = "process"
    asked: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, record: "str | Path | Recording | None") -> "Recording | None":
        """Return the recording that a folder, or a recording, stands for."""
        return cls(record) if isinstance(record, str | Path) else record

    def check(self) -> None:
        """Raise `FileExistsError` now if the folder cannot take this run: before anything is computed."""
        refuse_occupied(Path(self.folder), self.resume)

    def in_part(self, name: str) -> "Recording":
        """Return the recording of a part of this run, in a folder of its own below."""
        return dataclasses.replace(self, folder=Path(self.folder) / name)

    def asking(self, **asked: Any) -> "Recording":
        """Return the recording with these further values, each described, that a resumed run must have in common.

        **Raises:** `ValueError` if it is to be resumed and was asked for something else.
        """
        whole = {name: describe(each) for name, each in {**self.asked, **asked}.items()}
        if self.resume:
            compare(Path(self.folder), whole)
        return dataclasses.replace(self, asked=whole)

    def prepared(self, *, parts: bool = False) -> "Recording | None":
        """Make and test the folder, and return the recording; `None`, with a warning, on a full disk.

        **Raises:** `FileExistsError` if the folder cannot take this run, `OSError` if it cannot be made or written.
        """
        refuse_occupied(Path(self.folder), self.resume, parts=parts)
        try:
            try_folder(Path(self.folder))
        except OSError as error:
            if error.errno not in FULL:
                raise
            _warn_of_full_disk(self.folder, error)
            return None
        return self

    def recorder(self, columns: Mapping[str, Column], leaves: Mapping[str, Any]) -> Recorder | None:
        """Return the writer of this run, given the names and arrays of its checkpoint; `None`, with a warning, on a full disk."""
        try:
            return Recorder(
                self.folder,
                columns=columns,
                checkpoint=list(leaves.values()),
                spec=self.spec,
                resume=self.resume,
                durability=self.durability,
                asked=self.asked,
                leaves=list(leaves),
            )
        except OSError as error:
            if error.errno not in FULL:
                raise
            _warn_of_full_disk(self.folder, error)
            return None


def _warn_of_full_disk(folder: str | Path, error: OSError) -> None:
    text = f"{folder} is not recorded: {error.strerror or error}. The calculation goes on; free space, or record elsewhere."
    warnings.warn(text, RecordingStoppedWarning, stacklevel=5)


def module_of(found: PyTree) -> dict[str, Any]:
    """Return what a weight file needs to know about the point of a run, if that is a module."""
    return {"module": described_module(found)} if isinstance(found, eqx.Module) else {}


def named_leaves(**trees: PyTree) -> dict[str, np.ndarray]:
    """Return the arrays of trees, in order, named by tree and by position in the tree."""
    found = {name: jax.tree_util.tree_flatten_with_path(tree)[0] for name, tree in trees.items()}
    return {f"{name}{jax.tree_util.keystr(path)}": np.asarray(leaf) for name, leaves in found.items() for path, leaf in leaves}


class Tape:
    """One row per evaluation, in memory and, if asked, in a run folder together with a checkpoint to resume from."""

    def __init__(
        self, record: str | Path | Recording | None, problem: AbstractProblem, rule: AbstractRule, point: PyTree, known: PyTree = None
    ):
        recording = Recording.of(record)
        if recording is not None:
            begun = {} if known is None else {"state": sketch(known)}
            recording = recording.asking(problem=problem, rule=rule, start=sketch(point), **begun, **module_of(point)).prepared()
        self._recording = recording
        self._problem, unit = problem, problem.unit
        self._shown: tuple[Any, Mapping[str, np.ndarray]] = (None, {})
        self._shows, self._older = True, False  # an older record has no costs, and no state of the best point
        self._columns = {
            "value": Column(unit),
            "grad_norm": Column(f"{unit} / tangent"),
            "step_norm": Column("tangent"),
            "accept": Column("1", dtype="u1"),
            "cost": Column("call"),
            "seconds": Column("s"),
        }
        self._rows: list[tuple[float, ...]] = []
        self._recorder: Recorder | None = None
        self._started = time.perf_counter()
        self.cost = 0.0  # of the run so far, in full calls of the oracle
        self.resumed = (0, 0)  # rows read from the record, and oracle calls beyond those that the rows count

    def __enter__(self) -> "Tape":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._recorder is not None:
            self._recorder.close()

    @property
    def seconds(self) -> float:
        """Seconds since the run began, those before a resume included."""
        return time.perf_counter() - self._started

    def restore(
        self, evaluate: Callable[[PyTree], Evaluation], rule: AbstractRule, point: PyTree
    ) -> tuple[Carry, tuple[Evaluation, PyTree]] | None:
        """Return the carry of the last committed record, and the best evaluation with its state; None if there is nothing to resume.

        The oracle is called again at the stored trial (and at the best point, if that is another one). These few calls
        avoid storing its answers. Only the structure of `point` is used.
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
        run = load(self._recording.folder)
        self._shows, self._older = bool(run.leaves), "cost" not in run.columns  # an older record goes on with the arrays that it has
        cost = evaluation.cost if self._older else _refill(evaluation.value, leaves)
        carry = Carry(base, trial, evaluation, state, best, best_value, step_norm, accept, cost)
        columns = {"cost": np.ones(run.num_records), **run.columns}
        self._rows = list(zip(*(columns[name][: stored.index] for name in self._columns), strict=True))
        self.cost = float(sum(columns["cost"][: stored.index]))
        if self._rows:
            self._started -= float(self._rows[-1][-1])
        again = evaluation.value != best_value
        self.resumed = (stored.index, int(again))
        if not again:
            return carry, (evaluation, state)
        lowest = evaluate(best)
        return carry, (lowest, rule.init(lowest) if self._older else _refill(state, leaves))

    def write(self, carry: Carry, grad_norm: float, lowest: PyTree) -> int:
        """Commit one evaluation; returns its index. With a run folder, the row survives `kill -9` from here on.

        **Arguments:** `lowest` is the state at the best point.
        """
        numbers = (float(carry.evaluation.value), grad_norm, float(carry.step_norm), bool(carry.accept), float(carry.cost))
        row = (*numbers, self.seconds)
        self.cost += numbers[-1]
        index = len(self._rows)
        self._rows.append(row)
        if self._recording is not None:
            leaves = self._leaves(carry, lowest)
            if self._recorder is None:
                columns = {name: column for name, column in self._columns.items() if not (self._older and name == "cost")}
                self._recorder = self._recording.recorder(columns, leaves)
            if self._recorder is None:
                self._recording = None
            elif index >= self._recorder.next_index:
                named = zip(self._columns, row, strict=True)
                told = {name: number for name, number in named if not (self._older and name == "cost")}
                self._recorder.append(told, list(leaves.values()))
        return index

    def _leaves(self, carry: Carry, lowest: PyTree) -> dict[str, np.ndarray]:
        """Return what to resume from, and what others can read of the best point."""
        if self._shows and self._shown[0] is not carry.best:
            self._shown = (carry.best, self._problem.shown(lent(carry.best)))
        names = ("base", "trial", "best", "state", "best_value", "step_norm", "accept", *(() if self._older else ("cost",)))
        state = {} if self._older else {"lowest": lowest}
        return named_leaves(**{name: getattr(carry, name) for name in names}, **state, shown=dict(self._shown[1]))

    def accepted(self) -> list[float]:
        """Return the values of the accepted trials, those before a resume included; the last trial is decided by the next row."""
        return [row[0] for row, after in itertools.pairwise(self._rows) if after[3]]

    def rows(self) -> list[np.ndarray]:
        """Return the columns of the whole run as arrays, in the order of `History`."""
        kinds = (np.float64, np.float64, np.float64, np.bool_, np.float64, np.float64)
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(kinds)
        return [np.asarray(c, kind) for c, kind in zip(columns, kinds, strict=True)]

    def finish(self, reason: str, value: Any) -> None:
        """Record how the run ended, and pack the folder; a run out of budget or patience stays open, to be resumed with more."""
        if self._recorder is not None:
            end = self._recorder.finish if reason in ("converged", "callback") else self._recorder.end
            end({"reason": reason, "value": float(value), "evaluations": len(self._rows)})


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
