"""Trust-region quasi-Newton: the model, corrected by every exact answer so far, is minimized within a trust radius."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from physopt.core.anchored import AbstractAnchored
from physopt.core.problem import Evaluation, finite
from physopt.core.rule import AbstractRule, Move
from physopt.core.tree import Scalar, tree_combine, tree_memory, tree_norm, tree_push, tree_zeros


class TrustState(eqx.Module):
    """The base, the path proposed from it, the radius, and the last other anchors, oldest first; `count` are filled, from the end."""

    base: Evaluation
    length: Scalar
    change: Scalar
    radius: Scalar
    anchors: PyTree
    count: Scalar
    based: Scalar


class TrustRegion(AbstractRule):
    r"""Descend on the corrected model $m$, on a path no longer than the trust radius, and accept its end if the value falls.

    Every answer, accepted or not, becomes a secant pair of the model (`AbstractAnchored.taught`); there is no line search and no
    transport, because pairs live in the flat space around the points. With $\rho = \Delta f / \Delta m$ and the path's length $\ell$ the
    radius becomes $\ell / 4$ if $\rho < 0$, $\ell / 2$ if $\rho < \tfrac14$, at least $2 \ell$ if $\rho > \tfrac34$. If $f$ changes by no
    more than rounding, the norm of the gradient decides. Accepted values never rise, so the rule does not oscillate. If the model's
    curvature is negative, the step goes to the boundary, so the rule does not stay at a saddle that the model can see.

    **Arguments:**

    - `radius`: the first radius, in units of the tangent. `space`: how many past answers to keep.

    ??? cite "Reference"
        Nocedal, Wright, *Numerical Optimization*, 2nd ed. (2006), algorithm 4.1; with the density matrices' secants: Host et
        al., J. Chem. Phys. 129 (2008) 124106.
    """

    radius: float = 1.0
    space: int = eqx.field(default=20, static=True)

    def init(self, evaluation: Evaluation) -> TrustState:
        """Start with nothing learned."""
        anchors = tree_memory(_anchored(evaluation).anchor, self.space)
        nought, radius = np.float64(0.0), np.float64(self.radius)
        return TrustState(evaluation, nought, nought, radius, anchors, np.asarray(0), np.asarray(False))

    def step(self, evaluation: Evaluation, state: TrustState) -> tuple[Move, TrustState]:
        """Accept or reject the newest trial, learn from it, and step from the better of trial and base."""
        sound = bool(finite(evaluation))
        if not (sound or state.based):
            return Move(tree_zeros(evaluation.grad), accept=False, recall=True), state
        accept, radius = (True, state.radius) if not state.based else self._judge(evaluation, state, sound)
        return self._propose(self._learn(evaluation, state, accept, sound), radius, accept)

    def watch(self, evaluation: Evaluation, state: TrustState) -> TrustState:
        """Learn from the answer to another rule's step; the base is the answer of lowest value."""
        sound = bool(finite(evaluation))
        return self._learn(evaluation, state, sound and not (state.based and state.base.value <= evaluation.value), sound)

    def resume(self, state: TrustState) -> tuple[Move, TrustState]:
        """Step from the lowest answer seen, wherever the other rule has gone since."""
        if not state.based:
            return Move(tree_zeros(state.base.grad), accept=False, recall=True), state
        move, state = self._propose(state, state.radius, accept=False)
        return dataclasses.replace(move, recall=True), state

    def knows(self, evaluation: Evaluation, state: TrustState) -> bool:
        """Say whether an answer repeats an earlier one: the change since then is less than a millionth of the residual."""
        if not (bool(state.based) and bool(finite(evaluation))):
            return False
        model = _anchored(evaluation)
        known = [_anchored(state.base).anchor, *self._others(state)]
        nearest = min(float(tree_norm(tree_combine([1.0, -1.0], [model.anchor, anchor]))) for anchor in known)
        return nearest < 1e-6 * float(np.linalg.norm(model.error()))

    def sees_minimum(self, state: TrustState) -> bool:
        """Say whether the corrected model's quadratic part has its minimum inside the trust radius of the base."""
        return bool(state.based) and bool(tree_norm(self._taught(state).minimize(radius=state.radius)) < 0.99 * state.radius)

    def _learn(self, evaluation: Evaluation, state: TrustState, accept: bool, sound: bool) -> TrustState:
        base, other = (evaluation, state.base) if accept else (state.base, evaluation)
        anchors, count = state.anchors, int(state.count)
        if state.based and sound:
            anchors, count = tree_push(anchors, _anchored(other).anchor), min(count + 1, self.space)
        based = np.asarray(bool(state.based or accept))
        return dataclasses.replace(state, base=base, anchors=anchors, count=np.asarray(count), based=based)

    def _propose(self, state: TrustState, radius: Scalar, accept: bool) -> tuple[Move, TrustState]:
        path = self._taught(state).descend(radius)
        length, change = np.float64(path.length), np.float64(path.change)
        return Move(path.end, accept), dataclasses.replace(state, length=length, change=change, radius=np.float64(radius))

    def _taught(self, state: TrustState) -> AbstractAnchored:
        return _anchored(state.base).taught(self._others(state))

    def _others(self, state: TrustState) -> list[PyTree]:
        return [jax.tree.map(lambda rows, k=k: rows[k], state.anchors) for k in range(-int(state.count), 0)]

    def _judge(self, evaluation: Evaluation, state: TrustState, sound: bool) -> tuple[bool, Scalar]:
        length, predicted = state.length, float(state.change)
        if not sound:
            return False, 0.25 * length
        value = float(state.base.value)
        change = float(evaluation.value) - value
        if abs(change) <= 1e-12 * abs(value):
            ratio: Any = 1.0 if tree_norm(evaluation.grad) < tree_norm(state.base.grad) else 0.0
        else:
            ratio = change / predicted if predicted < 0.0 else -1.0
        if ratio < 0.25:
            return bool(ratio > 1e-4), (0.25 if ratio < 0.0 else 0.5) * length
        return True, np.maximum(state.radius, 2.0 * length) if ratio > 0.75 else state.radius


def _anchored(evaluation: Evaluation) -> AbstractAnchored:
    if not isinstance(evaluation.model, AbstractAnchored):
        raise TypeError(
            f"TrustRegion teaches the model from anchors, and a {type(evaluation.model).__name__} model has none. "
            "Use LBFGS() or ModelStep() for this problem."
        )
    return evaluation.model
