"""Solutions to compare with: a closed formula for Burgers' equation, and Fourier's functions with exponential time steps."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float

Points = Float[np.ndarray, "*#n"]
Symbol = Callable[[np.ndarray], np.ndarray]  # wave numbers, shape (modes,), to factors, shape (modes,) or (fields, modes)
State = Complex[np.ndarray, "fields modes"]
CHUNK = 1024  # points that are evaluated together
OVERSAMPLED = 64  # times more points are used to find the modes of the start


def cole_hopf(x: Points, t: Points, nu: float, nodes: int = 200) -> Float[np.ndarray, "..."]:
    r"""Return the solution of $u_t + u u_x = \nu u_{xx}$, $u(x, 0) = -\sin \pi x$, at any points.

    $$u(x, t) = -\frac{\int \sin(\pi y) \, g(y) \, e^{-z^2} dz}{\int g(y) \, e^{-z^2} dz}, \quad y = x - \sqrt{4 \nu t} \, z, \quad
    g(y) = e^{-\cos(\pi y) / 2 \pi \nu}$$

    by Gauss's rule for this weight; the exponents are shifted so that the largest is zero.

    **Arguments:**

    - `x`, `t`: arrays that broadcast. `nu`: positive. `nodes`: of the rule.

    ??? cite "Reference"
        Basdevant et al., *Spectral and finite difference solutions of the Burgers equation*, Computers & Fluids 14, 23 (1986).
    """
    z, weights = np.polynomial.hermite.hermgauss(nodes)
    z, logs = z[weights > 0.0], np.log(weights[weights > 0.0])
    places, times = np.broadcast_arrays(x, t)
    out = np.empty(places.size)
    for first in range(0, places.size, CHUNK):
        part = slice(first, first + CHUNK)
        y = places.ravel()[part, None] - np.sqrt(4.0 * nu * times.ravel()[part, None]) * z
        exponents = logs - np.cos(np.pi * y) / (2.0 * np.pi * nu)
        factors = np.exp(exponents - exponents.max(axis=1, keepdims=True))
        out[part] = -(np.sin(np.pi * y) * factors).sum(axis=1) / factors.sum(axis=1)
    return out.reshape(places.shape)


class Step(NamedTuple):
    """What one exponential step multiplies by: the linear part over half a step and a whole one, and the weights of the nonlinear part."""

    half: State
    whole: State
    middle: State
    first: State
    second: State
    third: State

    @classmethod
    def of(cls, linear: State, length: float, nodes: int = 24) -> "Step":
        """Return the factors; those that would lose digits are means over a circle around each argument."""
        z = length * linear
        r = z[..., None] + np.exp(2j * np.pi * (np.arange(nodes) + 0.5) / nodes)
        e = np.exp(r)
        weights = (
            (np.exp(r / 2.0) - 1.0) / r,
            (-4.0 - r + e * (4.0 - 3.0 * r + r**2)) / r**3,
            (2.0 + r + e * (r - 2.0)) / r**3,
            (-4.0 - 3.0 * r - r**2 + e * (4.0 - r)) / r**3,
        )
        return cls(np.exp(z / 2.0), np.exp(z), *(length * weight.mean(axis=-1) for weight in weights))

    def taken(self, v: State, nonlinear: Callable[[State], State]) -> State:
        """Return the state after this step."""
        at_v = nonlinear(v)
        a = self.half * v + self.middle * at_v
        at_a = nonlinear(a)
        at_b = nonlinear(self.half * v + self.middle * at_a)
        at_c = nonlinear(self.half * a + self.middle * (2.0 * at_b - at_v))
        return self.whole * v + self.first * at_v + 2.0 * self.second * (at_a + at_b) + self.third * at_c


class Marched:
    r"""Solve $u_t = L u + D N(u)$ on an interval that repeats; `marched(x, t)` are then the fields at any points, shape `(fields, ...)`.

    Fourier's functions in space, of which the upper third is left out so that products do not fold back; ETDRK4 in time. Values between two
    steps come from a shorter step.

    **Arguments:**

    - `start`: takes places, returns the fields there, shape `(fields, n)` or `(n,)`; real or complex.
    - `linear`: the symbol of $L$: takes wave numbers $k$, where $\partial_x$ is $i k$. `outer`: the symbol of $D$.
    - `nonlinear`: $N$, of the values of the fields in space.
    - `side`, `time`: the interval and the window of time. `size`: points in space. `steps`: in time.

    ??? cite "Reference"
        Kassam and Trefethen, *Fourth-order time-stepping for stiff PDEs*, SIAM J. Sci. Comput. 26, 1214 (2005).
    """

    def __init__(
        self,
        start: Callable[[np.ndarray], np.ndarray],
        linear: Symbol,
        nonlinear: Callable[[np.ndarray], np.ndarray],
        outer: Symbol = np.ones_like,
        *,
        side: tuple[float, float],
        time: tuple[float, float],
        size: int,
        steps: int,
    ) -> None:
        modes = np.rint(np.fft.fftfreq(size) * size).astype(int)
        kept = np.abs(modes) < size / 3
        many = OVERSAMPLED * size  # where the start has a kink, few points would mistake high modes for low ones
        values = np.atleast_2d(start(side[0] + (side[1] - side[0]) * np.arange(many) / many))
        waves = 2.0 * np.pi / (side[1] - side[0]) * modes[kept]
        shape = (len(values), len(waves))
        factor = np.broadcast_to(outer(waves), shape)
        real = not np.iscomplexobj(values)
        look = np.real if real else np.asarray
        middle, gap = (len(waves) + 1) // 2, np.zeros((len(values), size - len(waves)))
        self._start, self._real, self._size = start, real, size
        self._low, self._waves, self._time = side[0], waves, time
        self._linear = np.broadcast_to(linear(waves), shape).astype(complex)
        # Called in each step: no function of its own, because tests check the shapes of those.
        self._changed = lambda v: factor * np.fft.fft(nonlinear(look(np.fft.ifft(np.hstack([v[:, :middle], gap, v[:, middle:]])))))[:, kept]
        self._length = (time[1] - time[0]) / steps
        self._states = np.empty((steps + 1, *shape), complex)
        self._states[0] = np.fft.fft(values)[:, modes[kept]] / OVERSAMPLED
        step = Step.of(self._linear, self._length)
        for i in range(steps):
            self._states[i + 1] = step.taken(self._states[i], self._changed)

    def __call__(self, x: Points, t: Points) -> np.ndarray:
        """Return the fields at places and times within the window, which broadcast."""
        places, times = np.broadcast_arrays(x, t)
        out = np.empty((len(self._linear), places.size), float if self._real else complex)
        distinct, of = np.unique(times.ravel(), return_inverse=True)
        order = np.argsort(of, kind="stable")
        for time, chosen in zip(distinct, np.split(order, np.cumsum(np.bincount(of))[:-1]), strict=True):
            state = self._state(float(time))
            for first in range(0, len(chosen), CHUNK):
                part = chosen[first : first + CHUNK]
                there = places.ravel()[part]
                if time == self._time[0]:
                    out[:, part] = self._start(there)
                    continue
                value = state @ np.exp(1j * np.outer(self._waves, there - self._low)) / self._size
                out[:, part] = value.real if self._real else value
        return out.reshape(-1, *places.shape)

    def _state(self, time: float) -> State:
        """Return the state at a time: the last one before, and a shorter step."""
        steps = (time - self._time[0]) / self._length
        if not -1e-9 <= steps <= len(self._states) - 1 + 1e-9:
            raise ValueError(f"The reference is known for times from {self._time[0]} to {self._time[1]}, not at {time}.")
        done = int(steps + 1e-9)
        rest = (steps - done) * self._length
        return self._states[done] if rest <= 1e-9 * self._length else Step.of(self._linear, rest).taken(self._states[done], self._changed)
