"""A learned rule written once, for any tangent: a combination of a few tangents whose coefficients are learned."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from physopt.core.problem import Evaluation
from physopt.core.rule import AbstractRule, Move
from physopt.core.tree import Scalar, namespace, tree_add, tree_combine, tree_dot, tree_scale, tree_sub, tree_zeros

from .search import AbstractSearch, Backtracking, SearchState, search_or_shorten

NUM_TANGENTS = 4
NUM_INVARIANTS = 13


class Head(eqx.Module):
    r"""The map from invariants to coefficients, $h = b + S \phi + W_2 \tanh(W_1 \phi + b_1)$; zero until trained.

    Plain arrays instead of a library's layers: on host tangents it runs in NumPy, so that a single run compiles nothing.
    """

    hidden: Float[Array, "width inputs"]
    hidden_bias: Float[Array, " width"]
    out: Float[Array, "outputs width"]
    skip: Float[Array, "outputs inputs"]
    bias: Float[Array, " outputs"]

    def __init__(self, width: int, key: PRNGKeyArray, inputs: int = NUM_INVARIANTS, outputs: int = NUM_TANGENTS):
        self.hidden = jax.random.normal(key, (width, inputs)) / inputs**0.5
        self.hidden_bias = jnp.zeros(width)
        self.out = jnp.zeros((outputs, width))
        self.skip = jnp.zeros((outputs, inputs))
        self.bias = jnp.zeros(outputs)

    def __call__(self, invariants: Any) -> Any:
        """Return $h$, shape `(outputs,)`, in the array library of `invariants`."""
        xp = namespace(invariants)
        hidden, hidden_bias, out, skip, bias = (xp.asarray(a) for a in jax.tree.leaves(self))
        return bias + skip @ invariants + out @ xp.tanh(hidden @ invariants + hidden_bias)


class SpanState(eqx.Module):
    """The search; gradient, model step and model decrement at the base; the number of accepted steps."""

    search: SearchState
    grad: PyTree
    newton: PyTree
    count: Scalar


class Span(AbstractRule):
    r"""Combine a few tangents, $v = e^{h_0} p + h_1 d + h_2 s + h_3 u$; the coefficients $h(\phi)$ of unit-free invariants are learned.

    With $g$ the gradient and $y$ its change over the last step:

    - $p = \mathrm{minimize}(0)$, the model's step;
    - $d = -g \, |p| / |g|$, the descent direction scaled to the length of the model step;
    - $s$, the last step: momentum;
    - $u = -\gamma (s + q)$, $q = p - p_\mathrm{last}$, $\gamma = \langle y, p \rangle / \langle y, q \rangle$: the secant correction of
      Anderson, one pair deep, least squares in the metric of the model.

    The invariants $\phi$ are cosines, logarithms of ratios and ratios of energies, so the rule holds for tangents of any size
    and structure, is equivariant to rotations of the tangent frame, and is free of the units of value and tangent (given a
    model that is). Untrained, $h = 0$: the model's own step with the same search, `ModelStep`. The search rejects non-finite
    trials and those that do not descend, for any weights.

    **Arguments:**

    - `width`: of the hidden layer. `key`: draws its weights. `search`: accepts or rejects trials and shortens steps.

    ??? cite "Reference"
        Anderson, J. ACM 12 (1965) 547; Walker, Ni, SIAM J. Numer. Anal. 49 (2011) 1715, section 2.
    """

    head: Head
    search: AbstractSearch

    def __init__(self, width: int = 8, *, key: PRNGKeyArray, search: AbstractSearch = Backtracking()):
        self.head = Head(width, key)
        self.search = search

    def init(self, evaluation: Evaluation) -> SpanState:
        """Return the state before the first evaluation."""
        search, blank = self.search.init(evaluation), tree_zeros(evaluation.grad)
        return SpanState(search, blank, blank, search.slope)

    def step(self, evaluation: Evaluation, state: SpanState) -> tuple[Move, SpanState]:
        """Combine the tangents, or shorten the last step."""

        def direction(evaluation: Evaluation) -> tuple[PyTree, Any]:
            newton = evaluation.model.minimize()
            coefficients, tangents = self._combination(evaluation, newton, state)
            return tree_combine(coefficients, tangents), (evaluation.grad, newton, state.count + 1.0)

        kept = (state.grad, state.newton, state.count)
        accept, search, memory = search_or_shorten(self.search, evaluation, state.search, direction, kept)
        return Move(search.step, accept), SpanState(search, *memory)

    def _combination(self, evaluation: Evaluation, p: PyTree, state: SpanState) -> tuple[list[Any], list[PyTree]]:
        xp, started = namespace(evaluation.value), state.count > 0.0
        g, s = evaluation.grad, state.search.step
        y, q = tree_scale(1.0 * started, tree_sub(g, state.grad)), tree_scale(1.0 * started, tree_sub(p, state.newton))
        products = Products(g, p, s, y, q)
        gained = xp.where(started, state.search.value, evaluation.value) - evaluation.value
        invariants = products.invariants(over(gained, -state.search.slope), state.count)
        h = self.head(invariants.astype(evaluation.value.dtype))
        descent = tree_scale(-over(root(products.pp), root(products.gg)), g)
        gamma = _clip(over(products.yp, products.yq))
        return [xp.exp(xp.clip(h[0], -5.0, 5.0)), h[1], h[2], h[3]], [p, descent, s, tree_scale(-gamma, tree_add(s, q))]


class Products(eqx.Module):
    """All inner products of $g, p, s, y, q$ that are needed: the learned head depends on these numbers only."""

    gg: Scalar
    pp: Scalar
    ss: Scalar
    qq: Scalar
    gp: Scalar
    gs: Scalar
    gq: Scalar
    ps: Scalar
    pq: Scalar
    sq: Scalar
    yp: Scalar
    ys: Scalar
    yq: Scalar

    def __init__(self, g: PyTree, p: PyTree, s: PyTree, y: PyTree, q: PyTree):
        self.gg, self.pp, self.ss, self.qq = tree_dot(g, g), tree_dot(p, p), tree_dot(s, s), tree_dot(q, q)
        self.gp, self.gs, self.gq = tree_dot(g, p), tree_dot(g, s), tree_dot(g, q)
        self.ps, self.pq, self.sq = tree_dot(p, s), tree_dot(p, q), tree_dot(s, q)
        self.yp, self.ys, self.yq = tree_dot(y, p), tree_dot(y, s), tree_dot(y, q)

    def invariants(self, achieved: Scalar, count: Scalar) -> Any:
        """Return the invariants, shape `(NUM_INVARIANTS,)`, each of order 1; zero if a tangent they need is zero.

        - `achieved`: decrease of the value over the last step, relative to that predicted by its slope.
        - `count`: number of accepted steps.
        """
        g, p, s, q = root(self.gg), root(self.pp), root(self.ss), root(self.qq)
        lengths = [log_over(s, p), log_over(q, p)]
        cosines = [over(self.gp, g * p), over(self.gs, g * s), over(self.gq, g * q)]
        cosines += [over(self.ps, p * s), over(self.pq, p * q), over(self.sq, s * q)]
        # Step length of Barzilai and Borwein in the model's metric, exact step along s, and what momentum would be in conjugate gradients.
        energies = [log_over(self.ys, -self.yq), _clip(over(-self.gs, self.ys)), _clip(over(self.yp, self.yq))]
        progress = [_clip(achieved), (1.0 + count) ** -0.5]
        return namespace(self.gg).stack([*lengths, *cosines, *energies, *progress])


def root(square: Any) -> Any:
    """Return the root of what is positive, else zero."""
    # Twice `where`, so that the derivative is zero, not NaN, at zero.
    xp = namespace(square)
    return xp.where(square > 0.0, xp.where(square > 0.0, square, 1.0) ** 0.5, 0.0)


def over(a: Any, b: Any) -> Any:
    """Return the ratio of two numbers, zero where the second is."""
    xp = namespace(b)
    return xp.where(b == 0.0, 0.0, a / xp.where(b == 0.0, 1.0, b))


def log_over(a: Any, b: Any) -> Any:
    """Return half of the logarithm of the ratio of two squares, between -4 and 4; zero where one is not positive."""
    xp = namespace(b)
    positive = (a > 0.0) & (b > 0.0)
    return 0.5 * xp.clip(xp.log(xp.where(positive, a, 1.0)) - xp.log(xp.where(positive, b, 1.0)), -8.0, 8.0)


def _clip(a: Any) -> Any:
    return namespace(a).clip(a, -5.0, 5.0)
