"""A folder of solved problems, from which the next solution begins; any number of processes read and write it."""

import math
import warnings
from pathlib import Path

from physopt.meta.starts import Folder, Solve, Task, task_of
from physopt.pinn.answer import Answer, Piece
from physopt.pinn.problem import Problem

from .near import distance, remainder
from .packed import packed, unpacked

MOST = 4  # neighbours that a solution begins from
APART = math.log(3.0)  # of a parameter: farther away, windows and spaces say little
SAME = 10.0  # times what a recorded answer left of its own residual: if it leaves more now, the equation is another one


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


def _task(problem: Problem) -> Task:
    words = {"of fields": " ".join(problem.fields), "of coordinates": " ".join(problem.coordinates), "of ends": str(problem.ends)}
    return task_of({**problem.parameters, **words, "of unknowns": " ".join(problem.unknowns)})


def _solve(answer: Answer) -> Solve:
    described, numbers = packed((answer.pieces, answer.unknowns, answer.deviations))
    about = {name: getattr(answer, name) for name in ("converged", "why", "factors", "size")}
    about |= {"answer": described, "left": remainder(answer.problem, answer)}
    return Solve(_task(answer.problem), numbers, answer.error, about=about)


def _posed(problem: Problem, solve: Solve) -> Problem:
    """Return the problem with the parameters of a recorded answer."""
    return problem.at(**dict(zip(sorted(problem.parameters), solve.task.vector.tolist(), strict=True)))


def _answer(problem: Problem, solve: Solve) -> tuple[Answer, float]:
    """Return the answer, and what it left of its own residual."""
    about, problem = solve.about, _posed(problem, solve)
    pieces, unknowns, deviations = unpacked(about["answer"], solve.point)
    if not (pieces and all(isinstance(piece, Piece) for piece in pieces) and list(unknowns) == list(problem.unknowns)):
        raise ValueError("it is none of this problem")
    words = bool(about["converged"]), str(about["why"])
    answer = Answer(problem, pieces, solve.value, *words, unknowns, deviations, int(about["factors"]), int(about["size"]))
    return answer, solve.number("left")
