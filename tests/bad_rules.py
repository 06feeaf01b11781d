"""Rules that a guard must survive."""

from physopt import AbstractRule, Move
from physopt.core.tree import tree_scale


class Uphill(AbstractRule):
    """A rule gone wrong: it climbs, and accepts everything."""

    length: float

    def init(self, evaluation):
        return ()

    def step(self, evaluation, state):
        return Move(tree_scale(self.length, evaluation.grad), accept=evaluation.value == evaluation.value), state


class Creeping(AbstractRule):
    """A rule that always descends, by next to nothing."""

    length: float

    def init(self, evaluation):
        return ()

    def step(self, evaluation, state):
        return Move(tree_scale(-self.length, evaluation.grad), accept=True), state
