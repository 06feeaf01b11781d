"""From an easy choice of the parameters to the one that was asked for, each solution beginning at those before."""

from collections.abc import Callable, Sequence

from physopt.pinn.answer import Answer
from physopt.pinn.problem import Problem

SHORTEST = 1 / 64  # of the way

Solved = Callable[[Problem, Sequence[Answer]], Answer]


def followed(problem: Problem, solved: Solved) -> tuple[list[Answer], int]:
    r"""Return the last answers on the way from `problem.easy` to the parameters of the problem, and how many systems were factorized.

    Parameters go through geometric means, $\mu_0^{1-s} \mu_1^s$, where both ends are positive, and along a line elsewhere. A step that
    fails is halved, and the one after a step that succeeds is doubled. Newton's method begins at the best combination of the last two
    answers, which is a secant.

    **Raises:** `FloatingPointError` where the steps get too short, with how far they came.

    ??? cite "Reference"
        Allgower, Georg, *Introduction to Numerical Continuation Methods* (2003), chapter 2.
    """
    answers: list[Answer] = []
    reached, step, factors = 0.0, 0.0, 0
    while reached < 1.0:
        try:
            answer = solved(_between(problem, reached + step), answers[-2:])
            factors += answer.factors
        except FloatingPointError:
            answer = None
        if answer is not None and answer.converged:
            answers, reached = [*answers, answer], reached + step
            step = min(2.0 * step, 1.0 - reached) or 0.5
        elif not answers:
            raise FloatingPointError(f"Newton's method finds no solution even with {_named(problem.easy)}; give an easier choice.")
        else:
            step /= 2.0
        if 0.0 < step < min(SHORTEST, 1.0 - reached):
            last = answers[-1].problem.parameters
            raise FloatingPointError(f"The solution is followed as far as {_named({name: last[name] for name in problem.easy})} only.")
    return answers[-2:], factors


def _between(problem: Problem, way: float) -> Problem:
    chosen = {}
    for name, easy in problem.easy.items():
        own = problem.parameters[name]
        chosen[name] = easy ** (1.0 - way) * own**way if min(easy, own) > 0.0 else easy + way * (own - easy)
    return problem.at(**chosen)


def _named(parameters: dict[str, float]) -> str:
    return ", ".join(f"{name} = {value:.4g}" for name, value in parameters.items())
