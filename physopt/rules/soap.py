"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner, as a transformation for Optax."""

import jax
import optax
from jaxtyping import Array, Float, PyTree

from .moments import Averages, Eigenbasis, Moments


def soap(
    learning_rate: float | Float[Array, ""],
    *,
    b1: float = 0.95,
    b2: float = 0.95,
    eps: float = 1e-8,
    every: int = 10,
) -> optax.GradientTransformation:
    r"""Return SOAP. For a matrix $G$ with bases $Q_L, Q_R$ the step is $-\eta \, Q_L \, [\hat M' / (\sqrt{\hat V} + \epsilon)] \, Q_R^T$.

    $M' = Q_L^T M Q_R$ is the rotated mean of gradients and $V$ the mean of $(Q_L^T G Q_R)^2$; see `Eigenbasis`. The first gradient makes
    the bases and no step. Arrays that are no matrices are treated as one row, so that only their long side is rotated.

    **Arguments:**

    - `learning_rate`: $\eta$. `b1`, `b2`: of the means. `eps`: $\epsilon$. `every`: so many gradients keep a basis.

    ??? cite "Reference"
        Vyas et al., *SOAP: improving and stabilizing Shampoo using Adam*, arXiv 2409.11321 (2024), algorithm 3.
    """
    moments = Moments((b1,), b2, eps, Eigenbasis(every, b2))

    def init(params: PyTree) -> Averages:
        return moments.init(jax.tree.leaves(params))

    def update(grads: PyTree, state: Averages, params: PyTree = None) -> tuple[PyTree, Averages]:
        leaves, structure = jax.tree.flatten(grads)
        seen, after = moments.update(leaves, state)
        steps = moments.back([-learning_rate * step for step in seen.direction], state, leaves)
        return structure.unflatten(steps), after

    return optax.GradientTransformation(init, update)
