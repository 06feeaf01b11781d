"""A differential equation with its conditions, as residuals that have to vanish."""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from .conditions import AbstractCondition, Residual
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

    Functions take what they need by name: fields, coordinates, parameters, unknowns, on a boundary also the normal as `n_x`, `n_y`. They are written for
    one point, with `jax.numpy`, and return one residual or a tuple of several. See `Field` for the names of derivatives.

    **Arguments:**

    - `domain`: in space; `None` for an equation in time alone. `equation`: the residual in the interior. `conditions`: all others.
    - `fields`: names of the unknown functions, as one string. `time`: the window of the coordinate `t`.
    - `unknowns`: numbers that are to be found as well, with where to begin: `{"k": 1.0}`.
    - `reference`: the solution where it is known: takes the coordinates as arrays and `parameters`, by name, and returns an array, or one for each field.
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
        time: tuple[float, float] | None = None,
        unknowns: Mapping[str, float] | None = None,
        reference: Callable[..., Any] | None = None,
        **parameters: float,
    ) -> None:
        if domain is None and time is None:
            raise ValueError("The problem has no coordinates; write a domain such as Box(x=(0, 1)), or a time=(0, 1).")
        if time is not None and not (np.all(np.isfinite(time)) and time[0] < time[1]):
            raise ValueError(f"The time is {time!r}; write two numbers, the earlier first: time=(0, 1).")
        self.domain = Box() if domain is None else domain
        self.equation, self.conditions, self.reference = equation, tuple(conditions), reference
        self.fields, self.time = tuple(fields.split()), None if time is None else (float(time[0]), float(time[1]))
        self.unknowns = {name: float(value) for name, value in (unknowns or {}).items()}
        self.parameters = {name: float(value) for name, value in parameters.items()}
        names = [*self.fields, *self.coordinates, *self.unknowns, *self.parameters]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{min(twice)!r} has two meanings in this problem; fields, coordinates, unknowns and parameters need different names.")
        self.block = Block(self, equation)
        self.blocks = tuple(Block(self, condition.residual, on_boundary=True) for condition in self.conditions)

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of all coordinates, time last."""
        return self.domain.names + (("t",) if self.time is not None else ())

    @property
    def marches(self) -> bool:
        """Whether time can be cut into slabs that are solved one after the other."""
        return self.time is not None and not self.unknowns and not any(condition.whole for condition in self.conditions)

    def at(self, **parameters: float) -> "Problem":
        """Return the same problem with other parameters."""
        if strange := [name for name in parameters if name not in self.parameters]:
            known = ", ".join(self.parameters) or "none"
            raise ValueError(f"{strange[0]!r} is no parameter of this problem; it has {known}.")
        other = copy.copy(self)
        other.parameters = {**self.parameters, **{name: float(value) for name, value in parameters.items()}}
        return other

    def having(self, equation: Residual, conditions: Sequence[AbstractCondition]) -> "Problem":
        """Return a problem with the same fields and another equation, whose unknowns are parameters where they begin."""
        known = {**self.parameters, **self.unknowns}
        return Problem(self.domain, equation, conditions, fields=" ".join(self.fields), time=self.time, **known)

    def exact(self, points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n fields"] | None:
        """Return the reference solution at points, or `None` where there is none."""
        if self.reference is None:
            return None
        values = self.reference(**{name: points[:, i] for i, name in enumerate(self.coordinates)}, **self.parameters)
        parts = values if isinstance(values, tuple | list) else [values]
        return np.column_stack([np.broadcast_to(np.asarray(part, float), len(points)) for part in parts])


class Block:
    """One residual of a problem, with the derivatives that it asks for.

    - `orders`: all derivatives that it uses. `size`: how many numbers it returns.
    """

    def __init__(self, problem: Problem, residual: Residual, on_boundary: bool = False) -> None:
        self.residual, self.names = residual, tuple(inspect.signature(residual).parameters)
        self.fields, self.coordinates, self.space = problem.fields, problem.coordinates, len(problem.domain.names)
        normals = tuple(f"n_{name}" for name in problem.domain.names) if on_boundary else ()
        known = (*self.fields, *self.coordinates, *problem.unknowns, *problem.parameters, *normals)
        if strange := [name for name in self.names if name not in known]:
            raise ValueError(
                f"A function asks for {strange[0]!r}, which this problem does not have; it has {', '.join(known)}. "
                "Parameters are keywords of the problem: Problem(..., nu=0.01)."
            )
        self.normals = normals
        orders: set[Order] = set()
        given = (tuple(problem.unknowns), tuple(problem.parameters))
        try:
            shape = jax.eval_shape(
                lambda x, n, unknowns, parameters: self._call(lambda _: recorded(orders), x, n, given, unknowns, parameters),
                *(jax.ShapeDtypeStruct((k,), float) for k in (len(self.coordinates), self.space, len(given[0]), len(given[1]))),
            )
        except jax.errors.TracerArrayConversionError as error:
            raise TypeError("A function of this problem calls NumPy, which cannot be differentiated; write jnp.sin(x) with jax.numpy as jnp.") from error
        self.orders = tuple(sorted(orders | {(0,) * len(self.coordinates)}))
        self.size = shape.shape[0]
        self._given = given
        self._linearized = eqx.filter_jit(jax.vmap(self._with_slopes, (0, 0, 0, None, None)))

    def linearize(
        self, problem: Problem, jets: Jets, points: Float[np.ndarray, "n d"], normals: Float[np.ndarray, "n s"] | None, unknowns: Float[np.ndarray, " k"]
    ) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n m fields orders"], Float[np.ndarray, "n m k"]]:
        """Return the residual at points, and its derivatives with respect to the jets and to the unknowns."""
        outward = np.full((len(points), self.space), np.nan) if normals is None else normals
        parameters, pieces = np.array(list(problem.parameters.values())), []
        batch = FEW if len(points) <= FEW else MANY  # two lengths only, because each is compiled once
        with jax.enable_x64(True):
            for first in range(0, len(points), batch):
                given = [array[first : first + batch] for array in (jets, points, outward)]
                padded = [np.concatenate([array, np.repeat(array[-1:], batch - len(array), axis=0)]) for array in given]
                answer = self._linearized(*padded, unknowns, parameters)
                pieces.append([np.asarray(part)[: len(given[0])] for part in answer])
        return tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True))  # pyright: ignore[reportReturnType]

    def _with_slopes(self, jet: Array, x: Array, n: Array, unknowns: Array, parameters: Array) -> tuple[Array, Array, Array]:
        def residual(jet: Array, unknowns: Array) -> tuple[Array, Array]:
            def look(field: int) -> Callable[[Order], Array]:
                return lambda order: jet[field, self.orders.index(order)]

            value = self._call(look, x, n, self._given, unknowns, parameters)
            return value, value

        (by_jet, by_unknowns), value = jax.jacfwd(residual, (0, 1), has_aux=True)(jet, unknowns)
        return value, by_jet, by_unknowns

    def _call(self, look: Callable[[int], Callable[[Order], Array]], x: Array, n: Array, given: tuple, unknowns: Array, parameters: Array) -> Array:
        """Call the residual with what it asks for by name."""
        outward = n if self.normals else None
        values = {name: Field(name, self.coordinates, self.space, look(i), outward) for i, name in enumerate(self.fields)}
        values |= {name: x[i] for i, name in enumerate(self.coordinates)}
        values |= {name: n[i] for i, name in enumerate(self.normals)}
        values |= {name: unknowns[i] for i, name in enumerate(given[0])}
        values |= {name: parameters[i] for i, name in enumerate(given[1])}
        return stack(self.residual(**{name: values[name] for name in self.names}))


