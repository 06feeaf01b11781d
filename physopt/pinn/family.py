"""A network on one equation with random parameters: a family of problems, to train rules on."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from physopt.core.problem import AbstractFamily

from .network import Network


class NetworkFamily(AbstractFamily):
    """Networks on an equation whose parameters lie between two bounds: uniform, or uniform in the logarithm where both are positive.

    **Arguments:**

    - `template`: a network on the equation, whose places, shape and units all have.
    - `low`, `high`: bounds of the parameters, in the order in which the equation has them.
    """

    template: Network
    low: Float[Array, " q"]
    high: Float[Array, " q"]
    traceable: bool = eqx.field(default=True, static=True)

    def __check_init__(self) -> None:
        if self.low.shape != self.high.shape or self.low.shape != self.template.parameters.shape or not (self.low < self.high).all():
            raise ValueError(
                f"The bounds are {self.low} and {self.high} for {self.template.parameters.size} parameters; write one lower and one "
                "higher number for each."
            )

    def sample(self, key: PRNGKeyArray | Array) -> Float[Array, " q"]:
        """Draw parameters."""
        share, positive = jax.random.uniform(key, self.low.shape), self.low > 0.0
        low, high = (jnp.where(positive, bound, 1.0) for bound in (self.low, self.high))
        return jnp.where(positive, low * (high / low) ** share, self.low + (self.high - self.low) * share)

    def problem(self, mu: Float[Array, " q"]) -> Network:
        """Build the network problem with parameters `mu`."""
        return self.template.with_parameters(mu)
