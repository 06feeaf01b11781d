"""A differential equation with its conditions, as residuals that have to vanish."""

import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from .conditions import AbstractCondition, Residual, Start
from .domain import AbstractDomain, Box
from .field import Field, Order, recorded, stack

Jets = Float[np.ndarray, "n fields orders"]  # values and derivatives of all fields at points
FEW, MANY = 32, 1024  # points that are evaluated together


class Problem:
    r"""Find the fields with $r(u, \partial u, \dots; x, t, \mu) = 0$ in the domain and under the conditions.

    ```python
    problem = pinn.Problem(
        pinn.Box(x=(-1, 1)),
        lambda u, nu: u.t + u * u.x - nu * u.xx,
        [pinn.Start(lambda u, x: u + jnp.sin(jnp.pi * x)), pinn.Boundary(lambda u: u)],
        time=(0, 1),
        nu=0.01,
    )
    ```

    Functions take what they need by name: fields, coordinates, parameters, unknowns, on a boundary also the normal as `n_x`, `n_y`. They
    are written for one point, with `jax.numpy`, and return one residual or a tuple of several. See `Field` for the names of derivatives.

    **Arguments:**

    - `domain`: in space; `None` for an equation in time alone. `equation`: the residual in the interior. `conditions`: all others.
    - `fields`: names of the unknown functions, as one string. `time`: the window of the coordinate `t`.
    - `unknowns`: numbers that are to be found as well, with where to begin: `{"k": 1.0}`.
    - `guess`: where to begin, for an equation with several solutions: a function like `reference`.
    - `easy`: parameters with which the problem is easy, `{"re": 100.0}`; where Newton's method fails it comes from there in steps; not with
      readings, which hold for one choice only.
    - `reference`: the solution where it is known: takes the coordinates as arrays, and the parameters, by name; returns one array a field.
    - further keywords: the parameters $\mu$, numbers.

    **Raises:** `ValueError` where a name is not known, a residual is not finite, or the problem has nothing that holds its solution.
    """

    def __init__(
        self,
        domain: AbstractDomain | None,
        equation: Residual,
        conditions: Sequence[AbstractCondition] = (),
        *,
        fields: str = "u",
        time: Sequence[float | int] | None = None,
        unknowns: Mapping[str, Any] | None = None,
        guess: Callable[..., Any] | None = None,
        easy: Mapping[str, Any] | None = None,
        reference: Callable[..., Any] | None = None,
        **parameters: Any,
    ) -> None:
        if domain is None and time is None:
            raise ValueError("The problem has no coordinates; write a domain such as Box(x=(0, 1)), or a time=(0, 1).")
        if time is not None and not (np.shape(time) == (2,) and np.all(np.isfinite(time)) and time[0] < time[1]):
            raise ValueError(f"The time is {time!r}; write two numbers, the earlier first: time=(0, 1).")
        if not isinstance(fields, str) or not all(name.isidentifier() for name in fields.split()):
            raise ValueError(f'fields={fields!r}: write the names in one string, with spaces between them: fields="u v".')
        self.domain = Box() if domain is None else domain
        self.equation, self.conditions, self.guess, self.reference = equation, tuple(conditions), guess, reference
        self.fields, self.time = tuple(fields.split()), None if time is None else (float(time[0]), float(time[1]))
        self.unknowns, self.parameters = _numbers(unknowns or {}), _numbers(parameters)
        self.easy = _numbers(easy or {})
        self._check_known(self.easy)
        names = [*self.fields, *self.coordinates, *self.unknowns, *self.parameters]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(
                f"{min(twice)!r} has two meanings in this problem; fields, coordinates, unknowns and parameters need different names."
            )
        if self.time is None and any(isinstance(condition, Start) for condition in self.conditions):
            raise ValueError("A Start needs a time: write Problem(..., time=(0, 1)), or Boundary(...) for what holds on the boundary.")
        self._with_blocks()
        for what, them in (("field", self.fields), ("unknown", self.unknowns)):
            if idle := [name for name in them if not any(block.asks(name) for block in (self.block, *self.blocks))]:
                raise ValueError(f"The {what} {idle[0]!r} appears in no function of this problem, so that nothing determines it.")
        needed = max(order[-1] for order in self.block.orders) if self.marches else 0
        given = sum(block.size for block, one in zip(self.blocks, self.conditions, strict=True) if isinstance(one, Start))
        if given < needed:
            raise ValueError(
                f"The equation has a derivative of order {needed} in time, and the start has {given} conditions; "
                f"write Start(lambda u: u - 1){' and Start(lambda u: u.t)' if needed > 1 else ''}."
            )

    def _with_blocks(self) -> "Problem":
        self.block = Block(self, self.equation)
        self.blocks = tuple(Block(self, condition.residual, on_boundary=True) for condition in self.conditions)
        return self

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of all coordinates, time last."""
        return self.domain.names + (("t",) if self.time is not None else ())

    @property
    def ends(self) -> list[tuple[float, float]]:
        """Where each coordinate begins and ends, time last."""
        sides = [(float(low), float(high)) for low, high in zip(self.domain.low, self.domain.high, strict=True)]
        return sides + ([self.time] if self.time is not None else [])

    @property
    def marches(self) -> bool:
        """Whether time can be cut into slabs that are solved one after the other."""
        return self.time is not None and not self.unknowns and not any(condition.whole for condition in self.conditions)

    @property
    def measured(self) -> bool:
        """Whether there are readings."""
        return any(condition.measured for condition in self.conditions)

    def at(self, **parameters: Any) -> "Problem":
        """Return the same problem with other parameters."""
        self._check_known(parameters)
        other = copy.copy(self)
        other.parameters = {**self.parameters, **_numbers(parameters)}
        return other

    def _check_known(self, parameters: Mapping[str, Any]) -> None:
        if strange := [name for name in parameters if name not in self.parameters]:
            known = ", ".join(self.parameters) or "none"
            raise ValueError(f"{strange[0]!r} is no parameter of this problem; it has {known}.")

    def having(self, equation: Residual, conditions: Sequence[AbstractCondition]) -> "Problem":
        """Return a problem with the same fields and another equation, whose unknowns are parameters where they begin."""
        other = copy.copy(self)
        other.parameters, other.unknowns = {**self.parameters, **self.unknowns}, {}
        other.equation, other.conditions = equation, tuple(conditions)
        return other._with_blocks()

    def exact(self, points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n fields"] | None:
        """Return the reference solution at points, or `None` where there is none."""
        return None if self.reference is None else self.sampled(self.reference, points)

    def sampled(self, function: Callable[..., Any], points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n fields"]:
        """Return a user's function of coordinates and parameters, which it takes by name, at points."""
        given = {**{name: points[:, i] for i, name in enumerate(self.coordinates)}, **self.parameters}
        asked = inspect.signature(function).parameters
        if not any(one.kind is one.VAR_KEYWORD for one in asked.values()):
            given = {name: value for name, value in given.items() if name in asked}
        values = function(**given)
        parts = values if isinstance(values, tuple | list) else [values]
        if len(parts) != len(self.fields):
            raise ValueError(
                f"A solution has {len(parts)} parts, and there are {len(self.fields)} fields; return one array for each field."
            )
        return np.column_stack([np.broadcast_to(np.asarray(part, float), len(points)) for part in parts])


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    for name, value in values.items():
        if isinstance(value, str) or np.ndim(value) != 0 or not np.isfinite(value):
            raise ValueError(f"{name}={value!r} is no finite number; functions can close over anything else.")
    return {name: float(value) for name, value in values.items()}


