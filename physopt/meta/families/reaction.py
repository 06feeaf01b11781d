"""Rate constants of a network of reactions, fitted to noisy concentrations."""

from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from numpy import ndarray

from .physics import AbstractPhysics

# Which species each of the eight reactions consumes and makes; two of them on the left make it second order.
STEPS = (((0,), (1,)), ((1,), (0,)), ((1,), (2,)), ((2,), (1,)), ((0, 2), (3,)), ((3,), (0, 2)), ((3,), (4,)), ((1, 1), (5,)))
TIMES, NOISE, PRIOR, STEP = 12, 0.01, 0.3, 0.125
LOG_RATES = np.log([1.0, 0.4, 0.8, 0.3, 1.2, 0.3, 0.5, 0.6])


class Reaction(AbstractPhysics):
    r"""Fit eight logarithmic rate constants to concentrations: $\tfrac12 \sum_{i=1}^{72} (y_i(x) - d_i)^2 / 0.01^2 + \tfrac12 |0.3 x|^2$.

    The task is what an experimenter has: two initial amounts, and the 72 readings, six at each of twelve times, with noise of 0.01. Four
    hidden numbers decide on the true rate constants. Noise decides on the solution, so that this family shows what learning cannot do.

    **Arguments:** `turned`: another set of true rate constants, and another fifth reaction.

    ??? cite "Reference"
        Villaverde et al., "BioPreDyn-bench", *BMC Syst. Biol.* 9 (2015) 8 (parameter estimation in reaction networks).
    """

    turned: bool = eqx.field(default=False, static=True)
    traceable: bool = eqx.field(default=True, static=True)
    ranges: ClassVar = {"a": (0.7, 1.3), "b": (0.2, 0.6), **{f"hidden{k}": (-1.0, 1.0) for k in range(4)}}
    limits: ClassVar = {"a": (0.05, np.inf), "b": (0.05, np.inf)}
    frame: ClassVar = "logarithms of the rate constants"

    @property
    def unknowns(self) -> int:
        """One for each reaction."""
        return 8

    def concentrations(self, log_rates: Float[Array, " 8"], a: Any, b: Any) -> Float[Array, " 72"]:
        """Return six concentrations at twelve times, by the Runge-Kutta method of fourth order."""
        steps = STEPS if not self.turned else (*STEPS[:4], ((1, 2), (3,)), *STEPS[5:])
        change = np.array([[made.count(i) - lost.count(i) for lost, made in steps] for i in range(6)])
        rates = jnp.exp(log_rates)

        def slope(c: Float[Array, " 6"]) -> Float[Array, " 6"]:
            speeds = jnp.stack([c[lost[0]] * (c[lost[1]] if len(lost) > 1 else 1.0) for lost, _ in steps])
            return jnp.asarray(change) @ (rates * speeds)

        def step(c: Float[Array, " 6"], _: None) -> tuple[Float[Array, " 6"], Float[Array, " 6"]]:
            k1 = slope(c)
            k2 = slope(c + 0.5 * STEP * k1)
            k3 = slope(c + 0.5 * STEP * k2)
            k4 = slope(c + STEP * k3)
            c = c + STEP / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
            return c, c

        start = jnp.zeros(6).at[0].set(a).at[1].set(b)
        return jax.lax.scan(step, start, None, length=4 * TIMES)[1][3::4].ravel()

    def residual(self, x: Float[Array, " n"], mu: Float[Array, " mu"]) -> Float[Array, " r"]:
        """Return the weighted residuals."""
        return jnp.concatenate([(self.concentrations(x, mu[0], mu[1]) - mu[2:]) / NOISE, PRIOR * x])

    def value(self, x: Float[Array, " n"], mu: Float[Array, " mu"]) -> Float[Array, ""]:
        """Return half the sum of their squares."""
        return 0.5 * (self.residual(x, mu) ** 2).sum()

    def task(self, hidden: Float[Array, " h"], key: PRNGKeyArray) -> Float[Array, " mu"]:
        """Return the initial amounts and noisy readings."""
        mix = np.random.default_rng(3).normal(size=(8, 4)) * 0.35
        log_rates = jnp.asarray(LOG_RATES[::-1] if self.turned else LOG_RATES) + mix @ hidden[2:]
        readings = self.concentrations(log_rates, hidden[0], hidden[1])
        return jnp.concatenate([hidden[:2], readings + NOISE * jax.random.normal(key, readings.shape)])

    def named(self, mu: Float[ndarray, " mu"]) -> dict[str, Any]:
        """Return the initial amounts and the readings."""
        return {"a": float(mu[0]), "b": float(mu[1]), "data": mu[2:]}

    def vector(self, named: Mapping[str, Any]) -> Float[ndarray, " mu"]:
        """Return the task vector of parts by names, which may come in any order."""
        return np.concatenate([[named["a"], named["b"]], named["data"]])

    def cold(self) -> Float[ndarray, " n"]:
        """Return equal rate constants."""
        return np.full(8, -0.5)

    def novel(self) -> "Reaction":
        """Return other reactions."""
        return Reaction(turned=True)
