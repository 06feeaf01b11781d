"""Shape checks that cost what they check: an inner function is prepared once, not each time that it is defined.

The import hook of jaxtyping decorates every function of physopt. For an inner one, such as the body of a scan, it would compile two checks
at every call of the function around it. That takes a millisecond or two, which is most of the time of a run of many cheap steps.
"""

import functools
import inspect
import threading
import types
from collections.abc import Callable, Hashable
from typing import Any

import jaxtyping


class Targets(threading.local):
    """The functions that are being called through one check, innermost last."""

    def __init__(self) -> None:
        self.stack: list[Callable[..., Any]] = []


def through(function: Callable[..., Any], targets: Targets) -> Callable[..., Any]:
    """Return a function with the signature of `function`, and its globals to read it by, that calls the innermost target."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return targets.stack.pop()(*args, **kwargs)

    return functools.update_wrapper(types.FunctionType(call.__code__, function.__globals__, closure=call.__closure__), function)


def prepared_once(jaxtyped: Callable[..., Any]) -> Callable[..., Any]:
    """Return `jaxtyping.jaxtyped` as the import hook calls it, with one check for all functions of the same code and annotations."""
    checks: dict[Hashable, tuple[Targets, Callable[..., Any]]] = {}

    def decorator(*, typechecker: Any) -> Callable[[Any], Any]:
        decorate = jaxtyped(typechecker=typechecker)

        def decorated(function: Any) -> Any:
            if not inspect.isfunction(function) or "<locals>" not in function.__qualname__:
                return decorate(function)
            key = (function.__code__, typechecker, repr(function.__annotations__))  # jaxtyping makes a new type at each `Float[...]`
            if key not in checks:
                targets = Targets()
                checks[key] = targets, decorate(through(function, targets))
            targets, check = checks[key]

            @functools.wraps(function)
            def checked(*args: Any, **kwargs: Any) -> Any:
                __tracebackhide__ = True
                stack = targets.stack
                depth = len(stack)
                stack.append(function)
                try:
                    return check(*args, **kwargs)
                finally:
                    del stack[depth:]  # still there if the check refused the arguments

            return checked

        return decorated

    return decorator


def install() -> None:
    """Let the import hook use it."""
    jaxtyping.jaxtyped = prepared_once(jaxtyping.jaxtyped)
