"""Six published demonstrations of DeepXDE, with the settings that they are published with, beside `physopt.pinn.solve` with none.

    pip install deepxde torch
    python benchmarks/beside_deepxde.py [poisson disk helmholtz burgers kovasznay lorenz] [--seconds 600]

One thread each. A training that takes more CPU seconds than allowed is stopped there. Errors are relative, in L2, of the worst field, on
the same points and against the same solution; for `lorenz` of the worst of the three unknown numbers. DeepXDE is called, not copied:
networks, points, optimizers and numbers of steps are those of its documentation.
"""

import argparse
import contextlib
import io
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["DDE_BACKEND"] = "pytorch"

import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from physopt import pinn
from physopt.pinn.references import cole_hopf

pi = np.pi
NU, RE = 0.01 / pi, 20
DECAY = RE / 2 - np.sqrt(RE**2 / 4 + 4 * pi**2)
READINGS = np.linspace(0.0, 3.0, 25)


def kovasznay(x, y, np=np):
    """Return the flow behind a grid."""
    wave = np.exp(DECAY * x)
    return 1 - wave * np.cos(2 * pi * y), DECAY / (2 * pi) * wave * np.sin(2 * pi * y), (1 - wave**2) / 2


def lorenz() -> np.ndarray:
    """Return readings of Lorenz' three numbers."""
    slope = lambda t, s: (10 * (s[1] - s[0]), s[0] * (15 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2])  # noqa: E731
    return solve_ivp(slope, (0, 3), (-8, 7, 27), "DOP853", READINGS, rtol=1e-11, atol=1e-11).y.T


def grid(*sides: tuple[float, float]) -> np.ndarray:
    """Return points on which both are compared."""
    return np.stack(np.meshgrid(*(np.linspace(*side, 81) for side in sides), indexing="ij"), -1).reshape(-1, len(sides))


# What is solved by physopt: a problem, a tolerance.
fixed = pinn.Boundary(lambda u: u)
observed = pinn.Data(lambda x, y, z: (x, y, z), lorenz(), t=READINGS)
OURS = {
    "poisson": (pinn.Problem(pinn.Box(x=(-1, 1)), lambda u, x: u.xx + pi**2 * jnp.sin(pi * x), [fixed]), 1e-6),
    "disk": (pinn.Problem(pinn.Ball(1, x=0, y=0), lambda u: u.laplacian, [pinn.Boundary(lambda u, x: u - x)]), 1e-6),
    "helmholtz": (
        pinn.Problem(
            pinn.Box(x=(0, 1), y=(0, 1)),
            lambda u, x, y, k: u.laplacian + k**2 * u + k**2 * jnp.sin(k * x) * jnp.sin(k * y),
            [fixed],
            k=4 * pi,
        ),
        1e-6,
    ),
    "burgers": (
        pinn.Problem(
            pinn.Box(x=(-1, 1)),
            lambda u: u.t + u * u.x - NU * u.xx,
            [pinn.Start(lambda u, x: u + jnp.sin(pi * x)), fixed],
            time=(0, 0.99),
        ),
        1e-4,
    ),
    "kovasznay": (
        pinn.Problem(
            pinn.Box(x=(-0.5, 1), y=(-0.5, 1.5)),
            lambda u, v, p: (u * u.x + v * u.y + p.x - u.laplacian / RE, u * v.x + v * v.y + p.y - v.laplacian / RE, u.x + v.y),
            [
                pinn.Boundary(lambda u, v, x, y: (u - kovasznay(x, y, jnp)[0], v - kovasznay(x, y, jnp)[1])),
                pinn.Boundary(lambda p, x, y: p - kovasznay(x, y, jnp)[2], where=lambda x: x == 1),
            ],
            fields="u v p",
        ),
        1e-6,
    ),
    "lorenz": (
        pinn.Problem(
            None,
            lambda x, y, z, a, b, c: (x.t - a * (y - x), y.t - x * (b - z) + y, z.t - x * y + c * z),
            [pinn.Start(lambda x, y, z: (x + 8, y - 7, z - 27)), observed],
            fields="x y z",
            time=(0, 3),
            unknowns={"a": 1.0, "b": 1.0, "c": 1.0},
        ),
        1e-4,
    ),
}
SOLUTIONS: dict[str, tuple[np.ndarray, Callable]] = {
    "poisson": (grid((-1, 1)), lambda x: np.sin(pi * x)),
    "disk": (grid((0, 1), (0, 2 * pi)), lambda r, angle: r * np.cos(angle)),
    "helmholtz": (grid((0, 1), (0, 1)), lambda x, y: np.sin(4 * pi * x) * np.sin(4 * pi * y)),
    "burgers": (grid((-1, 1), (0, 0.99)), lambda x, t: cole_hopf(x, t, NU)),
    "kovasznay": (grid((-0.5, 1), (-0.5, 1.5)), kovasznay),
    "lorenz": (np.zeros((1, 1)), lambda t: (10.0, 15.0, 8 / 3)),
}


