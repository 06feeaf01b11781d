"""Lists of equations with known solutions, and how they are checked: the error, and whether the solver's estimate of it is true.

    python tests/equations.py test_pinn_demos [NAME...]

prints a table of one list: errors, CPU seconds, columns, and how many lines a user has to write.
"""

import importlib
import inspect
import sys
import time

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.interpolate import RectBivariateSpline

from physopt.pinn import solve

ROUNDING = 1e-10  # below, an error is rounding, which no estimate tells


class Cases(dict):
    """A list of functions that return a problem with a reference."""

    def enter(self, tol, limit=None, slow=False, beyond="", title=""):
        """Enter a function: tolerance, largest true error (ten tolerances), and why it is `beyond` reach."""

        def entered(make):
            marks = [pytest.mark.slow] * slow + [pytest.mark.xfail(reason=beyond, strict=True)] * bool(beyond)
            make.title = title
            self[make.__name__] = pytest.param(make, tol, limit or 10.0 * tol, id=make.__name__, marks=marks)
            return make

        return entered


def errors(answer, keep=lambda points: np.ones(len(points), bool)):
    """Return the true relative errors of the worst field, without and with the correction, in the middles of small cells."""
    problem = answer.problem
    each = {1: 2000, 2: 100, 3: 24}[len(problem.ends)]
    axes = [low + (high - low) * (np.arange(each) + 0.5) / each for low, high in problem.ends]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))
    points = points[problem.domain.inside(points[:, : len(problem.domain.names)]) & keep(points)]
    plain = answer._replace(pieces=tuple(piece._replace(correction=0.0 * piece.correction) for piece in answer.pieces))
    exact = problem.exact(points)
    return [np.max(np.linalg.norm(one.at(points) - exact, axis=0) / np.linalg.norm(exact, axis=0)) for one in (plain, answer)]


def check(make, tol, limit):
    """Solve; what is called converged is right, and the estimate is within a factor of five of the error that it is an estimate of."""
    answer = solve(make(), tol)
    assert answer.converged, answer.why
    plain, corrected = errors(answer)
    assert corrected <= limit
    assert plain <= 5.0 * answer.error + ROUNDING, (answer.error, plain)
    # Where the start contradicts the boundary the error is that of the first moment, in which no cell has its middle.
    assert answer.error <= max(5.0 * plain, ROUNDING) or "contradict" in answer.why, (answer.error, plain)


def integrated(slope, start, time):
    """Return the solution of an ordinary differential equation as a function of an array of times."""
    dense = solve_ivp(slope, time, start, method="Radau", rtol=1e-10, atol=1e-13, dense_output=True).sol
    return lambda t: tuple(dense(t))


def chebyshev(num, low=-1.0, high=1.0):
    """Return Chebyshev's points, from low to high, and the matrix that differentiates values at them."""
    angle = np.pi * np.arange(num) / (num - 1)
    x = -np.cos(angle)
    weight = np.where((np.arange(num) == 0) | (np.arange(num) == num - 1), 2.0, 1.0) * (-1.0) ** np.arange(num)
    matrix = np.outer(weight, 1 / weight) / (x[:, None] - x + np.eye(num))
    matrix -= np.diag(matrix.sum(axis=1))
    return low + (high - low) * (x + 1) / 2, matrix * 2 / (high - low)


def lines(slope, start, x, time, num=801):
    """Return the solution of a discretized equation, one number for each place x, as a function of places and times."""
    times = np.linspace(*time, num)
    found = solve_ivp(slope, time, start, method="Radau", t_eval=times, rtol=1e-9, atol=1e-11).y
    spline = RectBivariateSpline(x, times, found, kx=5, ky=5, s=0)
    return lambda x, t: spline.ev(x, t)


def report(name, make, tol):
    """Print one line about a case."""
    began, problem = time.process_time(), make()
    try:
        answer = solve(problem, tol)
    except (FloatingPointError, ValueError) as error:
        return print(f"| {name} | {tol:.0e} | {type(error).__name__}: {error} |", flush=True)
    took = time.process_time() - began
    plain, corrected = errors(answer) if problem.reference else (np.nan, np.nan)
    lines, ended = len(inspect.getsource(make).strip().splitlines()), "converged" if answer.converged else answer.why
    print(
        f"| {make.title or name} | {tol:.0e} | {answer.error:.1e} | {plain:.1e} | {corrected:.1e} | {answer.size} | {took:.1f} | {lines} | "
        f"{ended} {answer.unknowns or ''}",
        flush=True,
    )


if __name__ == "__main__":
    import jax

    jax.config.update("jax_enable_x64", True)
    cases = importlib.import_module(sys.argv[1]).CASES
    for name in sys.argv[2:] or cases:
        report(name, *cases[name].values[:2])
