"""Conversions of an accelerated mean field: to another kind, to the plain one, or to bytes."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

from pyscf import lib

from physopt.core.problem import Euclidean

Recipe = type | tuple[str, tuple[Any, ...]]


def _conversion(name: str) -> Callable[..., Any]:
    def convert(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.dressed_alike(getattr(self.undo_accelerate(), name)(*args, **kwargs))

    convert.__name__ = name
    convert.__doc__ = f"Return PySCF's `{name}` of the plain mean field, dressed like this one if the model serves its kind."
    return convert


class Dress:
    """The part of `accelerate`'s mixin for conversions, and for pickling as PySCF's own classes do.

    The class of an accelerated object is made at run time, so its name does not exist in another process. The pickle therefore holds how
    to make the class. The response model is not pickled, like PySCF's own integrals.
    """

    to_rhf, to_uhf, to_ghf = _conversion("to_rhf"), _conversion("to_uhf"), _conversion("to_ghf")
    to_rks, to_uks, to_gks = _conversion("to_rks"), _conversion("to_uks"), _conversion("to_gks")
    to_hf, to_ks = _conversion("to_hf"), _conversion("to_ks")

    def to_gpu(self: Any) -> Any:
        """Move the plain mean field to the GPU; the response model runs on the host only."""
        return self.undo_accelerate().to_gpu()

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # pyright: ignore[reportAssignmentType]
        if (solution := state.get("solution")) is not None:
            evaluation = dataclasses.replace(solution.evaluation, model=Euclidean(solution.evaluation.grad))
            state["solution"] = dataclasses.replace(solution, evaluation=evaluation, state=None)
        return state

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return blank, (_recipe(type(self)),), self.__getstate__()


def _recipe(cls: type) -> Recipe:
    """Return a class that can be imported, or the name and bases it is made from."""
    if getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is cls:
        return cls
    return cls.__name__, tuple(_recipe(base) for base in cls.__bases__)


def _made(recipe: Recipe) -> type:
    if isinstance(recipe, type):
        return recipe
    name, bases = recipe
    return lib.make_class(tuple(_made(base) for base in bases), name)


def blank(recipe: Recipe) -> Any:
    """Return an empty object of a class made like the pickled one's."""
    return object.__new__(_made(recipe))
