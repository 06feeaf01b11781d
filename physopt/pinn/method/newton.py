"""Newton's method for the rows of a problem: least squares, linearized again only when it pays."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from physopt.pinn.least_squares import Factor

from .system import Guess, System

MOST, IDLE = 40, 3
ROUNDING = 1e-3  # what is larger is no rounding


class Newton(NamedTuple):
    """The outcome: the guess that was found, the factor at it or near it, and how many factors were made.

    - `settled`: whether the last step changed the fields by less than was asked for, or by `rounding` each time.
    """

    guess: Guess
    factor: Factor
    factors: int
    settled: bool
    rounding: float = 0.0


def newton(system: System, guess: Guess, accuracy: float) -> Newton:
    """Return the least squares solution near `guess`, to a relative change of the fields below `accuracy`.

    A factor is used again while each step is less than a fifth of the one before. A step that does not lower the residual is halved.
    Where small steps neither lower it nor get shorter, they are rounding, and the end.
    """
    factor, factors, last, fresh = system.factor(system.jacobian(guess)), 1, np.inf, True
    residual = system.residual(guess)
    idle = 0  # steps in a row that changed nothing
    noisy = bool(system.measured.any())  # the residual stays large, so that the solution hangs on the exact slopes
    for _ in range(MOST):
        if factor is None:
            factor, factors, fresh = system.factor(system.jacobian(guess)), factors + 1, True
        step = system.split(factor.solve(residual))
        share, trial, after = _shortened(system, guess, step, residual)
        change = share * _change(system, step, trial)
        if not np.isfinite(change) or (share == 0.0 and fresh):
            return Newton(guess, factor, factors, False)
        idle = idle + 1 if ROUNDING > change > 0.5 * last and np.linalg.norm(after) > (1.0 - 1e-3) * np.linalg.norm(residual) else 0
        if share > 0.0:
            guess, residual = trial, after
        if idle == IDLE and not noisy:
            return Newton(guess, factor, factors, True, change)
        if change <= accuracy and share == 1.0:
            return Newton(guess, factor, factors, True)
        if share < 1.0 or change > 0.2 * last or noisy:
            factor = None
        last, fresh = (change if share > 0.0 else np.inf), False
    return Newton(guess, factor or system.factor(system.jacobian(guess)), factors, False)


def _shortened(
    system: System, guess: Guess, step: Guess, residual: Float[np.ndarray, " rows"]
) -> tuple[float, Guess, Float[np.ndarray, " rows"]]:
    """Halve the step until the residual does not rise; a rise within rounding is none."""
    share, now = 1.0, np.linalg.norm(residual)
    while share > 1e-3:
        trial = guess.plus(step, share)
        after = system.residual(trial)
        if np.linalg.norm(after) <= now * (1.0 + 1e-3) + 1e-13:
            return share, trial, after
        share *= 0.5
    return 0.0, guess, residual


def _change(system: System, step: Guess, trial: Guess) -> float:
    """Return the largest relative change of a field or an unknown."""
    points, value = system.interior, [(0,) * system.interior.shape[1]]
    moved, there = (np.sqrt(np.mean(system.space.jets(points, value, g.coefficients) ** 2, axis=(0, 2))) for g in (step, trial))
    pairs = np.concatenate([moved, np.abs(step.unknowns)]), np.concatenate([there, np.abs(trial.unknowns)])
    return float(np.max(np.where(pairs[0] > 0.0, pairs[0] / np.maximum(pairs[1], 1e-300), 0.0), initial=0.0))