class _Layout(NamedTuple):
    """A residual, and what its arguments mean; two blocks of the same layout share their compiled code."""

    residual: Residual
    asked: tuple[str, ...]
    fields: tuple[str, ...]
    coordinates: tuple[str, ...]
    space: int
    normals: tuple[str, ...]
    unknowns: tuple[str, ...]
    parameters: tuple[str, ...]

    def call(self, look: Callable[[int], Callable[[Order], Array]], x: Array, n: Array, unknowns: Array, parameters: Array) -> Array:
        """Call the residual with what it asks for by name."""
        outward = n if self.normals else None
        values: dict[str, Any] = {name: Field(name, self.coordinates, self.space, look(i), outward) for i, name in enumerate(self.fields)}
        for names, numbers in ((self.coordinates, x), (self.normals, n), (self.unknowns, unknowns), (self.parameters, parameters)):
            values |= {name: numbers[i] for i, name in enumerate(names)}
        return stack(self.residual(**{name: values[name] for name in self.asked}))


@functools.lru_cache(maxsize=256)
def _linearized(layout: _Layout, orders: tuple[Order, ...]) -> Callable[..., tuple[Array, Array, Array]]:
    """Return a compiled function of jets, points, normals, unknowns and parameters: the residual with its slopes at many points."""

    def at_a_point(jet: Array, x: Array, n: Array, unknowns: Array, parameters: Array) -> tuple[Array, Array, Array]:
        def residual(jet: Array, unknowns: Array) -> tuple[Array, Array]:
            def look(field: int) -> Callable[[Order], Array]:
                return lambda order: jet[field, orders.index(order)]

            value = layout.call(look, x, n, unknowns, parameters)
            return value, value

        (by_jet, by_unknowns), value = jax.jacfwd(residual, (0, 1), has_aux=True)(jet, unknowns)
        return value, by_jet, by_unknowns

    return jax.jit(jax.vmap(at_a_point, (0, 0, 0, None, None)))


