"""A folder of solved problems, from which the next solution begins; any number of processes read and write it."""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from physopt.meta.starts import Folder, Solve, Task, task_of
from physopt.pinn.answer import Answer, Piece
from physopt.pinn.bases import AbstractBasis, Chebyshev, Fourier, Ring, Spline
from physopt.pinn.problem import Problem
from physopt.pinn.space import Products

from .near import remainder

MOST = 4  # neighbours that a solution begins from
APART = math.log(3.0)  # of a parameter: farther away, windows and spaces say little
SAME = 10.0  # times what a recorded answer left of its own residual: if it leaves more now, the equation is another one
SIZED: dict[str, Any] = {"Fourier": Fourier, "Chebyshev": Chebyshev}
KNOTTED: dict[str, Any] = {"Spline": Spline, "Ring": Ring}


class ForeignAnswerWarning(UserWarning):
    """A recorded answer does not solve the equation that it is asked about, and is left out."""


class Library:
    """Answers to one problem with several parameters; the folder is made with the first.

    **Arguments:** `folder`: of the answers. `problem`: what is to be solved next.

    **Raises:** `ValueError` for a problem without parameters, of which there is only one.
    """

    def __init__(self, folder: str | Path, problem: Problem) -> None:
        if not problem.parameters:
            raise ValueError("A library tells problems apart by their parameters, and this one has none: write Problem(..., nu=0.01).")
        self._folder, self._problem = Folder(folder), problem

    def near(self) -> list[Answer]:
        """Return the nearest answers, at most four, no parameter of which is off by more than a factor of three."""
        apart = [(distance(self._problem, _posed(self._problem, solve)), solve) for solve in self._folder.solves(_task(self._problem).kind)]
        close = sorted((one for one in apart if one[0] <= APART), key=lambda one: one[0])
        answers = []
        for _, solve in close[:MOST]:
            try:
                answer, left = _answer(self._problem, solve)
            except (ValueError, TypeError, KeyError, IndexError) as error:
                warnings.warn(f"A recorded answer is left out: {error}.", ForeignAnswerWarning, stacklevel=3)
                continue
            if self._is_of_this_equation(answer, left):
                answers.append(answer)
        return answers

    def add(self, answer: Answer) -> None:
        """Write an answer that converged, unless its pieces are none of the kind that a library holds."""
        if answer.converged and all(isinstance(piece, Piece) for piece in answer.pieces):
            self._folder.add(_solve(answer))

    def _is_of_this_equation(self, answer: Answer, recorded: float) -> bool:
        left = remainder(answer.problem, answer)
        if left <= SAME * max(recorded, 1e-12):
            return True
        at = ", ".join(f"{name} = {value:.4g}" for name, value in answer.problem.parameters.items())
        warnings.warn(
            f"{self._folder.path}: the answer with {at} does not solve this equation (a residual of {left:.1e} instead of {recorded:.1e}) "
            "and is left out. Take another folder for another equation.",
            ForeignAnswerWarning,
            stacklevel=4,
        )
        return False


def distance(problem: Problem, other: Problem) -> float:
    r"""Return the largest $|\ln \mu_i / \mu'_i|$; where signs differ, the relative difference takes its place."""
    apart = 0.0
    for name, own in problem.parameters.items():
        value = other.parameters[name]
        ratio = abs(math.log(own / value)) if own * value > 0.0 else abs(own - value) / max(abs(own), abs(value), 1e-300)
        apart = max(apart, ratio)
    return apart


def _task(problem: Problem) -> Task:
    words = {"of fields": " ".join(problem.fields), "of coordinates": " ".join(problem.coordinates), "of ends": str(problem.ends)}
    return task_of({**problem.parameters, **words, "of unknowns": " ".join(problem.unknowns)})


def _solve(answer: Answer) -> Solve:
    arrays, pieces = [np.array([*answer.unknowns.values(), *answer.deviations.values()])], []
    for piece in answer.pieces:
        assert isinstance(piece, Piece)
        described: dict[str, Any] = {"window": None if piece.window is None else list(piece.window)}
        for name, space, coefficients in (("space", piece.space, piece.coefficients), ("finer", piece.finer, piece.correction)):
            described[name] = [_described(basis) for basis in space.bases]
            arrays += [basis.spans for basis in space.bases if isinstance(basis, Spline | Ring)]
            arrays.append(coefficients.ravel())
        pieces.append(described)
    about = {name: getattr(answer, name) for name in ("converged", "why", "factors", "size")}
    about |= {"pieces": pieces, "deviations": list(answer.deviations), "left": remainder(answer.problem, answer)}
    return Solve(_task(answer.problem), np.concatenate(arrays), answer.error, about=about)


def _described(basis: AbstractBasis) -> list[Any]:
    name = type(basis).__name__
    if isinstance(basis, Spline | Ring):
        return [name, len(basis.spans)]
    return [name, basis.low, basis.high, basis.harmonics if isinstance(basis, Fourier) else basis.size]


class _Reader:
    """Takes arrays from the front of a vector."""

    def __init__(self, vector: Float[np.ndarray, " n"]) -> None:
        self._rest = vector

    def take(self, size: int) -> Float[np.ndarray, " size"]:
        if not 0 <= size <= len(self._rest):
            raise ValueError(f"{size} numbers are wanted, {len(self._rest)} are left")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def space(self, described: list[Any], fields: int) -> tuple[Products, Float[np.ndarray, "size fields"]]:
        bases = [
            KNOTTED[name](self.take(int(numbers[0]))) if name in KNOTTED else SIZED[name](*map(float, numbers[:2]), int(numbers[2]))
            for name, *numbers in described
        ]
        space = Products(bases)
        return space, self.take(space.size * fields).reshape(space.size, fields)


def _posed(problem: Problem, solve: Solve) -> Problem:
    """Return the problem with the parameters of a recorded answer."""
    return problem.at(**dict(zip(sorted(problem.parameters), solve.task.vector.tolist(), strict=True)))


def _answer(problem: Problem, solve: Solve) -> tuple[Answer, float]:
    """Return the answer, and what it left of its own residual."""
    about, reader, fields = solve.about, _Reader(solve.point), len(problem.fields)
    problem = _posed(problem, solve)
    unknowns = dict(zip(problem.unknowns, reader.take(len(problem.unknowns)).tolist(), strict=True))
    deviations = {str(name): float(reader.take(1)[0]) for name in about["deviations"]}
    pieces = []
    for piece in about["pieces"]:
        window = None if piece["window"] is None else (float(piece["window"][0]), float(piece["window"][1]))
        pieces.append(Piece(window, *reader.space(piece["space"], fields), *reader.space(piece["finer"], fields)))
    words = bool(about["converged"]), str(about["why"])
    answer = Answer(problem, tuple(pieces), solve.value, *words, unknowns, deviations, int(about["factors"]), int(about["size"]))
    return answer, solve.number("left")
