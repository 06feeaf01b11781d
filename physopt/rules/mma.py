"""The method of moving asymptotes, and its globally convergent version."""

import dataclasses

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, PyTree
from numpy import ndarray

from physopt.core.boxed import Program, boxed_program, declined
from physopt.core.problem import Endpoint, Evaluation, finite
from physopt.core.rule import AbstractRule, Move

from .asymptotes import Approximation, Asymptotes, approximate
from .price import first_price

CONVEX = 1e-5  # fraction of the mean slope that keeps approximations strictly convex
NEAREST, FARTHEST = 0.01, 10.0  # asymptotes, in spans


class Poles(eqx.Module):
    r"""How asymptotes move: apart by `wider` if a variable keeps its direction, together by `narrower` if it turns back.

    They begin at `start` spans from the design. Svanberg's values are 0.5, 1.2 and 0.7.
    """

    start: float = 0.5
    wider: float = 1.2
    narrower: float = 0.7

    def __check_init__(self) -> None:
        if not (0.0 < self.start <= FARTHEST and self.wider >= 1.0 and 0.0 < self.narrower <= 1.0):
            raise ValueError(f"{self}: start lies between 0 and {FARTHEST:g}, wider is at least 1 and narrower at most 1 and above 0.")

    def first(self, program: Program) -> Asymptotes:
        """Return the asymptotes before the first step."""
        x, reach = program.design, self.start * program.span
        return Asymptotes(x - reach, x + reach, x, x)

    def moved(self, program: Program, known: Asymptotes) -> Asymptotes:
        """Return the asymptotes for the next approximation, given those of the last."""
        x, span = program.design, program.span
        turn = (x - known.last) * (known.last - known.before)
        factor = np.where(turn > 0.0, self.wider, np.where(turn < 0.0, self.narrower, 1.0))
        low = np.clip(x - factor * (known.last - known.lower), x - FARTHEST * span, x - NEAREST * span)
        high = np.clip(x + factor * (known.upper - known.last), x + NEAREST * span, x + FARTHEST * span)
        return Asymptotes(low, high, x, known.last)


class MMAState(eqx.Module):
    """The asymptotes, the last price of volume, the design proposed last, and whether one was ever accepted."""

    asymptotes: Asymptotes
    price: float
    trial: Float[ndarray, "..."]
    begun: bool


class MMA(AbstractRule):
    r"""Go to the minimizer of a separable convex approximation, whose poles adapt to oscillation.

    The approximation of the volume is conservative: no design exceeds it, and early ones use less.

    **Arguments:**

    - `poles`: how the asymptotes move. `move`: the largest change in one step, as a fraction of each variable's span.

    **Raises:** `ValueError` if the slopes are not the derivatives of the values.

    ??? cite "Reference"
        Svanberg, Int. J. Numer. Meth. Eng. 24 (1987) 359.
    """

    poles: Poles = Poles()
    move: float = 0.5

    def init(self, evaluation: Evaluation) -> MMAState:
        """Place the first asymptotes."""
        program = exact_program(evaluation)
        return MMAState(self.poles.first(program), first_price(program), program.design, False)

    def step(self, evaluation: Evaluation, state: MMAState) -> tuple[Move, MMAState]:
        """Accept the trial and go to the minimizer of its approximation."""
        program = exact_program(evaluation)
        if not finite(evaluation):
            move, trial = declined(evaluation, state.begun, state.asymptotes.last, state.trial)
            return move, dataclasses.replace(state, trial=trial)
        if not state.begun:
            state = self.init(evaluation)
        asymptotes = self.poles.moved(program, state.asymptotes)
        design, price = approximate(program, asymptotes, self.move, CONVEX * _mean_slopes(program)).minimizer(state.price)
        return Move(Endpoint(design), accept=True), MMAState(asymptotes, price or state.price, design, True)

    def take_up(self, evaluation: Evaluation, known: MMAState) -> MMAState:
        """Return the state known; at another design the asymptotes keep their distance to it."""
        known, x = super().take_up(evaluation, known), exact_program(evaluation).design
        if np.array_equal(known.trial, x):
            return known
        half = known.asymptotes.half_width()
        return dataclasses.replace(known, asymptotes=Asymptotes(x - half, x + half, x, x))

    def known(self, state: PyTree) -> MMAState | None:
        """Return the state of `MMA` that there is in a state, such as that of a rule around it."""
        parts = jax.tree.leaves(state, is_leaf=lambda part: isinstance(part, MMAState))
        return next((part for part in parts if isinstance(part, MMAState)), None)