class Block:
    """One residual of a problem, with the derivatives that it asks for.

    - `orders`: all derivatives that it uses. `size`: how many numbers it returns.
    """

    def __init__(self, problem: Problem, residual: Residual, on_boundary: bool = False) -> None:
        normals = tuple(f"n_{name}" for name in problem.domain.names) if on_boundary else ()
        known = (*problem.fields, *problem.coordinates, *problem.unknowns, *problem.parameters, *normals)
        if not callable(residual):
            raise TypeError(f"A residual is {residual!r}, which is no function; write lambda u: u.xx - 1.")
        arguments = inspect.signature(residual).parameters
        asked = tuple(name for name, argument in arguments.items() if name in known or argument.default is inspect.Parameter.empty)
        if strange := [name for name in asked if name not in known]:
            raise ValueError(
                f"A function asks for {strange[0]!r}, which this problem does not have; it has {', '.join(known)}. "
                "Parameters are keywords of the problem: Problem(..., nu=0.01)."
            )
        space, unknowns, parameters = len(problem.domain.names), tuple(problem.unknowns), tuple(problem.parameters)
        self._layout = _Layout(residual, asked, problem.fields, problem.coordinates, space, normals, unknowns, parameters)
        orders: set[Order] = set()
        lengths = (len(problem.coordinates), space, len(unknowns), len(parameters))
        try:
            shape = jax.eval_shape(
                lambda *numbers: self._layout.call(lambda _: recorded(orders), *numbers),
                *(jax.ShapeDtypeStruct((k,), float) for k in lengths),
            )
        except jax.errors.TracerArrayConversionError as error:
            raise TypeError(
                "A function of this problem calls NumPy, which cannot be differentiated; write jnp.sin(x) with jax.numpy as jnp."
            ) from error
        except TypeError as error:
            if "Field" not in str(error):
                raise
            raise TypeError(
                f"A function of this problem cannot take a field: {error}. Use jax.numpy, not NumPy, and the value: jnp.sin(u.value)."
            ) from error
        self.orders, self.size = tuple(sorted(orders | {(0,) * len(problem.coordinates)})), shape.shape[0]

    def at(self, look: Callable[[int], Callable[[Order], Array]], x: Array, n: Array, unknowns: Array, parameters: Array) -> Array:
        """Return the residual at one point, from `look(field)(order)`, for functions that JAX traces."""
        return self._layout.call(look, x, n, unknowns, parameters)

    def asks(self, name: str) -> bool:
        """Return whether the function takes a field, unknown or parameter."""
        return name in self._layout.asked

    def asked(self) -> dict[str, Any]:
        """Return what a resumed run must have in common."""
        return {"function": self._layout.residual, "orders": self.orders}

    def check(self, problem: Problem, points: Float[np.ndarray, "n d"]) -> None:
        """Raise a `FloatingPointError` if the residual is not finite at some point of the domain, whatever the fields are."""
        points = points[problem.domain.inside(points[:, : self._layout.space])]
        if not len(points):
            raise ValueError("The domain is empty, or fills too little of its box to be solved in: none of the first points is inside.")
        rng, bad = np.random.default_rng(0), np.ones(len(points), bool)
        for _ in range(3):
            jets = rng.standard_normal((len(points), len(problem.fields), len(self.orders)))
            value = self.linearize(problem, jets, points, None, np.array(list(problem.unknowns.values())))[0]
            bad &= ~np.isfinite(value).all(axis=1)
        if bad.any():
            place = ", ".join(f"{name} = {x:.4g}" for name, x in zip(problem.coordinates, points[bad][0], strict=True))
            raise FloatingPointError(
                f"The residual of the equation is not finite at {place}; check its logarithms, roots and divisions there."
            )

    def linearize(
        self,
        problem: Problem,
        jets: Jets,
        points: Float[np.ndarray, "n d"],
        normals: Float[np.ndarray, "n s"] | None,
        unknowns: Float[np.ndarray, " k"],
    ) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n m fields orders"], Float[np.ndarray, "n m k"]]:
        """Return the residual at points, and its derivatives with respect to the jets and to the unknowns."""
        outward = np.full((len(points), self._layout.space), np.nan) if normals is None else normals
        parameters, pieces = np.array(list(problem.parameters.values())), []
        batch = FEW if len(points) <= FEW else MANY  # two lengths only, because each is compiled once
        with jax.enable_x64(True):
            for first in range(0, len(points), batch):
                given = [array[first : first + batch] for array in (jets, points, outward)]
                padded = [np.concatenate([array, np.repeat(array[-1:], batch - len(array), axis=0)]) for array in given]
                answer = _linearized(self._layout, self.orders)(*padded, unknowns, parameters)
                pieces.append([np.asarray(part)[: len(given[0])] for part in answer])
        return tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True))  # pyright: ignore[reportReturnType]