class Theirs:
    """The six demonstrations; each returns a model, the steps of Adam, and whether L-BFGS follows."""

    def __init__(self) -> None:
        import deepxde
        import torch

        torch.set_num_threads(1)
        deepxde.config.set_random_seed(0)
        self.dde, self.torch, self.unknowns = deepxde, torch, []

    def net(self, sizes: list[int], activation: str = "tanh"):
        return self.dde.nn.FNN(sizes, activation, "Glorot uniform")

    def d(self, y, x, i: int, j: int):
        return self.dde.grad.jacobian(y, x, i=i, j=j)

    def dd(self, y, x, i: int, j: int):
        return self.dde.grad.hessian(y, x, component=i, i=j, j=j)

    def poisson(self):
        line = self.dde.geometry.Interval(-1, 1)
        bc = self.dde.icbc.DirichletBC(line, lambda x: 0, lambda x, on: on)
        pde = lambda x, y: self.dd(y, x, 0, 0) + pi**2 * self.torch.sin(pi * x)  # noqa: E731
        return self.dde.Model(self.dde.data.PDE(line, pde, bc, 16, 2), self.net([1, 50, 50, 50, 1])), 10000, False

    def disk(self):
        plane = self.dde.geometry.Rectangle([0, 0], [1, 2 * pi])
        bc = self.dde.icbc.DirichletBC(plane, lambda x: np.cos(x[:, 1:2]), lambda x, on: on and np.isclose(x[0], 1))

        def pde(x, y):
            return x[:, 0:1] * self.d(y, x, 0, 0) + x[:, 0:1] ** 2 * self.dd(y, x, 0, 0) + self.dd(y, x, 0, 1)

        net = self.net([2, 20, 20, 20, 1])
        net.apply_feature_transform(lambda x: x[:, 0:1] * self.torch.cat([self.torch.sin(x[:, 1:2]), self.torch.cos(x[:, 1:2])], 1))
        return self.dde.Model(self.dde.data.PDE(plane, pde, bc, 2540, 80), net), 15000, False

    def helmholtz(self):
        square, k = self.dde.geometry.Rectangle([0, 0], [1, 1]), 4 * pi

        def pde(x, y):
            load = k**2 * self.torch.sin(k * x[:, 0:1]) * self.torch.sin(k * x[:, 1:2])
            return -self.dd(y, x, 0, 0) - self.dd(y, x, 0, 1) - k**2 * y - load

        net = self.net([2, 150, 150, 150, 1], "sin")
        net.apply_output_transform(lambda x, y: x[:, 0:1] * (1 - x[:, 0:1]) * x[:, 1:2] * (1 - x[:, 1:2]) * y)
        return self.dde.Model(self.dde.data.PDE(square, pde, [], 400, 80), net), 5000, False

    def burgers(self):
        space = self.dde.geometry.GeometryXTime(self.dde.geometry.Interval(-1, 1), self.dde.geometry.TimeDomain(0, 0.99))
        bc = self.dde.icbc.DirichletBC(space, lambda x: 0, lambda _, on: on)
        ic = self.dde.icbc.IC(space, lambda x: -np.sin(pi * x[:, 0:1]), lambda _, on: on)
        pde = lambda x, y: self.d(y, x, 0, 1) + y * self.d(y, x, 0, 0) - NU * self.dd(y, x, 0, 0)  # noqa: E731
        return self.dde.Model(self.dde.data.TimePDE(space, pde, [bc, ic], 2540, 80, 160), self.net([2, 20, 20, 20, 1])), 15000, True

    def kovasznay(self):
        box = self.dde.geometry.Rectangle([-0.5, -0.5], [1, 1.5])

        def pde(x, y):
            u, v = y[:, 0:1], y[:, 1:2]
            carried = lambda i: u * self.d(y, x, i, 0) + v * self.d(y, x, i, 1)  # noqa: E731
            viscous = lambda i: (self.dd(y, x, i, 0) + self.dd(y, x, i, 1)) / RE  # noqa: E731
            momentum = [carried(i) + self.d(y, x, 2, i) - viscous(i) for i in (0, 1)]
            return [*momentum, self.d(y, x, 0, 0) + self.d(y, x, 1, 1)]

        def held(i, where):
            return self.dde.icbc.DirichletBC(box, lambda x: kovasznay(x[:, 0:1], x[:, 1:2])[i], where, component=i)

        bcs = [held(0, lambda x, on: on), held(1, lambda x, on: on), held(2, lambda x, on: on and np.isclose(x[0], 1))]
        return self.dde.Model(self.dde.data.PDE(box, pde, bcs, 2601, 400), self.net([2, 50, 50, 50, 50, 3])), 30000, True

    def lorenz(self):
        time_ = self.dde.geometry.TimeDomain(0, 3)
        self.unknowns = [self.dde.Variable(1.0) for _ in range(3)]
        a, b, c = self.unknowns

        def pde(t, s):
            x, y, z = s[:, 0:1], s[:, 1:2], s[:, 2:3]
            slopes = a * (y - x), x * (b - z) - y, x * y - c * z
            return [self.d(s, t, i, 0) - slope for i, slope in enumerate(slopes)]

        held = lambda value: lambda t: value  # noqa: E731
        start = [self.dde.icbc.IC(time_, held(value), lambda _, on: on, component=i) for i, value in enumerate((-8, 7, 27))]
        read = [self.dde.icbc.PointSetBC(READINGS[:, None], lorenz()[:, i : i + 1], component=i) for i in range(3)]
        data = self.dde.data.PDE(time_, pde, [*start, *read], 400, 2, anchors=READINGS[:, None])
        return self.dde.Model(data, self.net([1, 40, 40, 40, 3])), 60000, False


