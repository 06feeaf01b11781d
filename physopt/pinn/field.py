"""A field and its derivatives at one point, as equations name them: `u`, `u.t`, `u.xx`."""

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Order = tuple[int, ...]  # how often each coordinate is differentiated


class Field:
    r"""An unknown function at one point. It adds and multiplies like its value; its attributes are its derivatives.

    In functions write the value out: `jnp.sin(u.value)`.

    `u.x` is $\partial u / \partial x$ and `u.xxt` is $\partial^3 u / \partial x^2 \partial t$. With coordinates of more than one letter, or
    for a number of derivatives, write `u.d("x1", 2)`. `u.laplacian` is the sum of the second derivatives in space, and `u.normal`, on a
    boundary, the derivative along the outer normal.

    **Arguments:**

    - `name`: of the field. `coordinates`: their names, space first.
    - `space`: how many of the coordinates are in space; the others are time.
    - `look`: returns the derivative of an `Order`.
    - `outward`: the outer unit normal in space, on a boundary.
    """

    def __init__(
        self, name: str, coordinates: tuple[str, ...], space: int, look: Callable[[Order], Array], outward: Float[Array, " d"] | None = None
    ) -> None:
        self._name, self._coordinates, self._space, self._look, self._outward = name, coordinates, space, look, outward

    @property
    def value(self) -> Array:
        """The value itself."""
        return self._look((0,) * len(self._coordinates))

    def d(self, coordinate: str, times: int = 1, *more: Any) -> Array:
        """Return the derivative in `coordinate`, taken `times` times; further pairs differentiate further."""
        order = [0] * len(self._coordinates)
        for one, count in [(coordinate, times), *zip(more[::2], more[1::2], strict=True)]:
            order[self._place(one)] += count
        return self._look(tuple(order))

    @property
    def laplacian(self) -> Array:
        """The sum of the second derivatives in space."""
        return sum((self.d(x, 2) for x in self._coordinates[1 : self._space]), self.d(self._coordinates[0], 2))

    @property
    def normal(self) -> Array:
        """The derivative along the outer normal of the domain."""
        if self._outward is None:
            raise ValueError(f"{self._name}.normal is known on the boundary only; write it in pinn.boundary(...), not in the equation.")
        return sum((n * self.d(x) for n, x in zip(self._outward, self._coordinates[: self._space], strict=True)), jnp.zeros(()))

    def __getattr__(self, letters: str) -> Array:
        if letters.startswith("_"):
            raise AttributeError(letters)
        order = [0] * len(self._coordinates)
        for letter in letters:
            order[self._place(letter, letters)] += 1
        return self._look(tuple(order))

    def _place(self, coordinate: str, asked: str = "") -> int:
        if coordinate not in self._coordinates:
            known = ", ".join(self._coordinates)
            raise AttributeError(
                f"{self._name}.{asked or coordinate} is no derivative: {coordinate!r} is none of the coordinates {known}. "
                f"Write one letter for each derivative, such as {self._name}.{self._coordinates[0]}, or {self._name}.d(name, times)."
            )
        return self._coordinates.index(coordinate)

    __array_ufunc__ = None  # NumPy's functions refuse it

    def __neg__(self) -> Array:
        return -self.value

    def __abs__(self) -> Array:
        return jnp.abs(self.value)


def _binary(name: str) -> tuple[Callable[[Field, Any], Array], Callable[[Field, Any], Array]]:
    act = getattr(operator, name)

    def forward(self: Field, other: Any) -> Array:
        return act(self.value, plain(other))

    def backward(self: Field, other: Any) -> Array:
        return act(plain(other), self.value)

    return forward, backward


def plain(value: Any) -> Any:
    """Return the value of a field, and anything else as it is."""
    return value.value if isinstance(value, Field) else value


for _name in ("add", "sub", "mul", "truediv", "pow"):
    _forward, _backward = _binary(_name)
    setattr(Field, f"__{_name}__", _forward)
    setattr(Field, f"__r{_name}__", _backward)
for _name in ("lt", "le", "gt", "ge"):
    setattr(Field, f"__{_name}__", _binary(_name)[0])


def recorded(orders: set[Order]) -> Callable[[Order], Array]:
    """Return a `look` that notes which derivatives an equation asks for."""

    def look(order: Order) -> Array:
        orders.add(order)
        return jnp.zeros(())

    return look


def stack(residual: Any) -> Float[Array, " m"]:
    """Return what an equation returned, one number or several, as one vector."""
    parts = [plain(part) for part in residual] if isinstance(residual, tuple | list) else [plain(residual)]
    for part in parts:
        if not isinstance(part, jax.Array | np.ndarray | np.generic | float | int) or jnp.iscomplexobj(part):
            kind = "a complex number" if isinstance(part, complex) or jnp.iscomplexobj(part) else type(part).__name__
            raise TypeError(f"A residual is {kind}; return a real number, or a tuple of several. A complex field is two real ones.")
    return jnp.concatenate([jnp.atleast_1d(jnp.asarray(part, jax.dtypes.canonicalize_dtype(float))).ravel() for part in parts])