class GCMMAState(eqx.Module):
    """The approximation at the base (there after the first step), its curvature, and the last price of volume."""

    asymptotes: Asymptotes
    price: float
    base: Program
    design: Float[ndarray, "..."]
    curvature: Float[ndarray, " k"]
    searching: bool


class GCMMA(AbstractRule):
    r"""Moving asymptotes that accept a trial only if the approximation was conservative, $\tilde f_k(x) \ge f_k(x)$.

    Otherwise the curvature $\rho_k$ grows and the next trial starts from the same base, so that values fall in every accepted step.

    **Arguments:**

    - `poles`, `move`: as for `MMA`.

    **Raises:** `ValueError` if the slopes are not the derivatives of the values.

    ??? cite "Reference"
        Svanberg, SIAM J. Optim. 12 (2002) 555.
    """

    poles: Poles = Poles()
    move: float = 0.5

    def init(self, evaluation: Evaluation) -> GCMMAState:
        """Place the first asymptotes."""
        program = exact_program(evaluation)
        return GCMMAState(self.poles.first(program), first_price(program), program, program.design, _curvatures(program), False)

    def step(self, evaluation: Evaluation, state: GCMMAState) -> tuple[Move, GCMMAState]:
        """Accept the trial if the approximation was conservative there, else make it more conservative."""
        program = exact_program(evaluation)
        if state.searching:
            model = approximate(state.base, state.asymptotes, self.move, state.curvature)
            missing = program.values - model.values(program.design)
            slack = 1e-10 * np.abs(state.base.values)
            if not finite(evaluation):
                missing = np.full_like(missing, np.nan)  # nothing that it says is known
            if not (missing <= slack).all():
                curvature = _grown(model, program.design, missing, state.curvature)
                design, price = approximate(state.base, state.asymptotes, self.move, curvature).minimizer(state.price)
                next_state = GCMMAState(state.asymptotes, price or state.price, state.base, design, curvature, True)
                return Move(Endpoint(design), accept=False), next_state
        elif not finite(evaluation):
            return declined(evaluation, False, state.design, state.design)[0], state
        else:
            state = self.init(evaluation)
        asymptotes, curvature = self.poles.moved(program, state.asymptotes), _curvatures(program)
        design, price = approximate(program, asymptotes, self.move, curvature).minimizer(state.price)
        return Move(Endpoint(design), accept=True), GCMMAState(asymptotes, price or state.price, program, design, curvature, True)


def exact_program(evaluation: Evaluation) -> Program:
    """Return the program that the model was made from; `ValueError` if approximations cannot be built on it."""
    program = boxed_program(evaluation)
    if not program.exact:
        raise ValueError(
            "This rule does not converge with a sensitivity filter, whose slopes are the derivatives of no function; "
            "use a density filter, or the optimality criteria."
        )
    return program


def _mean_slopes(program: Program) -> Float[ndarray, " k"]:
    return np.abs(program.slopes * program.span).reshape(len(program.slopes), -1).mean(axis=1)


def _curvatures(program: Program) -> Float[ndarray, " k"]:
    return np.maximum(0.1 * _mean_slopes(program), 1e-300)


def _grown(
    model: Approximation, design: Float[ndarray, "..."], missing: Float[ndarray, " k"], curvature: Float[ndarray, " k"]
) -> Float[ndarray, " k"]:
    """Return curvatures that would have been conservative at a design, at most ten times the last."""
    x, low, high = model.program.design, model.asymptotes.lower, model.asymptotes.upper
    distance = float(((high - low) * (design - x) ** 2 / ((high - design) * (design - low) * model.program.span)).sum())
    wanted = np.where(np.isfinite(missing), 1.1 * (curvature + np.maximum(missing, 0.0) / max(distance, 1e-300)), np.inf)
    return np.where(missing > 0.0, np.minimum(wanted, 10.0 * curvature), np.where(np.isfinite(missing), curvature, 10.0 * curvature))