def trained(name: str, seconds: float) -> tuple[np.ndarray, float, str]:
    """Train a demonstration; return what it predicts, the CPU seconds, and how it ended."""
    theirs = Theirs()
    began = time.process_time()
    model, steps, then = getattr(theirs, name)()

    class Watch(theirs.dde.callbacks.Callback):
        late = False

        def on_epoch_end(self):
            self.late = self.model.stop_training = time.process_time() - began > seconds

    watch, done = Watch(), ""
    with contextlib.redirect_stdout(io.StringIO()):
        model.compile("adam", lr=1e-3, external_trainable_variables=theirs.unknowns or None)
        model.train(iterations=steps, callbacks=[watch], display_every=1000)
        done = f"{model.train_state.step} steps of Adam"
        if then and not watch.late:
            model.compile("L-BFGS")
            model.train(callbacks=[watch], display_every=1000)
            done += f", {model.train_state.step - steps} of L-BFGS"
    took = time.process_time() - began
    if theirs.unknowns:
        return np.array([[float(one.detach()) for one in theirs.unknowns]]), took, done + ", stopped" * watch.late
    return model.predict(SOLUTIONS[name][0].astype(np.float32)), took, done + ", stopped" * watch.late


def solved(name: str) -> tuple[np.ndarray, float, str]:
    """Solve the same problem with physopt; return the fields at the points, the CPU seconds, and the estimated error."""
    began, (problem, tol) = time.process_time(), OURS[name]
    answer = pinn.solve(problem, tol)
    took, points = time.process_time() - began, SOLUTIONS[name][0]
    if name == "disk":
        points = np.column_stack([points[:, 0] * np.cos(points[:, 1]), points[:, 0] * np.sin(points[:, 1])])
    values = np.array([list(answer.unknowns.values())]) if answer.unknowns else answer.at(points)
    return values, took, f"estimated {answer.error:.0e}, {'converged' if answer.converged else answer.why}"


def error(name: str, values: np.ndarray) -> float:
    """Return the relative error of the worst field or number."""
    points, solution = SOLUTIONS[name]
    exact = np.array(solution(*points.T)).reshape(-1, len(points)).T
    return float(np.max(np.linalg.norm(values - exact, axis=0) / np.linalg.norm(exact, axis=0)))


def main() -> None:
    """Print one line for each demonstration and each of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*OURS, []], metavar="NAME")
    parser.add_argument("--seconds", type=float, default=600.0)
    arguments = parser.parse_args()
    for name in arguments.names or OURS:
        for who, run in (("physopt", solved), ("DeepXDE", lambda name: trained(name, arguments.seconds))):
            values, took, said = run(name)
            print(f"{name:10} {who:8} error {error(name, values):.1e}   {took:6.1f} s   {said}", flush=True)


if __name__ == "__main__":
    main()
