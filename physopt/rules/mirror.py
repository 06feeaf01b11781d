"""Mirror descent in the latent variable of a bounded design."""

import equinox as eqx
import numpy as np
import scipy.special
from jaxtyping import Float
from numpy import ndarray

from physopt.core.boxed import Program, declined
from physopt.core.problem import Endpoint, Evaluation, finite
from physopt.core.rule import AbstractRule, Move

from .mma import exact_program
from .price import first_price, priced

EDGE = 1e-12  # how near a bound a latent variable stays finite


class MirrorState(eqx.Module):
    """The base and the trial with their latent variables, the step length between them, and the last price."""

    base: Program
    latent: Float[ndarray, "..."]
    trial: Float[ndarray, "..."]
    trial_latent: Float[ndarray, "..."]
    length: float
    price: float
    begun: bool


class MirrorDescent(AbstractRule):
    r"""$\psi \leftarrow \psi - \alpha (f' + \mu w)$ for $x = l + (u - l)\,\sigma(\psi)$: steps in the metric of the Fermi-Dirac entropy.

    The step length is Barzilai and Borwein's in the latent geometry,
    $\alpha = \langle \Delta\psi, \Delta x \rangle / \langle \Delta f', \Delta x \rangle$, halved while the value does not decrease
    enough (Armijo). The price $\mu$ is the multiplier of the volume constraint.

    **Arguments:**

    - `first`: the change of $\psi$ in the first step where the slope has its mean magnitude.
    - `sufficient`: Armijo's constant. `longest`: the longest step, in first steps.

    ??? cite "Reference"
        Kim, Lazarov, Surowiec, Keith, *A simple introduction to the SiMPL method for density-based topology optimization*,
        arXiv:2411.19421 (2024).
    """

    first: float = 1.0
    sufficient: float = 1e-4
    longest: float = 1e3

    def init(self, evaluation: Evaluation) -> MirrorState:
        """Start from the design's own latent variable."""
        program = exact_program(evaluation)
        latent = scipy.special.logit(np.clip((program.design - program.lower) / program.span, EDGE, 1.0 - EDGE))
        return MirrorState(program, latent, program.design, latent, self.first / _usual(program), first_price(program), False)

    def step(self, evaluation: Evaluation, state: MirrorState) -> tuple[Move, MirrorState]:
        """Accept the trial and go on from it, or try half the step from the base."""
        program = exact_program(evaluation)
        if not state.begun:
            if not finite(evaluation):
                return declined(evaluation, False, state.trial, state.trial)[0], state
            state = self.init(evaluation)
            return self._move(program, state.latent, state.length, state.price, accept=True)
        base = state.base
        if not finite(evaluation):
            return self._move(base, state.latent, 0.5 * state.length, state.price, accept=False)
        change, bend = state.trial - base.design, program.slope - base.slope
        enough = base.values[0] + self.sufficient * float((base.slope * change).sum()) + 1e-12 * abs(float(base.values[0]))
        if program.values[0] > enough:
            return self._move(base, state.latent, 0.5 * state.length, state.price, accept=False)
        curved, along = float((bend * change).sum()), float(((state.trial_latent - state.latent) * change).sum())
        longest = self.longest * self.first / _usual(program)
        length = min(along / curved if curved > 0.0 else 2.0 * state.length, longest)
        return self._move(program, state.trial_latent, length, state.price, accept=True)

    def _move(self, base: Program, latent: Float[ndarray, "..."], length: float, price: float, *, accept: bool) -> tuple[Move, MirrorState]:
        bound = scipy.special.logit(1.0 - EDGE)

        def moved(price: float) -> Float[ndarray, "..."]:
            return np.clip(latent - length * base.span * (base.slope + price * base.weights), -bound, bound)

        def design(price: float) -> Float[ndarray, "..."]:
            return base.lower + (base.upper - base.lower) * scipy.special.expit(moved(price))

        trial, found = priced(base, design, price)
        return Move(Endpoint(trial), accept), MirrorState(base, latent, trial, moved(found), length, found or price, True)


def _usual(program: Program) -> float:
    # Not the largest: under a point load that grows with the number of elements.
    return max(float(np.abs(program.slope * program.span).mean()), 1e-300)
